//! The store over SQLite and files.

mod apply;
mod error;
mod load;
mod open;
mod recover;
mod schema;
mod values;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bgfetch_model::ids::{BodyKey, FetchKey, Generation, RecordIndex, RecordKey};
use bgfetch_model::store_op::{Snapshot, Sync, Transaction};
use crossbeam_channel::Receiver;
use rusqlite::{Connection, params};

use self::apply::{After, Removal, apply, key};
use self::open::set_synchronous;
use self::schema::DATABASE;
use self::values::unsigned;
#[cfg(doc)]
use crate::PrivateDirectory;
use crate::bodies::BodyStorage;
use crate::bodies::arena::ArenaBodies;
use crate::bodies::files::FileBodies;
use crate::bodies::folder::BodyFolder;
use crate::bodies::syncer::{self, SYNC_EVERY, Synced};
use crate::file_system::{FileSystem, System};
use crate::lock::StoreLock;
use crate::platform;
use crate::reserve::Reserve;
use crate::{Bodies, Store, StoreError, StoredHead};

/// What an acknowledged transaction survives. With either, nothing is lost when the process dies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// Nothing is synced while the store is in use. After a reboot without an orderly
    /// [`close`](Store::close), downloaded bytes are fetched again and stored request bodies are
    /// lost.
    Process,
    /// Transactions that ask for a [`Sync`] survive a power loss, with the bodies that they name.
    /// So do the ends of fetches. Bodies are also synced while they grow, whenever 32 MiB of all of
    /// them together are not synced. A power loss costs at most these and the bytes that arrive
    /// during a sync. This is the default.
    #[default]
    Power,
}

/// How to open a [`SqliteStore`].
#[derive(Clone, Debug)]
pub struct Options {
    durability: Durability,
    boot_id: Option<String>,
    files: Arc<dyn FileSystem>,
    sync_every: u64,
    inline: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            boot_id: None,
            files: Arc::new(System),
            sync_every: SYNC_EVERY,
            inline: false,
        }
    }
}

impl Options {
    /// Sets the durability; [`Durability::Power`] by default.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets the boot id, so that tests can simulate a reboot.
    #[doc(hidden)]
    #[must_use]
    pub fn boot_id(mut self, id: impl Into<String>) -> Self {
        self.boot_id = Some(id.into());
        self
    }

    /// Uses this file system, so that tests can simulate a power loss.
    #[doc(hidden)]
    #[must_use]
    pub fn file_system(mut self, files: impl FileSystem) -> Self {
        self.files = Arc::new(files);
        self
    }

    /// Sets after how many bytes growing bodies are synced, so that tests need fewer.
    #[doc(hidden)]
    #[must_use]
    pub fn sync_every(mut self, bytes: u64) -> Self {
        self.sync_every = bytes;
        self
    }

    /// Starts no thread: growing bodies are synced by the write that is due, so that tests can run
    /// on one thread.
    #[doc(hidden)]
    #[must_use]
    pub fn inline(mut self) -> Self {
        self.inline = true;
        self
    }
}

/// A [`Store`] in a directory, or an ephemeral one.
///
/// ```no_run
/// use bgfetch_store::{Ack, Options, SqliteStore, Store, StoreThread};
///
/// # fn main() -> Result<(), bgfetch_store::StoreError> {
/// let mut store = SqliteStore::open("/var/lib/agent".as_ref(), Options::default())?;
/// let snapshot = store.load()?;
/// let bodies = store.bodies();
/// let thread = StoreThread::start(Box::new(store), |ack| match ack {
///     Ack::Committed(id) => println!("{id:?} is durable"),
///     Ack::Failed(error) => eprintln!("{error}"),
/// })?;
/// # drop((snapshot, bodies));
/// thread.shutdown()
/// # }
/// ```
pub struct SqliteStore {
    connection: Connection,
    /// Where the database is, and in which file system; `None` if it is in memory.
    place: Option<(PathBuf, Arc<dyn FileSystem>)>,
    bodies: Arc<dyn BodyStorage>,
    durability: Durability,
    /// The snapshot that was read when opening, until the first commit.
    snapshot: Option<Snapshot>,
    synced: Receiver<Synced>,
    wakeups: Receiver<()>,
    /// `None` if there is no directory.
    reserve: Option<Reserve>,
    /// Declared last, so that the lock is released after everything else is closed.
    _lock: Option<StoreLock>,
}

impl SqliteStore {
    /// Whether there is a store in `directory`, so that [`open`](Self::open) would not create one.
    ///
    /// # Errors
    /// [`StoreError::Io`] if that cannot be determined.
    pub fn exists(directory: &Path) -> Result<bool, StoreError> {
        let database = directory.join(DATABASE);
        database.try_exists().map_err(|error| StoreError::io(database, error))
    }

