//! What can go wrong, sorted by who is at fault.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An error of the store. Each variant displays as one human-readable line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store is open elsewhere. Nothing was changed.
    #[error("the store {} is in use by {}", path.display(), Owner(*pid))]
    InUse {
        /// The store's directory.
        path: PathBuf,
        /// The process that has it open, if known.
        pid: Option<u32>,
    },
    /// A newer version of this crate wrote the store. Nothing was changed.
    #[error(
        "the store {} has format version {found}, written by a newer version of this software; \
         this one reads up to version {supported}",
        path.display()
    )]
    NewerVersion {
        /// The database.
        path: PathBuf,
        /// The version found.
        found: u32,
        /// The newest version that this crate knows.
        supported: u32,
    },
    /// The database cannot be read. Nothing is deleted because of that: [`SqliteStore::open`] moves
    /// the store aside, and the next call starts with an empty one.
    ///
    /// [`SqliteStore::open`]: crate::SqliteStore::open
    #[error("the store's database is damaged ({reason}){}", SetAside(set_aside.as_deref()))]
    Damaged {
        /// What is wrong with it.
        reason: String,
        /// The directory that the database and the bodies were moved to, if they were.
        set_aside: Option<PathBuf>,
    },
    /// Other users of the machine own this path or could have changed it. Nothing of the store was
    /// used.
    #[error("{} {why}", path.display())]
    Untrusted {
        /// The store's directory, one of its parents, or something in it.
        path: PathBuf,
        /// What is wrong with it.
        why: Distrust,
    },
    /// The disk, or the user's quota on it, is full.
    #[error("the disk is full: cannot write {}", path.display())]
    DiskFull {
        /// What was being written.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Any other error of the file system.
    #[error("{}: {}", path.display(), Reason(source))]
    Io {
        /// What was being read or written.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// SQLite failed for a reason other than damage or a full disk.
    #[error("the store's database failed: {0}")]
    Database(#[source] Box<dyn Error + Send + Sync>),
    /// The caller broke the contract of the operation; the text says how.
    #[error("the store was misused: {0}")]
    Misuse(String),
    /// The store thread has ended: it was shut down, or it reported a failure.
    #[error("the store has stopped")]
    Stopped,
}

impl StoreError {
    /// An I/O error at `path`: [`DiskFull`](Self::DiskFull) or [`Io`](Self::Io).
    pub fn io(path: impl AsRef<Path>, source: io::Error) -> Self {
        let path = path.as_ref().to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path, source }
            }
            _ => Self::Io { path, source },
        }
    }

    /// A name for programs: lower-case words with hyphens. It never changes, unlike the text.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "store-in-use",
            Self::NewerVersion { .. } => "store-newer-version",
            Self::Damaged { .. } => "store-damaged",
            Self::Untrusted { .. } => "store-untrusted",
            Self::DiskFull { .. } => "disk-full",
            Self::Io { .. } => "store-io",
            Self::Database(_) => "store-database",
            Self::Misuse(_) => "store-misuse",
            Self::Stopped => "store-stopped",
        }
    }

    /// Whether the disk, or the user's quota on it, is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull { .. })
    }

    /// Whether the store is owned by another process, or is open elsewhere in this one.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::InUse { .. })
    }

    /// Whether the store's data is damaged.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }

    /// Whether other users of the machine own something of the store, or could have changed it.
    #[must_use]
    pub fn is_untrusted(&self) -> bool {
        matches!(self, Self::Untrusted { .. })
    }

    /// Whether a newer version of this crate is needed.
    #[must_use]
    pub fn is_newer_version(&self) -> bool {
        matches!(self, Self::NewerVersion { .. })
    }
}

