//! The caches of a user agent (<https://w3c.github.io/ServiceWorker/#cache-objects>): what they hold
//! is in an SQLite database, the bodies of responses are files beside it.
//!
//! A put is one transaction after its bodies are on disk, so that a crash leaves an entry whole or
//! not at all. Bodies go from stream to file and from file to stream: none is ever in memory.

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

use parking_lot::Mutex;
use rusqlite::Connection;
use thiserror::Error;

use bodies::Bodies;

/// The database of the folder that caches are in.
const DATABASE: &str = "caches.sqlite";

/// Where the caches of a user agent's realms are kept. Clones are the same.
#[derive(Clone)]
pub struct CacheStore(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    bodies: PathBuf,
}

/// One lock for rows and files, so that no file goes that a row was just read of.
struct State {
    sql: Connection,
    bodies: Bodies,
    open_caches: database::OpenCaches,
}

/// Why something could not be read from caches, or written to them.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The database has failed, or is open elsewhere.
    #[error("the database of caches: {0}")]
    Database(#[from] rusqlite::Error),
    /// A file could not be read or written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        error: io::Error,
    },
    /// A later version of this program has written the database.
    #[error("the caches in {path} are of a newer version ({found})")]
    NewerVersion {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Two of the entries that were to be put at once would be one.
    #[error("two of the requests would have the same entry")]
    Twice,
    /// What an entry holds cannot be understood.
    #[error("an entry of a cache is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
}

impl CacheError {
    fn file(path: impl Into<PathBuf>, error: io::Error) -> Self {
        Self::File { path: path.into(), error }
    }

    /// Whether there is no room left.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Database(error) => {
                error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
            }
            Self::File { error, .. } => {
                matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}

impl CacheStore {
    /// Opens the caches in a folder, which is made where it is missing.
    ///
    /// # Errors
    ///
    /// When the folder cannot be used, or another store has it open.
    pub fn open(folder: &Path) -> Result<Self, CacheError> {
        let bodies = folder.join("bodies");
        if !bodies.exists() {
            let failed = |error| CacheError::file(&bodies, error);
            std::fs::create_dir_all(&bodies).map_err(failed)?;
            // What is put into caches is synced, and would be lost with the name of their folder.
            bgfetch::sync_path_to(&bodies).map_err(failed)?;
        }
        let mut sql = schema::open(&folder.join(DATABASE))?;
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
    /// The bytes that the disk has room for.
    #[cfg(unix)]
    pub(crate) fn available_space(&self) -> Result<u64, CacheError> {
        let bodies = &self.0.bodies;
        let disk = rustix::fs::statvfs(bodies);
        let disk = disk.map_err(|error| CacheError::file(bodies, error.into()))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// The bytes that the disk has room for: no bound is known.
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
