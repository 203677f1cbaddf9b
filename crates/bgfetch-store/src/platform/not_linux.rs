//! In place of what only Linux has.

use std::io;
use std::path::Path;

/// Unknown, so each start counts as one after a reboot.
pub(crate) fn boot_id() -> Option<String> {
    None
}

/// Not possible, so files are synced one by one.
pub(crate) fn sync_file_system(_inside: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_says_so() {
        assert_eq!(boot_id(), None);
        let synced = sync_file_system(Path::new("/"));
        assert_eq!(synced.unwrap_err().kind(), io::ErrorKind::Unsupported);
    }
}
