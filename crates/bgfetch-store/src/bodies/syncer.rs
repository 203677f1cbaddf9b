//! Syncs bodies while they grow.

use std::collections::BTreeSet;
use std::thread::Builder;

use bgfetch_model::ids::BodyKey;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::folder::BodyFolder;
use crate::StoreError;

/// How many bytes, of all bodies together, may be written before they are synced in the background.
/// A power loss can cost twice as much, because the same amount can arrive during a sync.
pub(crate) const SYNC_EVERY: u64 = 32 << 20;

/// How many times a body reports its growth while [`SYNC_EVERY`] bytes of it are written.
const REPORTS: u64 = 64;

/// A body has grown by this many bytes since its last report.
#[derive(Clone, Copy, Debug)]
struct Grown {
    body: BodyKey,
    bytes: u64,
}

/// The outcome of a sync: these bodies are on disk up to these lengths. After an error, written
/// bytes may be lost, and the system will not report that again.
pub(crate) type Synced = Result<Vec<(BodyKey, u64)>, StoreError>;

/// The ends of the channels to the syncing thread.
pub(crate) struct Syncer {
    pub(crate) growing: Growing,
    pub(crate) synced: Receiver<Synced>,
    pub(crate) wakeups: Receiver<()>,
}

/// Reports the growth of bodies to the syncing thread.
#[derive(Clone)]
pub(crate) struct Growing {
    report_every: u64,
    inbox: Sender<Grown>,
}

/// The growth of one body.
pub(crate) struct Growth {
    body: BodyKey,
    /// The length up to which growth was reported.
    reported: u64,
    growing: Growing,
}

impl Growing {
    /// Starts counting the growth of a body from this length.
    pub(crate) fn body(&self, body: BodyKey, length: u64) -> Growth {
        Growth { body, reported: length, growing: self.clone() }
    }
}

impl Growth {
    /// The body has this length now.
    pub(crate) fn reaches(&mut self, length: u64) {
        if length - self.reported >= self.growing.report_every {
            self.report(length);
        }
    }

    /// The body has this length and will not be written any further.
    pub(crate) fn ends(&mut self, length: u64) {
        if length > self.reported {
            self.report(length);
        }
    }

    fn report(&mut self, length: u64) {
        let grown = Grown { body: self.body, bytes: length - self.reported };
        // The syncing thread ends with the store; then the report is not needed.
        if self.growing.inbox.send(grown).is_ok() {
            self.reported = length;
        }
    }
}

/// Starts the thread that syncs bodies whenever they have grown by `every` bytes, so a power loss
/// does not cost a whole long download. It is a separate thread because a commit must not wait
/// until that many bytes are on disk. It ends when the last [`Growing`] is dropped.
pub(crate) fn spawn(folder: BodyFolder, every: u64) -> Result<Syncer, StoreError> {
    let (sender, inbox) = unbounded();
    let (outbox, synced) = unbounded();
    let (wake, wakeups) = bounded(1);
    Builder::new()
        .name("bgfetch-sync".into())
        .spawn(move || run(&folder, every, &inbox, &outbox, &wake))
        .map_err(|error| StoreError::io("bgfetch-sync", error))?;
    let growing = Growing { report_every: (every / REPORTS).max(1), inbox: sender };
    Ok(Syncer { growing, synced, wakeups })
}

fn run(
    folder: &BodyFolder,
    every: u64,
    inbox: &Receiver<Grown>,
    outbox: &Sender<Synced>,
    wake: &Sender<()>,
) {
    let mut bodies = BTreeSet::new();
    let mut bytes = 0u64;
    for grown in inbox {
        bodies.insert(grown.body);
        bytes = bytes.saturating_add(grown.bytes);
        if bytes < every {
            continue;
        }
        bytes = 0;
        let bodies: Vec<BodyKey> = std::mem::take(&mut bodies).into_iter().collect();
        let synced =
            folder.sync(&bodies, &[]).map(|lengths| bodies.into_iter().zip(lengths).collect());
        if outbox.send(synced).is_err() {
            return;
        }
        // If the channel is full, the store has not answered an earlier wakeup yet.
        if wake.try_send(()).is_err_and(|error| error.is_disconnected()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Documents promise it.
    #[test]
    fn no_more_than_32_mib_wait_for_a_sync() {
        assert_eq!(SYNC_EVERY / 1024 / 1024, 32);
    }
}
