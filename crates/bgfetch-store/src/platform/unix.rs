//! Files on Unix: they have permissions and several names, and directories can be synced.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, set_permissions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;

use rustix::fs::OFlags;

use super::Open;

/// Follows no symbolic link, and does not wait for the other end of a pipe.
const FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK);

/// Opens a file. A new one is private to its user, except one that is handed over.
pub(crate) fn open(mut options: OpenOptions, path: &Path, how: Open) -> io::Result<File> {
    let handed_over = how == Open::HandedOver;
    options.mode(if handed_over { 0o666 } else { 0o600 });
    let file = options.custom_flags(FLAGS.bits().cast_signed()).open(path)?;
    // The umask may take away what the store itself needs, but gives nothing to others.
    let missing = |mode: u32| mode & 0o600 != 0o600;
    if matches!(how, Open::Create | Open::New) && missing(file.metadata()?.mode()) {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// The permissions of a file.
pub(crate) fn mode(file: &File) -> io::Result<Option<u32>> {
    Ok(Some(file.metadata()?.mode() & 0o777))
}

/// Sets the permissions of a file.
pub(crate) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))
}

/// Reads at an offset without moving a cursor that other readers share.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buffer, offset)
}

/// Writes at an offset without moving a cursor that other writers share.
pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    file.write_at(bytes, offset)
}

/// Whether the file has more than one name.
pub(crate) fn is_linked(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.nlink() > 1)
}

/// Creates a directory that is private to its user.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)?;
    if path.symlink_metadata()?.mode() & 0o700 != 0o700 {
        set_permissions(path, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Brings the names in a directory to disk.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_linked_as_long_as_it_has_another_name() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (directory.path().join("one"), directory.path().join("two"));
        let file = File::create(&one).unwrap();
        assert!(!is_linked(&file).unwrap());
        std::fs::hard_link(&one, &two).unwrap();
        assert!(is_linked(&file).unwrap());
        std::fs::remove_file(&one).unwrap();
        assert!(!is_linked(&file).unwrap());
    }
}
