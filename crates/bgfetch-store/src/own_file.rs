//! Opens files in folders to which other users have access.

use std::fs::File;
use std::io;
use std::path::Path;

#[cfg(not(unix))]
use self::not_unix as platform;
#[cfg(unix)]
use self::unix as platform;

/// Opens a regular file of this user for reading; `None` if it is anything else. Follows no symbolic
/// link, and does not wait for the other end of a pipe.
///
/// On Windows, it may belong to another user.
///
/// # Errors
/// Those of the operating system.
pub fn open_own_file(path: &Path) -> io::Result<Option<File>> {
    platform::open(path)
}

#[cfg(unix)]
mod unix {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
    use std::path::Path;

    use rustix::fs::OFlags;
    use rustix::io::Errno;

    const FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK);

    pub(super) fn open(path: &Path) -> io::Result<Option<File>> {
        let opened =
            OpenOptions::new().read(true).custom_flags(FLAGS.bits().cast_signed()).open(path);
        let file = match opened {
            // A symbolic link, or a socket.
            Err(error)
                if matches!(Errno::from_io_error(&error), Some(Errno::LOOP | Errno::NXIO)) =>
            {
                return Ok(None);
            }
            opened => opened?,
        };
        let found = file.metadata()?;
        let is_own = found.uid() == rustix::process::geteuid().as_raw();
        Ok((is_own && found.is_file()).then_some(file))
    }

    #[cfg(test)]
    mod tests {
        use std::os::unix::fs::symlink;
        use std::os::unix::net::UnixListener;

        use super::*;

        #[test]
        fn only_a_regular_file_is_opened() {
            let folder = tempfile::tempdir().unwrap();
            let (path, link) = (folder.path().join("film.mp4"), folder.path().join("link"));
            assert_eq!(open(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
            std::fs::write(&path, "film").unwrap();
            assert!(open(&path).unwrap().is_some());
            symlink(&path, &link).unwrap();
            assert!(open(&link).unwrap().is_none());
            let socket = folder.path().join("socket");
            let _listener = UnixListener::bind(&socket).unwrap();
            assert!(open(&socket).unwrap().is_none());
            assert!(open(folder.path()).unwrap().is_none());
        }
    }
}

#[cfg(any(test, not(unix)))]
mod not_unix {
    use std::fs::{self, File};
    use std::io;
    use std::path::Path;

    pub(super) fn open(path: &Path) -> io::Result<Option<File>> {
        // Asked before it is opened: the name alone tells links apart.
        let is_file = fs::symlink_metadata(path)?.is_file();
        is_file.then(|| File::open(path)).transpose()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn only_a_regular_file_is_opened() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("film.mp4");
            assert_eq!(open(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
            fs::write(&path, "film").unwrap();
            assert!(open(&path).unwrap().is_some());
            assert!(open(folder.path()).unwrap().is_none());
        }
    }
}
