//! Systems whose routes are not watched. A watcher for another system has the same function.

use std::sync::Arc;

use bgfetch_model::connectivity::Connectivity;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Watches nothing, so `published` stays as it is.
pub(super) async fn start(
    _published: Arc<watch::Sender<Connectivity>>,
) -> Option<AbortOnDropHandle<()>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_held_back_where_nothing_is_watched() {
        let published = Arc::new(watch::Sender::new(Connectivity::Online));
        assert!(start(Arc::clone(&published)).await.is_none());
        assert_eq!(*published.borrow(), Connectivity::Online);
    }
}
