//! What only Linux has.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Identifies the current boot of the operating system, and so the life of its page cache; `None`
/// if the system does not tell it.
pub(crate) fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

/// Brings everything in the file system of a directory to disk.
pub(crate) fn sync_file_system(inside: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(inside)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_has_the_id_that_the_system_gave_it() {
        let id = boot_id().unwrap();
        assert_eq!((id.len(), id.trim()), (36, &*id), "a UUID");
    }

    #[test]
    fn the_file_system_of_a_directory_is_synced_and_that_of_nothing_is_not() {
        let directory = tempfile::tempdir().unwrap();
        sync_file_system(directory.path()).unwrap();
        let absent = sync_file_system(&directory.path().join("absent"));
        assert_eq!(absent.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
