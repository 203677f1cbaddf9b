//! The control socket's place in the file system.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

/// The socket's name in the store's directory, to which only the user has access.
const NAME: &str = "control.sock";

/// The longest path that fits a socket's address on every system.
const MAX_PATH: usize = 100;

/// Whether the process at the other end is of the same user.
///
/// # Errors
///
/// The system does not tell.
pub fn is_own(stream: &UnixStream) -> io::Result<bool> {
    Ok(stream.peer_cred()?.uid() == rustix::process::geteuid().as_raw())
}

/// A path that is short enough to bind the control socket of a store or connect to it.
#[derive(Debug)]
pub struct SocketPath {
    path: PathBuf,
    /// Keeps a path through a file descriptor valid.
    _directory: Option<File>,
}

impl SocketPath {
    /// The socket of the store in `directory`.
    ///
    /// # Errors
    ///
    /// The path is too long for a socket and the system offers no shorter one.
    pub fn new(directory: &Path) -> io::Result<Self> {
        let path = directory.join(NAME);
        if path.as_os_str().len() <= MAX_PATH {
            return Ok(Self { path, _directory: None });
        }
        Self::short(directory)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn short(directory: &Path) -> io::Result<Self> {
        use std::os::fd::AsRawFd as _;
        let directory = File::open(directory)?;
        let path = format!("/proc/self/fd/{}/{NAME}", directory.as_raw_fd());
        Ok(Self { path: path.into(), _directory: Some(directory) })
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn short(directory: &Path) -> io::Result<Self> {
        let message = format!("the path {} is too long for a socket", directory.display());
        Err(io::Error::new(io::ErrorKind::InvalidFilename, message))
    }

    /// The path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.path
    }
}
