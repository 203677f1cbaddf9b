//! A store that dies at a chosen moment, as a process does: nothing later reaches the disk, and
//! nobody learns how far it got.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bgfetch::embedder::{
    Bodies, BodyKey, BodyReader, BodyWriter, Snapshot, StoredHead, Transaction,
};
use bgfetch::{FetchKey, Handover, RecordKey, SqliteStore, Store, StoreError, StoreOptions};
use tokio::sync::watch;

/// When a store dies; commits and writes are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    BeforeCommit(usize),
    /// The commit is durable, but nobody learns of it.
    AfterCommit(usize),
    /// Half of the bytes reach the file.
    InWrite(usize),
}

#[derive(Clone)]
pub(crate) struct Fate(Arc<Shared>);

struct Shared {
    moment: Moment,
    commits: AtomicUsize,
    writes: AtomicUsize,
    dead: watch::Sender<bool>,
}

impl Fate {
    pub(crate) fn new(moment: Moment) -> Self {
        Self(Arc::new(Shared {
            moment,
            commits: AtomicUsize::new(0),
            writes: AtomicUsize::new(0),
            dead: watch::Sender::new(false),
        }))
    }

    pub(crate) async fn died(&self) {
        let mut dead = self.0.dead.subscribe();
        dead.wait_for(|dead| *dead).await.expect("it is held here");
    }

    fn alive(&self) -> Result<(), StoreError> {
        match *self.0.dead.borrow() {
            true => Err(full_disk()),
            false => Ok(()),
        }
    }

    fn die(&self) -> StoreError {
        self.0.dead.send_replace(true);
        full_disk()
    }
}

fn full_disk() -> StoreError {
    StoreError::io("the store", io::ErrorKind::StorageFull.into())
}

pub(crate) struct Mortal {
    store: SqliteStore,
    fate: Fate,
}

impl Mortal {
    pub(crate) fn open(directory: &Path, fate: &Fate) -> Box<dyn Store> {
        let store = SqliteStore::open(directory, StoreOptions::default()).unwrap();
        let fate = fate.clone();
        Box::new(Self { store, fate })
    }
}

impl Store for Mortal {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        self.store.load()
    }

    fn commit(&mut self, batch: &[Transaction]) -> Result<(), StoreError> {
        self.fate.alive()?;
        let number = self.fate.0.commits.fetch_add(1, Ordering::Relaxed);
        if self.fate.0.moment == Moment::BeforeCommit(number) {
            return Err(self.fate.die());
        }
        self.store.commit(batch)?;
        if self.fate.0.moment == Moment::AfterCommit(number) {
            return Err(self.fate.die());
        }
        Ok(())
    }

    fn head(&mut self, record: RecordKey) -> Result<Option<StoredHead>, StoreError> {
        self.store.head(record)
    }

    fn bodies(&self) -> Arc<dyn Bodies> {
        Arc::new(MortalBodies { bodies: self.store.bodies(), fate: self.fate.clone() })
    }
}

struct MortalBodies {
    bodies: Arc<dyn Bodies>,
    fate: Fate,
}

impl MortalBodies {
    fn mortal(&self, writer: Box<dyn BodyWriter>) -> Box<dyn BodyWriter> {
        let fate = self.fate.clone();
        Box::new(MortalWriter { writer, fate })
    }
}

impl Bodies for MortalBodies {
    fn open_writer(&self, body: BodyKey, offset: u64) -> Result<Box<dyn BodyWriter>, StoreError> {
        self.fate.alive()?;
        Ok(self.mortal(self.bodies.open_writer(body, offset)?))
    }

    fn open_reader(&self, body: BodyKey) -> Result<Box<dyn BodyReader>, StoreError> {
        self.fate.alive()?;
        self.bodies.open_reader(body)
    }

    fn create_request_body(&self, record: RecordKey) -> Result<Box<dyn BodyWriter>, StoreError> {
        self.fate.alive()?;
        Ok(self.mortal(self.bodies.create_request_body(record)?))
    }

    fn open_request_body(&self, record: RecordKey) -> Result<Box<dyn BodyReader>, StoreError> {
        self.fate.alive()?;
        self.bodies.open_request_body(record)
    }

    fn export(
        &self,
        body: BodyKey,
        length: u64,
        to: &Path,
        how: Handover,
    ) -> Result<(), StoreError> {
        self.fate.alive()?;
        self.bodies.export(body, length, to, how)
    }

    fn found_exported(&self, fetch: FetchKey, path: &Path) {
        self.bodies.found_exported(fetch, path);
    }

    fn sync_exports(&self, fetch: FetchKey) -> Result<(), StoreError> {
        self.fate.alive()?;
        self.bodies.sync_exports(fetch)
    }
}

struct MortalWriter {
    writer: Box<dyn BodyWriter>,
    fate: Fate,
}

impl BodyWriter for MortalWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.fate.alive()?;
        let number = self.fate.0.writes.fetch_add(1, Ordering::Relaxed);
        if self.fate.0.moment == Moment::InWrite(number) {
            self.writer.write(&bytes[..bytes.len() / 2])?;
            return Err(self.fate.die());
        }
        self.writer.write(bytes)
    }

    fn length(&self) -> u64 {
        self.writer.length()
    }
}
