//! From a script's URL to an installing worker: Register and Update of
//! <https://w3c.github.io/ServiceWorker/#algorithms>.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;

use bgfetch::{PolicyContainer, RegistrationKey, StorageKey};
use tokio::sync::OwnedMutexGuard;
use url::Url;

use super::Inner;
use super::registration::Client;
use super::stored::Scripts;
use super::worker::Worker;
use crate::message::{Answer, Exception, RealmId, UpdateViaCache, WorkerState};
use crate::policies::snapshot;
use crate::script_loader::{LoadedScript, ScriptClient, ScriptKind};

/// The call whose promise a job settles. Its realm may be gone before the job ends.
#[derive(Clone, Copy)]
pub(super) struct Asker {
    pub(super) realm: RealmId,
    pub(super) call: u32,
}

/// A [job](https://w3c.github.io/ServiceWorker/#dfn-job) that leads to Update.
struct Job {
    /// `None` if the user agent itself started the job.
    asker: Option<Asker>,
    key: RegistrationKey,
    script: Url,
    update_via_cache: UpdateViaCache,
    /// The realm that asks for it. `None` if it has ended, or if the user agent started the job.
    client: Option<ScriptClient>,
    /// Its turn in the job queue.
    turn: OwnedMutexGuard<()>,
}

impl Inner {
    /// The checks of `register()`, and its job.
    pub(super) fn start_register(
        self: Arc<Self>,
        asker: Asker,
        script: Url,
        scope: Option<Url>,
        update_via_cache: UpdateViaCache,
    ) {
        let client = self.state.lock().client(asker.realm).and_then(Client::script_client);
        let Some(client) = client else { return };
        let storage_key = client.storage_key.clone();
        match check(&storage_key.0, script, scope) {
            Ok((script, scope)) => {
                let key = RegistrationKey { storage_key, scope };
                let inner = Arc::clone(&self);
                self.spawn(inner.register(asker, client, key, script, update_via_cache));
            }
            Err(exception) => self.reject(Some(asker), exception),
        }
    }

    /// [Register](https://w3c.github.io/ServiceWorker/#register-algorithm)
    async fn register(
        self: Arc<Self>,
        asker: Asker,
        client: ScriptClient,
        key: RegistrationKey,
        script: Url,
        update_via_cache: UpdateViaCache,
    ) {
        let turn = self.job_queue(&key).lock_owned().await;
        {
            let mut state = self.state.lock();
            match state.get(&key) {
                // Step 5, it is already registered. Whether the script changed does not matter
                // here.
                Some(found)
                    if found.update_via_cache == update_via_cache
                        && found.newest().is_some_and(|newest| newest.script_url == script) =>
                {
                    return state.answer_with(asker.realm, asker.call, &key);
                }
                Some(_) => {}
                None => drop(state.create(key.clone())),
            }
        }
        let (asker, client) = (Some(asker), Some(client));
        self.update(Job { asker, key, script, update_via_cache, client, turn }).await;
    }

    /// [`update()`](https://w3c.github.io/ServiceWorker/#service-worker-registration-update)
    pub(super) fn start_update(self: Arc<Self>, asker: Asker, registration: u32) {
        let installs = |worker: &Worker| {
            matches!(worker.state(), WorkerState::Parsed | WorkerState::Installing)
        };
        if self.worker_of(asker.realm).is_some_and(|worker| installs(&worker)) {
            let exception = Exception::invalid_state("The worker is being installed");
            return self.reject(Some(asker), exception);
        }
        let (key, client) = {
            let state = self.state.lock();
            let client = state.client(asker.realm).and_then(Client::script_client);
            (state.key_for(asker.realm, registration), client)
        };
        match key {
            Some(key) => Arc::clone(&self).spawn(self.update_newest(Some(asker), client, key)),
            None => self.reject(Some(asker), gone()),
        }
    }

    /// [Soft Update](https://w3c.github.io/ServiceWorker/#soft-update) of the registration whose
    /// scope contains `url`.
    pub(super) fn soft_update(self: &Arc<Self>, storage_key: &StorageKey, url: &Url) {
        let state = self.state.lock();
        let found = state.matching(storage_key, url).filter(|found| found.active.is_some());
        let key = found.map(|found| found.key.clone());
        drop(state);
        if let Some(key) = key {
            self.spawn(Arc::clone(self).update_newest(None, None, key));
        }
    }

