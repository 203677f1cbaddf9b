//! Operations of service workers on windows: `clients.openWindow()` and `WindowClient.focus()`.

use std::sync::Arc;

use bgfetch::embedder::BoxFuture;
use url::Url;

use super::update::Asker;
use super::worker::Worker;
use super::{Inner, ServiceWorkers};
use crate::message::{Answer, ClientId, Exception};

/// Opens a window for a service worker and returns its client: see
/// [`Realm::client_id`](crate::Realm::client_id). `None` if it could not be opened. The
/// implementation keeps the window open.
pub type OpenWindow =
    Arc<dyn Fn(ServiceWorkers, Url) -> BoxFuture<'static, Option<ClientId>> + Send + Sync>;

impl Inner {
    /// [`clients.openWindow()`](https://w3c.github.io/ServiceWorker/#clients-openwindow)
    pub(super) async fn open_window(self: Arc<Self>, asker: Asker, worker: Arc<Worker>, url: Url) {
        if !worker.has_user_activation().await {
            return self.reject(Some(asker), Exception::no_activation());
        }
        let Some(open) = self.options.open_window.clone() else {
            let message = "This user agent does not open windows for workers".to_owned();
            let exception = Exception { name: "NotSupportedError", message };
            return self.reject(Some(asker), exception);
        };
        let Some(opened) = open(ServiceWorkers(Arc::clone(&self)), url).await else {
            return self.reject(Some(asker), Exception::type_error("The window was not opened"));
        };
        let state = self.state.lock();
        // A worker must not learn about a window of another site.
        let found = state.client_of(&worker, &opened.0.0.to_string()).into_iter().collect();
        state.answer(asker.realm, asker.call, Answer::Clients(found));
    }

    /// [`WindowClient.focus()`](https://w3c.github.io/ServiceWorker/#client-focus)
    pub(super) async fn focus(self: Arc<Self>, asker: Asker, worker: Arc<Worker>, client: String) {
        if !worker.has_user_activation().await {
            return self.reject(Some(asker), Exception::no_activation());
        }
        let mut state = self.state.lock();
        let answer = match state.focus(&worker, &client) {
            Some(focused) => Answer::Clients(vec![focused]),
            None => Answer::Error(Exception::type_error("The window is closed")),
        };
        state.answer(asker.realm, asker.call, answer);
    }
}
