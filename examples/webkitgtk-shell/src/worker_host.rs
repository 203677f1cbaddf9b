//! Fires events at service workers. WebKitGTK lets only pages reach them, so each event opens one.

use std::{collections::HashMap, sync::Arc};

use bgfetch::embedder::BoxFuture;
use bgfetch::{
    DispatchError, EventInterface, FunctionalEvent, LifetimeExtension, WeakEngine, WorkerHost,
};
use gtk::glib;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::{mpsc::UnboundedSender, oneshot};
use url::Url;

use crate::calls::state;

/// A page that is needed until an event has ended.
pub(crate) type Page = (FunctionalEvent, Url);

#[derive(Clone)]
pub(crate) struct Workers {
    pub(crate) engine: WeakEngine,
    pub(crate) events: Events,
    pub(crate) pages: UnboundedSender<Page>,
}

/// The events that workers handle, by names that only their sites know.
pub(crate) type Events = Arc<Mutex<HashMap<String, Fired>>>;

pub(crate) struct Fired {
    pub(crate) event: FunctionalEvent,
    /// Whether the listeners have run. If not, there is no worker.
    pub(crate) has_run: Option<oneshot::Sender<bool>>,
    pub(crate) promises: LifetimeExtension,
}

impl WorkerHost for Workers {
    fn dispatch(&self, event: FunctionalEvent) -> BoxFuture<'static, Result<(), DispatchError>> {
        let Self { engine, events, pages } = self.clone();
        Box::pin(async move {
            let fetch = engine.background_fetch(&event).await.map_err(failed)?;
            let (kind, scope) = (event.kind(), &event.registration().scope);
            let name = glib::uuid_string_random().to_string();
            let updates_ui = kind.interface() == EventInterface::BackgroundFetchUpdateUiEvent;
            let message = json!([name, kind.name(), updates_ui, scope, state(&fetch)]);
            let mut page = scope.join("/.background-fetch/deliver").map_err(failed)?;
            page.query_pairs_mut().append_pair("message", &message.to_string());
            let (has_run, ran) = oneshot::channel();
            let promises = event.extend().map_err(failed)?;
            let fired = Fired { event: event.clone(), has_run: Some(has_run), promises };
            events.lock().retain(|_, fired| fired.event.is_active());
            events.lock().insert(name, fired);
            println!("{} {}", kind.name(), event.id());
            pages.send((event, page)).map_err(failed)?;
            ran.await.map_err(failed)?.then_some(()).ok_or(DispatchError::NoActiveWorker)
        })
    }
}

fn failed(error: impl ToString) -> DispatchError {
    DispatchError::StartFailed(error.to_string())
}