    /// The job of an update: looks for a new version of the newest worker.
    async fn update_newest(
        self: Arc<Self>,
        asker: Option<Asker>,
        client: Option<ScriptClient>,
        key: RegistrationKey,
    ) {
        let turn = self.job_queue(&key).lock_owned().await;
        let newest = {
            let state = self.state.lock();
            state.get(&key).and_then(|found| {
                Some((found.newest()?.script_url.clone(), found.update_via_cache))
            })
        };
        match newest {
            Some((script, update_via_cache)) => {
                self.update(Job { asker, key, script, update_via_cache, client, turn }).await;
            }
            None => self.reject(asker, gone()),
        }
    }

    /// [Update](https://w3c.github.io/ServiceWorker/#update-algorithm)
    async fn update(self: Arc<Self>, job: Job) {
        let worker = match self.evaluate(&job).await {
            Ok(worker) => worker,
            Err(exception) => {
                self.reject(job.asker, exception);
                let mut state = self.state.lock();
                if state.get(&job.key).is_some_and(|found| found.newest().is_none()) {
                    // Scripts never saw the registration, so there is nothing to clear.
                    drop(state.unregister(&job.key));
                }
                return;
            }
        };
        let Job { asker, key, update_via_cache, turn, .. } = job;
        let changed_mode = self.state.lock().get_mut(&key).is_some_and(|registration| {
            let before = mem::replace(&mut registration.update_via_cache, update_via_cache);
            before != update_via_cache
        });
        // A worker is stored once it is installed, and the mode with it.
        if worker.is_none() && changed_mode {
            self.store().await;
        }
        {
            let mut state = self.state.lock();
            let Some(registration) = state.get_mut(&key) else {
                drop(state);
                self.clear_later(worker.into_iter().collect());
                return self.reject(asker, gone());
            };
            // Install, steps 1 to 9.
            if let Some(worker) = &worker {
                registration.installing = Some(Arc::clone(worker));
            }
            state.tell_registration(&key);
            if let Some(worker) = &worker {
                state.set_state(worker, WorkerState::Installing);
            }
            if let Some(Asker { realm, call }) = asker {
                state.answer_with(realm, call, &key);
            }
            if worker.is_some() {
                state.tell_update_found(&key);
            }
        }
        if let Some(worker) = worker {
            self.install(&key, worker).await;
            drop(turn);
            self.try_activate(key).await;
        }
    }

    /// Fetches the script and runs it as a new worker. `None` if nothing changed.
    async fn evaluate(self: &Arc<Self>, job: &Job) -> Result<Option<Arc<Worker>>, Exception> {
        let failed = |error: &dyn ToString| Exception::type_error(error.to_string());
        let Job { key, script, client, .. } = job;
        let client = client.clone().unwrap_or_else(|| ScriptClient {
            storage_key: key.storage_key.clone(),
            policies: snapshot(script, PolicyContainer::default()),
        });
        let loaded = self.options.loader.load(ScriptKind::ServiceWorker, script.clone(), client);
        let LoadedScript { source, service_worker_allowed, policies, .. } =
            loaded.await.map_err(|error| failed(&error))?;
        check_maximum_scope(script, service_worker_allowed.as_deref(), &key.scope)?;
        let (id, newest) = {
            let mut state = self.state.lock();
            let newest = state.get(key).and_then(|found| found.newest().cloned());
            (state.next_id(), newest.filter(|newest| newest.script_url == *script))
        };
        if let Some(newest) = newest
            && !self.has_changed(&newest, &source).await
        {
            return Ok(None);
        }
        let scripts =
            Scripts { policies, by_url: [(script.clone(), source)].into(), muted: BTreeSet::new() };
        let parsed = WorkerState::Parsed;
        let worker = Worker::new(id, key.clone(), script.clone(), parsed, scripts);
        worker.run(self).await.map_err(|error| failed(&error))?;
        Ok(Some(worker))
    }

    /// Whether the bytes of the worker's script, or of an imported one, have changed. An imported
    /// script that can no longer be loaded counts as unchanged.
    async fn has_changed(&self, newest: &Worker, source: &str) -> bool {
        let mut stored = newest.scripts.lock().by_url.clone();
        if stored.remove(&newest.script_url).is_none_or(|stored| stored != source) {
            return true;
        }
        for (url, source) in stored {
            let loaded = self.options.loader.load(ScriptKind::Imported, url, newest.client()).await;
            if loaded.is_ok_and(|loaded| loaded.source != source) {
                return true;
            }
        }
        false
    }

