//! The caches of a user agent (<https://w3c.github.io/ServiceWorker/#cache-objects>): their entries
//! are in an SQLite database, and the bodies of responses are files beside it.
//!
//! A put is one transaction after its bodies are on disk, so that a crash leaves a complete entry
//! or none. Bodies are streamed to and from files: none is ever in memory as a whole.

mod bodies;
mod database;
mod exception;
pub(crate) mod ops;
mod put;
mod schema;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bgfetch::{PrivateDirectory, StoreError};
use parking_lot::Mutex;
use rusqlite::Connection;
use thiserror::Error;

use bodies::Bodies;

/// The name of the database in the caches' folder.
const DATABASE: &str = "caches.sqlite";

/// The store of the caches of a user agent's realms. Clones refer to the same store.
#[derive(Clone)]
pub struct CacheStore(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    bodies: PathBuf,
}

/// One lock for rows and files, so that no file is deleted whose row was just read.
struct State {
    sql: Connection,
    bodies: Bodies,
    open_caches: database::OpenCaches,
}

/// Why caches could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The database failed, or is open elsewhere.
    #[error("the database of caches: {0}")]
    Database(#[from] rusqlite::Error),
    /// Other users could have changed the folder, or it cannot be made private.
    #[error(transparent)]
    Folder(#[from] StoreError),
    /// A file could not be read or written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        error: io::Error,
    },
    /// The database was written by a later version of this program.
    #[error("the caches in {path} were written by a newer version ({found})")]
    NewerVersion {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Two entries of one put would be the same entry.
    #[error("two of the requests would have the same entry")]
    Twice,
    /// An entry cannot be parsed.
    #[error("an entry of a cache is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
}

impl CacheError {
    fn file(path: impl Into<PathBuf>, error: io::Error) -> Self {
        Self::File { path: path.into(), error }
    }

    /// Whether the disk is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Database(error) => {
                error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
            }
            Self::Folder(error) => error.is_disk_full(),
            Self::File { error, .. } => {
                matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}

impl CacheStore {
    /// Opens the caches in a folder, which is created if it is missing, and is private to its user.
    ///
    /// # Errors
    ///
    /// When the folder cannot be used, other users could have changed it, or another store has it
    /// open.
    pub fn open(folder: &Path) -> Result<Self, CacheError> {
        let is_new = !folder.join("bodies").exists();
        let folder = PrivateDirectory::open(folder)?;
        let bodies = PrivateDirectory::open(&folder.path().join("bodies"))?.path().to_owned();
        if is_new {
            // Entries are synced, but would be lost with the name of their folder.
            bgfetch::sync_path_to(&bodies).map_err(|error| CacheError::file(&bodies, error))?;
        }
        let mut sql = schema::open(&folder.database(DATABASE)?)?;
        let next = database::recover(&mut sql, &bodies)?;
        let state = State {
            sql,
            bodies: Bodies::new(bodies.clone(), next),
            open_caches: database::OpenCaches::default(),
        };
        Ok(Self(Arc::new(Inner { state: Mutex::new(state), bodies })))
    }
}

impl CacheStore {
    /// The free space on the disk, in bytes.
    #[cfg(unix)]
    pub(crate) fn available_space(&self) -> Result<u64, CacheError> {
        let bodies = &self.0.bodies;
        let disk = rustix::fs::statvfs(bodies);
        let disk = disk.map_err(|error| CacheError::file(bodies, error.into()))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// The free space on the disk, in bytes: unknown, so there is no bound.
    #[cfg(not(unix))]
    pub(crate) fn available_space(&self) -> Result<u64, CacheError> {
        Ok(u64::MAX)
    }
}

impl fmt::Debug for CacheStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheStore").field("bodies", &self.0.bodies).finish_non_exhaustive()
    }
}
