//! Windows that service workers ask for with `clients.openWindow()`.

use std::sync::Arc;

use bgfetch_host::{ClientId, OpenWindow};
use tokio::sync::{mpsc, oneshot};
use url::Url;

/// A request to open a window.
pub(super) struct Wanted {
    pub(super) url: Url,
    /// Receives the window's client; dropped if the window cannot be opened.
    pub(super) opened: oneshot::Sender<ClientId>,
}

/// The callback with which service workers open windows, and the receiver of their requests.
pub(super) fn windows() -> (OpenWindow, mpsc::UnboundedReceiver<Wanted>) {
    let (sender, wanted) = mpsc::unbounded_channel();
    let open: OpenWindow = Arc::new(move |_, url| {
        let (opened, client) = oneshot::channel();
        // When the program ends, nobody opens windows; dropping the sender tells the worker.
        drop(sender.send(Wanted { url, opened }));
        Box::pin(async move { client.await.ok() })
    });
    (open, wanted)
}