impl From<StoreError> for io::Error {
    /// Keeps the kind of the underlying I/O error, so that callers can still recognise a full disk.
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::DiskFull { source, .. } | StoreError::Io { source, .. } => source.kind(),
            StoreError::InUse { .. } => io::ErrorKind::ResourceBusy,
            StoreError::Damaged { .. } => io::ErrorKind::InvalidData,
            StoreError::Misuse(_) => io::ErrorKind::InvalidInput,
            StoreError::Untrusted { .. } => io::ErrorKind::PermissionDenied,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

#[cfg(feature = "sqlite")]
impl StoreError {
    /// Damage of a store that was not moved aside yet.
    pub(crate) fn damaged(reason: impl ToString) -> Self {
        Self::Damaged { reason: reason.to_string(), set_aside: None }
    }
}

/// Why a path is not used: what other users can do with it, or may have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Distrust {
    /// It is the directory, or leads to it, and belongs to the user with this id.
    Owner(u32),
    /// It is in the directory, and belongs to the user with this id.
    Planted(u32),
    /// Other users can write to it, and so replace what is in it.
    Writable,
    /// Other users could write to it before its directory was made private.
    Tampered,
    /// It is a symbolic link.
    SymbolicLink,
    /// It is a file that has another name, maybe outside of the directory.
    HardLink,
    /// It is neither a file nor a directory, or not the one that was expected.
    Kind,
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Owner(id) => {
                return write!(
                    f,
                    "belongs to another user (uid {id}), who could change it; use a directory of \
                     your own"
                );
            }
            Self::Planted(id) => {
                return write!(
                    f,
                    "belongs to another user (uid {id}), who could have prepared it; delete it"
                );
            }
            Self::Writable => {
                "can be changed by other users; take away their permission with chmod go-w, or use \
                 another directory"
            }
            Self::Tampered => {
                "could be changed by other users; delete it, or use another directory"
            }
            Self::SymbolicLink => "is a symbolic link, which is never followed here; delete it",
            Self::HardLink => {
                "has another name somewhere else (a hard link); replace it by a copy of it"
            }
            Self::Kind => "is not a file of the store; delete it",
        })
    }
}

/// A description of an error of the operating system.
struct Reason<'a>(&'a io::Error);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.kind() {
            io::ErrorKind::NotFound => "there is no such file or directory",
            io::ErrorKind::PermissionDenied => "permission denied",
            io::ErrorKind::AlreadyExists => "there is something of that name already",
            io::ErrorKind::NotADirectory => "that is not a directory",
            io::ErrorKind::IsADirectory => "that is a directory",
            io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
            io::ErrorKind::InvalidFilename => "the name is too long or not valid",
            io::ErrorKind::UnexpectedEof if self.0.get_ref().is_none() => "the file is too short",
            _ => {
                let text = self.0.to_string();
                // The standard library appends the error number to the system's text.
                return f.write_str(text.split(" (os error ").next().unwrap_or(&text));
            }
        })
    }
}

struct Owner(Option<u32>);

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pid) if pid == std::process::id() => f.write_str("this process already"),
            Some(pid) => write!(f, "another process (process id {pid})"),
            None => f.write_str("another process"),
        }
    }
}

struct SetAside<'a>(Option<&'a Path>);

