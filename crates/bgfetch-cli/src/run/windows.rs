//! Windows that service workers ask for with `clients.openWindow()`.

use std::sync::Arc;

use bgfetch_host::{ClientId, OpenWindow};
use tokio::sync::{mpsc, oneshot};
use url::Url;

/// A window that is to be opened.
pub(super) struct Wanted {
    pub(super) url: Url,
    /// Told of the window; dropped where it cannot be opened.
    pub(super) opened: oneshot::Sender<ClientId>,
}

/// What service workers open windows with, and where the session hears of it.
pub(super) fn windows() -> (OpenWindow, mpsc::UnboundedReceiver<Wanted>) {
    let (sender, wanted) = mpsc::unbounded_channel();
    let open: OpenWindow = Arc::new(move |_, url| {
        let (opened, client) = oneshot::channel();
        // When the program ends nobody opens windows, and the worker is told so.
        drop(sender.send(Wanted { url, opened }));
        Box::pin(async move { client.await.ok() })
    });
    (open, wanted)
}
