//! The files of bodies, by number.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{CacheStore, Inner};

/// The state of the files.
pub(super) struct Bodies {
    folder: PathBuf,
    next: i64,
    /// The files that handles refer to; others belong to an entry or do not exist.
    held: HashMap<i64, Held>,
}

struct Held {
    by: usize,
    /// Whether an entry has the file.
    in_entry: bool,
}

impl Bodies {
    pub(super) fn new(folder: PathBuf, next: i64) -> Self {
        Self { folder, next, held: HashMap::new() }
    }

    /// The entries with these files were deleted.
    pub(super) fn release(&mut self, bodies: impl IntoIterator<Item = i64>) {
        for body in bodies {
            match self.held.get_mut(&body) {
                Some(held) => held.in_entry = false,
                None => remove(&path(&self.folder, body)),
            }
        }
    }

    /// An entry has this file now.
    pub(super) fn keep(&mut self, body: &BodyFile) {
        if let Some(held) = self.held.get_mut(&body.0.number) {
            held.in_entry = true;
        }
    }
}

/// The file of a body. It exists as long as an entry has it or a handle refers to it.
#[derive(Clone)]
pub(super) struct BodyFile(Arc<Hold>);

struct Hold {
    inner: Arc<Inner>,
    number: i64,
}

impl BodyFile {
    /// A new file for writing, which no entry has yet.
    pub(super) fn new(store: &CacheStore) -> Self {
        let bodies = &mut store.0.state.lock().bodies;
        let number = bodies.next;
        bodies.next += 1;
        bodies.held.insert(number, Held { by: 1, in_entry: false });
        Self(Arc::new(Hold { inner: Arc::clone(&store.0), number }))
    }

    /// The file of an entry whose row was just read.
    pub(super) fn of_entry(store: &CacheStore, bodies: &mut Bodies, number: i64) -> Self {
        let held = bodies.held.entry(number).or_insert(Held { by: 0, in_entry: true });
        held.by += 1;
        Self(Arc::new(Hold { inner: Arc::clone(&store.0), number }))
    }

    pub(super) fn number(&self) -> i64 {
        self.0.number
    }

    pub(super) fn path(&self) -> PathBuf {
        path(&self.0.inner.bodies, self.0.number)
    }

    /// Syncs the file and its name. Returns its length in bytes.
    pub(super) fn sync(&self) -> io::Result<u64> {
        let file = File::open(self.path())?;
        file.sync_all()?;
        File::open(&self.0.inner.bodies)?.sync_all()?;
        Ok(file.metadata()?.len())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let bodies = &mut self.inner.state.lock().bodies;
        let Some(held) = bodies.held.get_mut(&self.number) else { return };
        held.by -= 1;
        if held.by > 0 {
            return;
        }
        if !held.in_entry {
            remove(&path(&self.inner.bodies, self.number));
        }
        bodies.held.remove(&self.number);
    }
}

fn path(folder: &Path, body: i64) -> PathBuf {
    folder.join(body.to_string())
}

/// Deletes an unused file. If that fails, the file only takes space.
pub(super) fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %path.display(), "a cached body was not deleted");
        }
        _ => {}
    }
}