    /// Opens the store in `directory`, creating both if they are missing, and recovers it. The
    /// directory is private to its user: see [`PrivateDirectory`].
    ///
    /// All writers of an earlier opening must have been dropped: they would continue to write.
    ///
    /// # Errors
    /// - [`StoreError::Untrusted`]: another user may have made the store or changed it.
    /// - [`StoreError::InUse`]: this process or another one has it open.
    /// - [`StoreError::NewerVersion`]: nothing was changed.
    /// - [`StoreError::Damaged`]: the store was moved aside, and the next call starts with an empty
    ///   one.
    /// - [`StoreError::DiskFull`], [`StoreError::Io`], [`StoreError::Database`].
    pub fn open(directory: &Path, options: Options) -> Result<Self, StoreError> {
        let files = options.files;
        let private = open::private_directory(&*files, directory)?;
        let directory = private.path();
        let lock = StoreLock::acquire(directory)?;
        let folder = BodyFolder::of_store(directory, Arc::clone(&files));
        let boot_id = options.boot_id.or_else(platform::boot_id);
        let reserve = Reserve::of_store(directory);
        let recover = || open::recovered(directory, &folder, boot_id.as_deref());
        let (connection, snapshot, unsynced) = with_reserve(Some(&reserve), is_full, recover)?;
        reserve.take();
        let (growing, synced, wakeups) = match options.durability {
            Durability::Process => {
                let (synced, wakeups) = (crossbeam_channel::never(), crossbeam_channel::never());
                (None, synced, wakeups)
            }
            Durability::Power => {
                let syncer =
                    syncer::start(folder.clone(), options.sync_every, options.inline, &unsynced)?;
                (Some(syncer.growing), syncer.synced, syncer.wakeups)
            }
        };
        Ok(Self {
            connection,
            place: Some((directory.to_owned(), Arc::clone(&files))),
            bodies: Arc::new(FileBodies::new(folder, files, growing)),
            durability: options.durability,
            snapshot: Some(snapshot),
            synced,
            wakeups,
            reserve: Some(reserve),
            _lock: Some(lock),
        })
    }

    /// A store for private browsing. Its metadata is in memory and its bodies are in an unnamed
    /// temporary file, so nothing is left when the process ends, even by a crash.
    ///
    /// # Errors
    /// [`StoreError::Io`] or [`StoreError::DiskFull`] if there is no space for temporary files.
    pub fn ephemeral() -> Result<Self, StoreError> {
        Ok(Self {
            connection: open::in_memory()?,
            place: None,
            bodies: Arc::new(ArenaBodies::new()?),
            durability: Durability::Process,
            snapshot: None,
            synced: crossbeam_channel::never(),
            wakeups: crossbeam_channel::never(),
            reserve: None,
            _lock: None,
        })
    }

    fn committed(&self, synced: bool) {
        if let Some((directory, files)) = &self.place {
            files.committed(directory, synced);
        }
    }

    /// Makes a change to the database. If the disk is too full, tries again with the reserve.
    fn write(
        &mut self,
        mut change: impl FnMut(&mut Self) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let reserve = self.reserve.clone();
        with_reserve(reserve.as_ref(), is_full, || change(self))
    }

    fn try_commit(
        &mut self,
        batch: &[Transaction],
        synced: &[Vec<(BodyKey, u64)>],
        wanted: &Wanted,
    ) -> Result<(), StoreError> {
        set_synchronous(&self.connection, wanted.log)?;
        let mut after = After::default();
        let transaction = self.connection.transaction()?;
        for op in batch.iter().flat_map(|transaction| &transaction.ops) {
            apply(&transaction, op, &mut after)?;
        }
        for (body, length) in synced.iter().flatten() {
            set_watermark(&transaction, *body, *length)?;
        }
        let reserve = self.reserve.as_ref();
        adopt_bodies(&*self.bodies, &after.adoptions, reserve, self.durability)?;
        sync_bodies(&transaction, &*self.bodies, wanted)?;
        if self.durability == Durability::Power {
            sync_exports(&*self.bodies, &after);
        }
        transaction.commit()?;
        self.committed(wanted.log);
        for removal in after.removals {
            remove(&*self.bodies, removal);
        }
        Ok(())
    }

