//! Disk space reserved for metadata, so that fetches can still be aborted when they have filled the
//! disk.

use std::fs;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::file_system::{FileSystem as _, Open, System};

/// The file in the store's directory. It is never synced, as it contains no data.
pub(crate) const NAME: &str = "reserve";

/// Enough for the log entries of opening the store, aborting a few hundred records and closing it.
const LENGTH: u64 = 256 << 10;

/// A file that is deleted when the disk is too full for metadata.
#[derive(Clone, Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
}

impl Reserve {
    /// The reserve of the store in `directory`.
    pub(crate) fn of_store(directory: &Path) -> Self {
        Self { path: directory.join(NAME) }
    }

    /// Takes the space, or as much as there is.
    pub(crate) fn take(&self) {
        if let Err(error) = self.try_take() {
            tracing::debug!(%error, "the disk has no room for the whole reserve");
        }
    }

    fn try_take(&self) -> io::Result<()> {
        let mut file = System.open(&self.path, Open::Create)?;
        let missing = LENGTH.saturating_sub(file.seek(SeekFrom::End(0))?);
        // Not zeros, because some file systems do not store them.
        let room = vec![1; usize::try_from(missing).unwrap_or_default()];
        file.write_all(&room)
    }

    /// Frees the space. Returns whether there was any.
    pub(crate) fn release(&self) -> bool {
        let held = fs::metadata(&self.path).is_ok_and(|file| file.len() > 0);
        held && fs::remove_file(&self.path).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    #[test]
    fn it_is_taken_once_and_given_back_once() {
        let directory = tempfile::tempdir().unwrap();
        let reserve = Reserve::of_store(directory.path());
        assert!(!reserve.release());
        fs::write(&reserve.path, b"").unwrap();
        assert!(!reserve.release(), "an empty one frees nothing");
        reserve.take();
        // What an earlier process could take, and a full reserve.
        for length in [0, 1000, LENGTH] {
            let file = OpenOptions::new().write(true).open(&reserve.path).unwrap();
            file.set_len(length).unwrap();
            reserve.take();
            assert_eq!(fs::metadata(&reserve.path).unwrap().len(), LENGTH);
        }
        assert!(reserve.release() && !reserve.release());
        assert!(!reserve.path.exists());
    }
}
