//! Syncs bodies while they grow.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::Builder;

use bgfetch_model::ids::BodyKey;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use parking_lot::Mutex;

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

/// The ends of the channels to whoever syncs.
pub(crate) struct Syncer {
    pub(crate) growing: Growing,
    pub(crate) synced: Receiver<Synced>,
    pub(crate) wakeups: Receiver<()>,
}

/// Reports the growth of bodies to whoever syncs.
#[derive(Clone)]
pub(crate) struct Growing {
    report_every: u64,
    to: To,
}

#[derive(Clone)]
enum To {
    Thread(Sender<Grown>),
    /// The writer syncs itself when it is time.
    Writer(Arc<Mutex<Syncing>>),
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
        let reported = match &self.growing.to {
            To::Thread(inbox) => inbox.send(grown).is_ok(),
            To::Writer(syncing) => syncing.lock().add(grown),
        };
        // Whoever syncs ends with the store; then the report is not needed.
        if reported {
            self.reported = length;
        }
    }
}

/// Syncs bodies whenever they have grown by `every` bytes, so a power loss does not cost a whole
/// long download. What an earlier process left `unsynced` counts, too. This happens on a thread of
/// its own, because a commit must not wait until that many bytes are on disk; or `inline`, in the
/// write that is due. The thread ends when the last [`Growing`] is dropped.
pub(crate) fn start(
    folder: BodyFolder,
    every: u64,
    inline: bool,
    unsynced: &[(BodyKey, u64)],
) -> Result<Syncer, StoreError> {
    let (outbox, synced) = unbounded();
    let (wake, wakeups) = bounded(1);
    let bodies = unsynced.iter().map(|(body, _)| *body).collect();
    let bytes = unsynced.iter().fold(0, |sum: u64, (_, bytes)| sum.saturating_add(*bytes));
    let mut syncing = Syncing { folder, every, bodies, bytes, outbox, wake };
    let to = if inline {
        To::Writer(Arc::new(Mutex::new(syncing)))
    } else {
        let (sender, inbox) = unbounded();
        Builder::new()
            .name("bgfetch-sync".into())
            .spawn(move || inbox.into_iter().all(|grown| syncing.add(grown)))
            .map_err(|error| StoreError::io("bgfetch-sync", error))?;
        To::Thread(sender)
    };
    let growing = Growing { report_every: (every / REPORTS).max(1), to };
    Ok(Syncer { growing, synced, wakeups })
}

/// Which bodies have grown since the last sync, and by how much.
struct Syncing {
    folder: BodyFolder,
    every: u64,
    bodies: BTreeSet<BodyKey>,
    bytes: u64,
    outbox: Sender<Synced>,
    wake: Sender<()>,
}

impl Syncing {
    /// Adds growth, and syncs if it is time. Returns false if the store is gone.
    fn add(&mut self, grown: Grown) -> bool {
        self.bodies.insert(grown.body);
        self.bytes = self.bytes.saturating_add(grown.bytes);
        if self.bytes < self.every {
            return true;
        }
        self.bytes = 0;
        let bodies: Vec<BodyKey> = std::mem::take(&mut self.bodies).into_iter().collect();
        let synced =
            self.folder.sync(&bodies, &[]).map(|lengths| bodies.into_iter().zip(lengths).collect());
        // If the channel is full, the store has not answered an earlier wakeup yet.
        self.outbox.send(synced).is_ok()
            && !self.wake.try_send(()).is_err_and(|error| error.is_disconnected())
    }
}

#[cfg(test)]
mod tests {
    use bgfetch_model::ids::{FetchKey, Generation, RecordIndex, RecordKey};

    use super::*;

    /// Documents promise it.
    #[test]
    fn no_more_than_32_mib_wait_for_a_sync() {
        assert_eq!(SYNC_EVERY / 1024 / 1024, 32);
    }

    #[test]
    fn growth_is_reported_in_steps_and_once() {
        let (sender, inbox) = unbounded();
        let growing = Growing { report_every: 10, to: To::Thread(sender) };
        let record = RecordKey { fetch: FetchKey(1), index: RecordIndex(0) };
        let mut growth = growing.body(BodyKey { record, generation: Generation(1) }, 100);
        let mut after = |length, ends| {
            if ends {
                growth.ends(length)
            } else {
                growth.reaches(length)
            }
            inbox.try_recv().ok().map(|grown| grown.bytes)
        };
        assert_eq!(after(109, false), None);
        assert_eq!(after(112, false), Some(12));
        assert_eq!(after(121, false), None);
        assert_eq!(after(121, true), Some(9));
        assert_eq!(after(121, true), None);
    }
}