    pub(super) fn reject(&self, asker: Option<Asker>, exception: Exception) {
        match asker {
            Some(Asker { realm, call }) => {
                self.state.lock().answer(realm, call, Answer::Error(exception));
            }
            None => tracing::debug!(error = exception.message, "a service worker was not updated"),
        }
    }
}

fn gone() -> Exception {
    Exception::type_error("The registration is gone")
}

/// The checks of [`register()`](https://w3c.github.io/ServiceWorker/#start-register-algorithm) on
/// the script's URL and the scope, which is the script's folder by default.
fn check(origin: &str, mut script: Url, scope: Option<Url>) -> Result<(Url, Url), Exception> {
    let folder = script.join("./").map_err(|error| Exception::type_error(error.to_string()))?;
    let mut scope = scope.unwrap_or_else(|| folder.clone());
    for (url, what) in [(&mut script, "script"), (&mut scope, "scope")] {
        url.set_fragment(None);
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Exception::type_error(format!("The {what}'s URL is not an HTTP one")));
        }
        let path = url.path().to_ascii_lowercase();
        if path.contains("%2f") || path.contains("%5c") {
            return Err(Exception::type_error(format!("The {what}'s path has an escaped slash")));
        }
        if url.origin().ascii_serialization() != origin {
            return Err(Exception::security(format!("The {what} is of another origin")));
        }
    }
    Ok((script, scope))
}

/// [Update](https://w3c.github.io/ServiceWorker/#update-algorithm), the steps for the maximum
/// scope: the script's folder, or the scope that its response allows.
fn check_maximum_scope(script: &Url, allowed: Option<&str>, scope: &Url) -> Result<(), Exception> {
    let maximum = script.join(allowed.unwrap_or("./"));
    let maximum = maximum.map_err(|error| Exception::type_error(error.to_string()))?;
    if maximum.origin() == script.origin() && scope.path().starts_with(maximum.path()) {
        return Ok(());
    }
    Err(Exception::security(
        "The scope is neither under the script's folder nor allowed by its response",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_and_scopes_are_checked() {
        let url = |text: &str| text.parse::<Url>().unwrap();
        for (script, scope, expected) in [
            ("https://a.test/sw.js", None, Ok("https://a.test/")),
            ("https://a.test/x/sw.js?q#f", None, Ok("https://a.test/x/")),
            ("https://a.test/x/sw.js", Some("https://a.test/x/y?q#f"), Ok("https://a.test/x/y?q")),
            ("https://a.test/x/sw.js", Some("https://a.test/"), Ok("https://a.test/")),
            ("https://b.test/sw.js", None, Err("SecurityError")),
            ("http://a.test/sw.js", None, Err("SecurityError")),
            ("https://a.test/sw.js", Some("https://b.test/"), Err("SecurityError")),
            ("data:text/javascript,", Some("https://a.test/"), Err("TypeError")),
            ("https://a.test/sw.js", Some("about:blank"), Err("TypeError")),
            ("https://a.test/x%2Fsw.js", None, Err("TypeError")),
            ("https://a.test/sw.js", Some("https://a.test/x%5cy"), Err("TypeError")),
        ] {
            let checked = check("https://a.test", url(script), scope.map(url));
            let seen = checked.map(|(_, scope)| scope).map_err(|exception| exception.name);
            assert_eq!(seen, expected.map(url), "{script} {scope:?}");
        }
    }

    #[test]
    fn a_scope_is_under_the_scripts_folder_or_what_the_response_allows() {
        let script = "https://a.test/x/sw.js".parse().unwrap();
        for (allowed, scope, name) in [
            (None, "https://a.test/x/", None),
            (None, "https://a.test/x/y?q", None),
            (None, "https://a.test/", Some("SecurityError")),
            (None, "https://a.test/x", Some("SecurityError")),
            (Some("/"), "https://a.test/", None),
            (Some("../"), "https://a.test/z", None),
            (Some("y/"), "https://a.test/x/", Some("SecurityError")),
            (Some("https://a.test/z"), "https://a.test/z/", None),
            (Some("https://b.test/"), "https://a.test/x/", Some("SecurityError")),
            (Some("https://["), "https://a.test/x/", Some("TypeError")),
        ] {
            let checked = check_maximum_scope(&script, allowed, &scope.parse().unwrap());
            let seen = checked.map_err(|exception| exception.name).err();
            assert_eq!(seen, name, "{allowed:?} {scope}");
        }
    }
}
