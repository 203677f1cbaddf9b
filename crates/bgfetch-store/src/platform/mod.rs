//! What systems do differently. Each family of systems has a module with the same functions, and
//! another one is for the rest. The tests of every system run those for the rest, too, because they
//! are the only ones that a new system has.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(test, not(target_os = "linux")))]
mod not_linux;
#[cfg(any(test, not(unix)))]
mod not_unix;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
pub(crate) use linux::{boot_id, sync_file_system};
#[cfg(not(target_os = "linux"))]
pub(crate) use not_linux::{boot_id, sync_file_system};
#[cfg(not(unix))]
pub(crate) use not_unix::{create_directory, is_linked, mode, open, set_mode, sync_directory};
#[cfg(unix)]
pub(crate) use unix::{
    create_directory, is_linked, mode, open, read_at, set_mode, sync_directory, write_at,
};
#[cfg(windows)]
pub(crate) use windows::{read_at, write_at};

/// How a file is opened for reading and writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// It must exist.
    Existing,
    /// It is created if it does not exist.
    Create,
    /// It must not exist.
    New,
    /// It must not exist, and gets the permissions that the user wants for new files, because it is
    /// handed over to the user.
    HandedOver,
}