impl fmt::Display for SetAside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => write!(
                f,
                "; nothing was deleted, the store was moved to {} and the next start begins with \
                 an empty one",
                path.display()
            ),
            None => f.write_str("; nothing was deleted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_apart_from_other_failures() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            let error = StoreError::io("a", kind.into());
            assert!(error.is_disk_full());
            assert_eq!(io::Error::from(error).kind(), kind);
        }
        let error = StoreError::io("a", io::ErrorKind::PermissionDenied.into());
        assert!(!error.is_disk_full());
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::PermissionDenied);
    }

    #[cfg(unix)]
    #[test]
    fn the_system_s_own_codes_for_a_full_disk_are_known() {
        use rustix::io::Errno;

        for errno in [Errno::NOSPC, Errno::DQUOT] {
            assert!(StoreError::io("a", errno.into()).is_disk_full());
        }
        assert!(!StoreError::io("a", Errno::IO.into()).is_disk_full());
    }

    #[test]
    fn codes_are_what_they_always_were() {
        let path = || PathBuf::from("/s");
        let system = || io::Error::other("");
        for (error, code) in [
            (StoreError::InUse { path: path(), pid: None }, "store-in-use"),
            (
                StoreError::NewerVersion { path: path(), found: 2, supported: 1 },
                "store-newer-version",
            ),
            (StoreError::Damaged { reason: String::new(), set_aside: None }, "store-damaged"),
            (StoreError::Untrusted { path: path(), why: Distrust::Kind }, "store-untrusted"),
            (StoreError::DiskFull { path: path(), source: system() }, "disk-full"),
            (StoreError::Io { path: path(), source: system() }, "store-io"),
            (StoreError::Database("".into()), "store-database"),
            (StoreError::Misuse(String::new()), "store-misuse"),
            (StoreError::Stopped, "store-stopped"),
        ] {
            assert_eq!(error.code(), code);
        }
    }

    #[test]
    fn errors_of_the_system_are_told_in_words() {
        let told = |code| StoreError::io("/s/x", io::Error::from_raw_os_error(code)).to_string();
        #[cfg(unix)]
        {
            assert_eq!(told(2), "/s/x: there is no such file or directory");
            assert_eq!(told(13), "/s/x: permission denied");
            assert_eq!(told(28), "the disk is full: cannot write /s/x");
        }
        assert!(!told(5).contains("os error"), "{}", told(5));
    }

    #[test]
    fn each_error_is_of_one_kind_for_the_caller_and_for_the_system() {
        let io = |kind: io::ErrorKind| StoreError::io("/s", kind.into());
        let damaged = StoreError::Damaged { reason: "x".into(), set_aside: None };
        let untrusted = StoreError::Untrusted { path: "/s".into(), why: Distrust::Kind };
        let newer = StoreError::NewerVersion { path: "/s".into(), found: 7, supported: 3 };
        let none = [false; 5];
        for (error, number, kind) in [
            (io(io::ErrorKind::StorageFull), Some(0), io::ErrorKind::StorageFull),
            (
                StoreError::InUse { path: "/s".into(), pid: None },
                Some(1),
                io::ErrorKind::ResourceBusy,
            ),
            (damaged, Some(2), io::ErrorKind::InvalidData),
            (untrusted, Some(3), io::ErrorKind::PermissionDenied),
            (newer, Some(4), io::ErrorKind::Other),
            (io(io::ErrorKind::NotFound), None, io::ErrorKind::NotFound),
            (StoreError::Misuse("x".into()), None, io::ErrorKind::InvalidInput),
            (StoreError::Stopped, None, io::ErrorKind::Other),
        ] {
            let mut expected = none;
            if let Some(number) = number {
                expected[number] = true;
            }
            let is = [
                error.is_disk_full(),
                error.is_in_use(),
                error.is_damaged(),
                error.is_untrusted(),
                error.is_newer_version(),
            ];
            assert_eq!(is, expected, "{error}");
            assert_eq!(io::Error::from(error).kind(), kind);
        }
    }

    #[test]
    fn a_reason_is_told_in_words_and_otherwise_as_the_system_has_it() {
        let told = |kind: io::ErrorKind| StoreError::io("/s/x", kind.into()).to_string();
        for (kind, words) in [
            (io::ErrorKind::NotFound, "there is no such file or directory"),
            (io::ErrorKind::PermissionDenied, "permission denied"),
            (io::ErrorKind::AlreadyExists, "there is something of that name already"),
            (io::ErrorKind::NotADirectory, "that is not a directory"),
            (io::ErrorKind::IsADirectory, "that is a directory"),
            (io::ErrorKind::ReadOnlyFilesystem, "the file system is read-only"),
            (io::ErrorKind::InvalidFilename, "the name is too long or not valid"),
            (io::ErrorKind::UnexpectedEof, "the file is too short"),
        ] {
            assert_eq!(told(kind), format!("/s/x: {words}"));
        }
        let own = io::Error::new(io::ErrorKind::UnexpectedEof, "it has 3 bytes, not 5");
        assert_eq!(StoreError::io("/s/x", own).to_string(), "/s/x: it has 3 bytes, not 5");
    }

    #[test]
    fn an_owner_is_named_as_far_as_it_is_known() {
        let told = |pid| StoreError::InUse { path: "/s".into(), pid }.to_string();
        let own = told(Some(std::process::id()));
        assert_eq!(own, "the store /s is in use by this process already");
        assert_eq!(told(None), "the store /s is in use by another process");
    }

    #[test]
    fn each_error_is_one_clear_line() {
        let in_use = StoreError::InUse { path: "/s".into(), pid: Some(7) };
        assert_eq!(in_use.to_string(), "the store /s is in use by another process (process id 7)");
        let damaged = StoreError::Damaged {
            reason: "file is not a database".into(),
            set_aside: Some("/s/damaged-1".into()),
        };
        assert_eq!(
            damaged.to_string(),
            "the store's database is damaged (file is not a database); nothing was deleted, the \
             store was moved to /s/damaged-1 and the next start begins with an empty one"
        );
        let kept = StoreError::Damaged { reason: "x".into(), set_aside: None };
        assert_eq!(kept.to_string(), "the store's database is damaged (x); nothing was deleted");
        let untrusted = StoreError::Untrusted { path: "/tmp/s".into(), why: Distrust::Owner(7) };
        assert_eq!(
            untrusted.to_string(),
            "/tmp/s belongs to another user (uid 7), who could change it; use a directory of your \
             own"
        );
    }
}
