//! Bringing bodies to disk while they grow.

use std::collections::BTreeSet;
use std::thread::Builder;

use bgfetch_model::ids::BodyKey;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::folder::BodyFolder;
use crate::StoreError;

/// How many bytes may be written, over all bodies, before they are synced in the background. That is
/// half of what a power loss may cost: as much again can arrive while they are being synced.
pub(crate) const SYNC_EVERY: u64 = 32 * 1024 * 1024;

/// How many reports a body makes while so much of it is written.
const REPORTS: u64 = 64;

/// A body has grown by so many bytes that nobody was told of yet.
#[derive(Clone, Copy, Debug)]
struct Grown {
    body: BodyKey,
    bytes: u64,
}

/// What the syncing thread found out: these bodies are on disk up to these lengths. An error means
/// that written bytes may be lost though the system will not say so again.
pub(crate) type Synced = Result<Vec<(BodyKey, u64)>, StoreError>;

/// The ends of the channels to the syncing thread.
pub(crate) struct Syncer {
    pub(crate) growing: Growing,
    pub(crate) synced: Receiver<Synced>,
    pub(crate) wakeups: Receiver<()>,
}

/// Tells the syncing thread of bodies that grow.
#[derive(Clone)]
pub(crate) struct Growing {
    report_every: u64,
    inbox: Sender<Grown>,
}

/// How much one body has grown.
pub(crate) struct Growth {
    body: BodyKey,
    /// The length up to which it was told.
    reported: u64,
    growing: Growing,
}

impl Growing {
    /// A body that is written from here on.
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

    /// The body has this length and is written no further.
    pub(crate) fn ends(&mut self, length: u64) {
        if length > self.reported {
            self.report(length);
        }
    }

    fn report(&mut self, length: u64) {
        let grown = Grown { body: self.body, bytes: length - self.reported };
        // The syncing thread ends when the store is gone; then there is nobody to tell.
        if self.growing.inbox.send(grown).is_ok() {
            self.reported = length;
        }
    }
}

/// Starts the thread that syncs bodies whenever they have grown by `every` bytes, so that a power
/// loss does not cost a long download. It is a thread of its own because a commit must not wait for
/// so many bytes to reach the disk. It ends when the last [`Growing`] is dropped.
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
        // A full channel means that the store has yet to answer an earlier wakeup.
        if wake.try_send(()).is_err_and(|error| error.is_disconnected()) {
            return;
        }
    }
}
