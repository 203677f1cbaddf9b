//! Gates: points at which a response waits for the test.

use std::sync::Arc;

use tokio::sync::watch;

use crate::watched::Watched;

/// Holds everything that reaches it until the test opens it; see
/// [`Serve::hold_at`](crate::Serve::hold_at).
///
/// Clones are the same gate. Once open it stays open.
#[derive(Clone, Debug)]
pub struct Gate {
    open: watch::Sender<bool>,
    reached: Arc<Watched<bool>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self { open: watch::Sender::new(false), reached: Arc::default() }
    }

    /// Lets through everything that waits or arrives later.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits until something arrived at the gate. By then, everything that a response had to send
    /// before the gate was handed to the connection.
    pub async fn reached(&self) {
        self.reached.wait(|reached| reached.then_some(()), |_| never_reached()).await;
    }

    /// Like [`Self::reached`], outside async code.
    pub fn blocking_reached(&self) {
        self.reached.blocking_wait(|reached| reached.then_some(()), |_| never_reached());
    }

    /// Reports the arrival and waits until the gate is open.
    pub(crate) async fn pass(&self) {
        self.reached.update(|reached| *reached = true);
        self.open.subscribe().wait_for(|open| *open).await.expect("self keeps the sender alive");
    }
}

fn never_reached() -> String {
    String::from("nothing arrived at the gate before the deadline")
}
