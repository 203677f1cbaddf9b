//! Bringing bytes from the page cache to the disk.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::Builder;

use bgfetch_model::ids::BodyKey;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use crate::StoreError;
use crate::bodies::folder::BodyFolder;

/// How many bytes may be written, over all bodies, before they are synced in the background. A
/// power loss costs no more than this and what each unfinished body has got since its last report,
/// which is less than this too.
pub(crate) const SYNC_EVERY: u64 = 64 * 1024 * 1024;

/// Up to so many files are synced one by one.
const FEW_FILES: usize = 16;

/// A body has grown by so many bytes that nobody was told of yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grown {
    pub(crate) body: BodyKey,
    pub(crate) bytes: u64,
}

/// What the syncing thread found out: these bodies are on disk up to these lengths. An error means
/// that written bytes may be lost though the system will not say so again.
pub(crate) type Synced = Result<Vec<(BodyKey, u64)>, StoreError>;

/// The ends of the channels to the syncing thread.
pub(crate) struct Syncer {
    pub(crate) grown: Sender<Grown>,
    pub(crate) synced: Receiver<Synced>,
    pub(crate) wakeups: Receiver<()>,
}

/// Starts the thread that syncs bodies as they grow, so that a power loss does not cost a long
/// download. It is a thread of its own because a commit must not wait for 64 MiB to reach the disk.
/// It ends when the last sender of [`Syncer::grown`] is dropped.
pub(crate) fn spawn(folder: BodyFolder) -> Result<Syncer, StoreError> {
    let (grown, inbox) = unbounded();
    let (outbox, synced) = unbounded();
    let (wake, wakeups) = bounded(1);
    Builder::new()
        .name("bgfetch-sync".into())
        .spawn(move || run(&folder, &inbox, &outbox, &wake))
        .map_err(|error| StoreError::io("bgfetch-sync", error))?;
    Ok(Syncer { grown, synced, wakeups })
}

fn run(folder: &BodyFolder, inbox: &Receiver<Grown>, outbox: &Sender<Synced>, wake: &Sender<()>) {
    let mut bodies = BTreeSet::new();
    let mut bytes = 0u64;
    for grown in inbox {
        bodies.insert(grown.body);
        bytes = bytes.saturating_add(grown.bytes);
        if bytes < SYNC_EVERY {
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

/// Brings the files at `paths`, which lie in folders inside `root`, to disk with the directory
/// entries that lead to them. Returns how long each was when that began, 0 for one that does not
/// exist.
pub(crate) fn sync_files(root: &Path, paths: &[PathBuf]) -> Result<Vec<u64>, StoreError> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    // OPTIMIZATION: one sync of the whole file system is one flush of the disk, where a thousand
    // files would be a thousand.
    if paths.len() > FEW_FILES && cfg!(target_os = "linux") {
        let lengths = paths.iter().map(|path| length_of(path)).collect();
        sync_file_system(root).map_err(|error| StoreError::io(root, error))?;
        return lengths;
    }
    let lengths = paths.iter().map(|path| sync_file(path)).collect();
    let folders: BTreeSet<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
    for folder in folders.into_iter().chain([root]) {
        sync_directory(folder)?;
    }
    lengths
}

fn length_of(path: &Path) -> Result<u64, StoreError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) => absent(path, error),
    }
}

fn sync_file(path: &Path) -> Result<u64, StoreError> {
    // Windows flushes only handles that may write.
    let file = match File::options().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) => return absent(path, error),
    };
    let sync = || {
        let length = file.metadata()?.len();
        file.sync_data()?;
        Ok(length)
    };
    sync().map_err(|error| StoreError::io(path, error))
}

fn absent(path: &Path, error: io::Error) -> Result<u64, StoreError> {
    if error.kind() == io::ErrorKind::NotFound {
        return Ok(0);
    }
    Err(StoreError::io(path, error))
}

/// Makes the entries of a directory durable; a directory that is gone has none.
pub(crate) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    // Other systems keep no handle of a directory and need none.
    if cfg!(unix) {
        let synced = File::open(path).and_then(|directory| directory.sync_all());
        if let Err(error) = synced {
            absent(path, error)?;
        }
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn sync_file_system(root: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(root)?)?)
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_files_are_synced_with_their_lengths() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("1");
        fs::create_dir(&folder).unwrap();
        for count in [1, FEW_FILES, FEW_FILES + 1] {
            let mut paths: Vec<PathBuf> = (0..count).map(|n| folder.join(n.to_string())).collect();
            for (length, path) in paths.iter().enumerate() {
                fs::write(path, vec![1; length]).unwrap();
            }
            paths.push(folder.join("absent"));
            let mut expected: Vec<u64> = (0..count as u64).collect();
            expected.push(0);
            assert_eq!(sync_files(root.path(), &paths).unwrap(), expected);
        }
    }
}
