//! Dedicated and shared workers: [run a
//! worker](https://html.spec.whatwg.org/multipage/workers.html#run-a-worker), without a page that
//! creates them.

use std::io;
use std::sync::mpsc;

use bgfetch::{Destination, PolicyContainer};
use thiserror::Error;
use tokio::runtime::Handle;
use url::Url;

use crate::console::RealmKind;
use crate::message::{Import, Imported};
use crate::network::{LoadError, Network};
use crate::policies::snapshot;
use crate::realm::{Realm, ScriptError};
use crate::script_loader::{ScriptClient, import_script, load_worker};
use crate::service_worker::ServiceWorkers;

/// Why a worker was not started.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// Its script was not loaded.
    #[error("the script {url} was not loaded: {error}")]
    NotLoaded {
        /// The script's URL.
        url: Url,
        /// The reason.
        error: LoadError,
    },
    /// Its realm could not be started.
    #[error("the worker could not be started: {0}")]
    Realm(#[from] io::Error),
    /// Its script failed.
    #[error("the worker's script failed: {0}")]
    Script(#[from] ScriptError),
}

pub(crate) async fn open(
    network: &Network,
    service_workers: &ServiceWorkers,
    kind: RealmKind,
    url: Url,
) -> Result<Realm, WorkerError> {
    let client = ScriptClient {
        storage_key: ServiceWorkers::storage_key(&url),
        policies: snapshot(&url, PolicyContainer::default()),
    };
    let destination = match kind {
        RealmKind::SharedWorker => Destination::SharedWorker,
        _ => Destination::Worker,
    };
    let loaded = load_worker(network, url.clone(), client, destination).await;
    let script = loaded.map_err(|error| WorkerError::NotLoaded { url: url.clone(), error })?;
    let policies = snapshot(&url, script.policies);
    let storage_key = ServiceWorkers::storage_key(&url);
    let import = import(network.clone(), ScriptClient { storage_key, policies: policies.clone() });
    let realm = service_workers.open_worker_realm(kind, url.clone(), policies, import)?;
    realm.evaluate(url.as_str(), script.source).await?;
    Ok(realm)
}

/// [`importScripts()`](https://html.spec.whatwg.org/multipage/workers.html#importing-scripts-and-libraries):
/// the worker blocks until the script is loaded.
fn import(network: Network, client: ScriptClient) -> Import {
    let runtime = Handle::current();
    Box::new(move |url| {
        let (network, client) = (network.clone(), client.clone());
        let (sender, loaded) = mpsc::channel();
        // The result is awaited right below.
        drop(runtime.spawn(async move {
            drop(sender.send(import_script(&network, url, client).await));
        }));
        let loaded = loaded.recv().map_err(|_| "the user agent ends")?;
        loaded.map(Imported::from).map_err(|error| error.to_string())
    })
}
