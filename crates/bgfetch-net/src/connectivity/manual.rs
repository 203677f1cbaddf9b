//! Connectivity that the embedder sets.

use std::sync::Arc;

use bgfetch_model::connectivity::Connectivity;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::source::ConnectivitySource;

/// Connectivity that the embedder sets, alone or over another source.
///
/// It starts as [`Connectivity::Online`], so if it is never set, the engine is always online.
///
/// ```
/// use bgfetch_model::connectivity::{Connectivity, Reachable};
/// use bgfetch_net::connectivity::{ConnectivitySource, ManualConnectivity};
///
/// let manual = ManualConnectivity::default();
/// let state = manual.watch();
/// // "Work offline": not even loopback is reached.
/// manual.set(Connectivity::Offline(Reachable::default()));
/// assert!(matches!(*state.borrow(), Connectivity::Offline(_)));
/// ```
#[derive(Debug)]
pub struct ManualConnectivity {
    layered: Arc<Layered>,
    /// The task that follows the source below; it ends with this source. `None` if there is no
    /// source below.
    _follower: Option<AbortOnDropHandle<()>>,
}

impl ManualConnectivity {
    /// A layer over `below`: see [`set`](Self::set) for how the two are combined.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime, because it spawns a task that follows `below` until this
    /// source is dropped.
    #[must_use]
    pub fn over(below: impl ConnectivitySource + 'static) -> Self {
        let mut changes = below.watch();
        let layered = Arc::new(Layered::new(changes.borrow_and_update().clone()));
        let publisher = Arc::clone(&layered);
        let follower = tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                let state = changes.borrow_and_update().clone();
                publisher.update(|layers| layers.below = state);
            }
            // A source may stop watching when it is dropped, so this task keeps it alive.
            drop(below);
        });
        Self { layered, _follower: Some(AbortOnDropHandle::new(follower)) }
    }

    /// Sets the manual state; watchers see the result before this returns.
    ///
    /// The more restrictive state applies. A manual `Offline` overrides the source below; an
    /// offline source below overrides any other manual state; otherwise a manual `Metered` or
    /// `CaptivePortal` applies. So `Online` means "follow the source below".
    pub fn set(&self, state: Connectivity) {
        self.layered.update(|layers| layers.manual = state);
    }
}

impl Default for ManualConnectivity {
    /// Online, with no source below.
    fn default() -> Self {
        Self { layered: Arc::new(Layered::new(Connectivity::Online)), _follower: None }
    }
}

impl ConnectivitySource for ManualConnectivity {
    fn watch(&self) -> watch::Receiver<Connectivity> {
        self.layered.published.subscribe()
    }
}

#[derive(Debug)]
struct Layered {
    layers: Mutex<Layers>,
    published: watch::Sender<Connectivity>,
}

impl Layered {
    fn new(below: Connectivity) -> Self {
        Self {
            published: watch::Sender::new(below.clone()),
            layers: Mutex::new(Layers { manual: Connectivity::Online, below }),
        }
    }

    fn update(&self, change: impl FnOnce(&mut Layers)) {
        // Publishing under the lock keeps concurrent updates in order.
        let mut layers = self.layers.lock();
        change(&mut layers);
        publish(&self.published, layers.combined());
    }
}

#[derive(Debug)]
struct Layers {
    manual: Connectivity,
    below: Connectivity,
}

impl Layers {
    fn combined(&self) -> Connectivity {
        match (&self.manual, &self.below) {
            (Connectivity::Offline(_), _) => self.manual.clone(),
            (_, Connectivity::Offline(_)) | (Connectivity::Online, _) => self.below.clone(),
            _ => self.manual.clone(),
        }
    }
}

/// Publishes `state`; receivers are only woken if it changed.
pub(super) fn publish(published: &watch::Sender<Connectivity>, state: Connectivity) {
    published.send_if_modified(|current| {
        let changed = *current != state;
        *current = state;
        changed
    });
}

#[cfg(test)]
mod tests {
    use bgfetch_model::connectivity::Reachable;

    use super::*;

    fn loopback_only() -> Connectivity {
        Connectivity::Offline(Reachable::default().with(|it| it.loopback = true))
    }

    fn nothing() -> Connectivity {
        Connectivity::Offline(Reachable::default())
    }

    #[test]
    fn a_state_is_published_before_set_returns_and_only_when_it_changes() {
        let manual = ManualConnectivity::default();
        let mut state = manual.watch();
        assert_eq!(*state.borrow_and_update(), Connectivity::Online);
        manual.set(nothing());
        assert!(state.has_changed().unwrap());
        assert_eq!(*state.borrow_and_update(), nothing());
        manual.set(nothing());
        assert!(!state.has_changed().unwrap());
    }

    #[test]
    fn receivers_keep_the_last_value_of_a_dropped_source() {
        let manual = ManualConnectivity::default();
        let state = manual.watch();
        manual.set(Connectivity::Metered);
        drop(manual);
        assert!(state.has_changed().is_err());
        assert_eq!(*state.borrow(), Connectivity::Metered);
    }

    #[test]
    fn the_more_restrictive_layer_wins() {
        use Connectivity::{CaptivePortal, Metered, Online};
        for (manual, below, combined) in [
            (Online, Online, Online),
            (Online, Metered, Metered),
            (Online, loopback_only(), loopback_only()),
            (Metered, Online, Metered),
            (Metered, CaptivePortal, Metered),
            (Metered, loopback_only(), loopback_only()),
            (CaptivePortal, Online, CaptivePortal),
            (nothing(), Online, nothing()),
            (nothing(), loopback_only(), nothing()),
        ] {
            let layers = Layers { manual, below };
            assert_eq!(layers.combined(), combined, "{layers:?}");
        }
    }

    /// Returns another source's channel, so that the test keeps that source.
    struct Lent(Arc<ManualConnectivity>);

    impl ConnectivitySource for Lent {
        fn watch(&self) -> watch::Receiver<Connectivity> {
            self.0.watch()
        }
    }

    #[tokio::test]
    async fn a_layer_follows_the_source_below_while_it_is_online() {
        let system = Arc::new(ManualConnectivity::default());
        system.set(loopback_only());
        let manual = ManualConnectivity::over(Lent(Arc::clone(&system)));
        let mut state = manual.watch();
        assert_eq!(*state.borrow_and_update(), loopback_only());

        system.set(Connectivity::Online);
        state.changed().await.unwrap();
        assert_eq!(*state.borrow_and_update(), Connectivity::Online);

        manual.set(nothing());
        assert_eq!(*state.borrow_and_update(), nothing());
        system.set(Connectivity::Metered);
        manual.set(Connectivity::Online);
        state.wait_for(|state| *state == Connectivity::Metered).await.unwrap();
    }

    #[tokio::test]
    async fn dropping_a_layer_lets_go_of_the_source_below() {
        let system = Arc::new(ManualConnectivity::default());
        let manual = ManualConnectivity::over(Lent(Arc::clone(&system)));
        let mut state = manual.watch();
        drop(manual);
        // The channel closes when the task is dropped, which owns the source below.
        assert!(state.changed().await.is_err());
        assert_eq!(Arc::strong_count(&system), 1);
    }
}