    fn try_close(&mut self) -> Result<(), StoreError> {
        set_synchronous(&self.connection, true)?;
        let transaction = self.connection.transaction()?;
        let mut grown = Vec::new();
        for (body, synced) in recover::watermarks(&transaction)? {
            if self.bodies.length(body)? > synced {
                grown.push(body);
            }
        }
        let fetches = transaction
            .prepare("SELECT key FROM fetch WHERE requests_synced = 0")?
            .query_map([], |row| unsigned(row, 0).map(FetchKey))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let lengths = self.bodies.sync(&grown, &fetches)?;
        for (body, length) in grown.into_iter().zip(lengths) {
            set_watermark(&transaction, body, length)?;
        }
        transaction.execute("UPDATE fetch SET requests_synced = 1", [])?;
        recover::set_closed(&transaction, true)?;
        transaction.commit()?;
        self.committed(true);
        Ok(())
    }
}

impl Store for SqliteStore {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        match self.snapshot.take() {
            Some(snapshot) => Ok(snapshot),
            None => load::snapshot(&self.connection, &|body| self.bodies.length(body)),
        }
    }

    fn commit(&mut self, batch: &[Transaction]) -> Result<(), StoreError> {
        let synced = self.synced.try_iter().collect::<Result<Vec<_>, _>>()?;
        if batch.is_empty() && synced.is_empty() {
            return Ok(());
        }
        self.snapshot = None;
        // A watermark says that bytes are on disk, so the commit that names their generation must
        // be on disk too.
        let mut wanted = Wanted { log: !synced.is_empty(), ..Wanted::default() };
        if self.durability == Durability::Power {
            batch.iter().for_each(|transaction| wanted.add(transaction));
        }
        self.write(|store| store.try_commit(batch, &synced, &wanted))
    }

    fn head(&mut self, record: RecordKey) -> Result<Option<StoredHead>, StoreError> {
        load::head(&self.connection, record)
    }

    fn bodies(&self) -> Arc<dyn Bodies> {
        Arc::clone(&self.bodies) as Arc<dyn Bodies>
    }

    fn wakeups(&self) -> Receiver<()> {
        self.wakeups.clone()
    }

    /// Syncs everything, whatever the durability, so that a reboot after an orderly end loses
    /// nothing.
    fn close(&mut self) -> Result<(), StoreError> {
        self.commit(&[])?;
        self.write(Self::try_close)
    }
}

/// Whether the disk was too full for the database, rather than for a body. The sync of a body must
/// not be repeated after an error: the system may have dropped what it could not write.
fn is_full(error: &StoreError) -> bool {
    matches!(error, StoreError::DiskFull { path, .. } if path == Path::new(DATABASE))
}

/// Makes a change. If the disk is too full for it, frees the reserve and tries again.
fn with_reserve<T>(
    reserve: Option<&Reserve>,
    is_full: impl FnOnce(&StoreError) -> bool,
    mut change: impl FnMut() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    match (change(), reserve) {
        (Err(error), Some(reserve)) if is_full(&error) && reserve.release() => {
            let changed = change();
            // Before bodies take the space.
            reserve.take();
            changed
        }
        (changed, _) => changed,
    }
}

/// What must be on disk before a batch is acknowledged.
#[derive(Default)]
struct Wanted {
    requests: BTreeSet<FetchKey>,
    /// The finished bodies of a fetch: all of them, or that of one record.
    responses: BTreeSet<(FetchKey, Option<RecordIndex>)>,
    /// The write-ahead log.
    log: bool,
}

impl Wanted {
    fn add(&mut self, transaction: &Transaction) {
        self.log |= !transaction.syncs.is_empty();
        for sync in &transaction.syncs {
            match *sync {
                Sync::Steps => {}
                Sync::RequestBodies(fetch) => {
                    self.requests.insert(fetch);
                }
                Sync::ResponseBody(RecordKey { fetch, index }) => {
                    self.responses.insert((fetch, Some(index)));
                }
                Sync::ResponseBodies(fetch) => {
                    self.responses.insert((fetch, None));
                }
            }
        }
    }
}

fn set_watermark(sql: &Connection, body: BodyKey, length: u64) -> rusqlite::Result<()> {
    sql.prepare_cached(
        "UPDATE record SET synced = max(synced, ?) \
         WHERE fetch = ? AND position = ? AND generation = ?",
    )?
    .execute(params![
        length.cast_signed(),
        key(body.record.fetch),
        body.record.index.0,
        body.generation.0
    ])?;
    Ok(())
}

/// Syncs the bodies that `wanted` names, as they are in the open transaction, and notes that in it.
fn sync_bodies(
    sql: &Connection,
    bodies: &dyn BodyStorage,
    wanted: &Wanted,
) -> Result<(), StoreError> {
    let mut responses = Vec::new();
    let mut stored = Vec::new();
    for (fetch, index) in &wanted.responses {
        let mut statement = sql.prepare_cached(
            "SELECT position, generation, stored FROM record \
             WHERE fetch = ?1 AND (?2 IS NULL OR position = ?2) \
             AND result IS NOT NULL AND stored > synced",
        )?;
        let mut rows = statement.query(params![key(*fetch), index.map(|index| index.0)])?;
        while let Some(row) = rows.next()? {
            responses.push(BodyKey {
                record: RecordKey { fetch: *fetch, index: RecordIndex(row.get(0)?) },
                generation: Generation(row.get(1)?),
            });
            stored.push(unsigned(row, 2)?);
        }
    }
    let requests: Vec<FetchKey> = wanted.requests.iter().copied().collect();
    let lengths = bodies.sync(&responses, &requests)?;
    for ((body, stored), length) in responses.iter().zip(stored).zip(lengths) {
        if length < stored {
            let record = body.record;
            return Err(StoreError::Misuse(format!(
                "record {record} was settled with {stored} bytes where {length} are stored"
            )));
        }
        set_watermark(sql, *body, stored)?;
    }
    for (fetch, _) in wanted.responses.iter().filter(|(_, index)| index.is_none()) {
        bodies.finished_synced(*fetch);
    }
    for fetch in requests {
        sql.prepare_cached("UPDATE fetch SET requests_synced = 1 WHERE key = ?")?
            .execute([key(fetch)])?;
    }
    Ok(())
}

/// Gives bodies the names of the records that adopt them, which must be on disk before the commit
/// after which the old names are deleted.
fn adopt_bodies(
    bodies: &dyn BodyStorage,
    adoptions: &[(BodyKey, BodyKey)],
    reserve: Option<&Reserve>,
    durability: Durability,
) -> Result<(), StoreError> {
    for (from, to) in adoptions {
        // New names need room, like metadata.
        with_reserve(reserve, StoreError::is_disk_full, || bodies.adopt(*from, *to))?;
    }
    if durability == Durability::Power {
        let adopted: Vec<_> = adoptions.iter().map(|(_, to)| *to).collect();
        bodies.sync(&adopted, &[])?;
    }
    Ok(())
}

/// Brings exported files to disk before the end of their event is reported, and before the store
/// deletes its own.
fn sync_exports(bodies: &dyn BodyStorage, after: &After) {
    for fetch in after.over() {
        if let Err(error) = bodies.sync_exports(fetch) {
            // The folder is not the store's. A caller that needs to know about errors has called
            // `sync_exports` before.
            tracing::warn!(%error, "files that were handed over may be lost with the power");
        }
    }
}

/// Deletes what a commit made superfluous. What cannot be deleted is an orphan that the next start
/// removes.
fn remove(bodies: &dyn BodyStorage, removal: Removal) {
    let removed = match removal {
        Removal::Body(body) => bodies.remove(body),
        Removal::Fetch(fetch) => bodies.remove_fetch(fetch),
    };
    if let Err(error) = removed {
        tracing::warn!(%error, "bytes that are no longer needed were not deleted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The results of attempts to write, of which the first fails with this error, and whether the
    /// reserve was there in each.
    fn attempts(store: &mut SqliteStore, error: impl FnOnce() -> StoreError) -> (bool, Vec<bool>) {
        let (mut error, mut reserves) = (Some(error()), Vec::new());
        let written = store.write(|store| {
            let place = store.place.as_ref().map(|(directory, _)| directory.join("reserve"));
            reserves.push(place.is_some_and(|reserve| reserve.exists()));
            error.take().map_or(Ok(()), Err)
        });
        (written.is_ok(), reserves)
    }

    fn full(path: &str) -> StoreError {
        StoreError::io(path, std::io::ErrorKind::StorageFull.into())
    }

    #[test]
    fn what_the_database_has_no_room_for_is_written_again_with_the_reserve() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = SqliteStore::open(directory.path(), Options::default()).unwrap();
        assert_eq!(attempts(&mut store, || full(DATABASE)), (true, vec![true, false]));
        let reserve = directory.path().join("reserve");
        assert!(reserve.exists(), "it is taken again");
        assert_eq!(attempts(&mut store, || full("bodies/0/0.1")), (false, vec![true]));
        assert_eq!(attempts(&mut store, || StoreError::Stopped), (false, vec![true]));
        std::fs::remove_file(&reserve).unwrap();
        assert_eq!(attempts(&mut store, || full(DATABASE)), (false, vec![false]));
        assert!(!reserve.exists());
        let mut ephemeral = SqliteStore::ephemeral().unwrap();
        assert_eq!(attempts(&mut ephemeral, || full(DATABASE)), (false, vec![false]));
    }
}
