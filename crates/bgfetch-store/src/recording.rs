//! A file system for tests. It records all operations and rebuilds what a power loss at any moment
//! may leave behind.
//!
//! Only what was synced is certain to be left: bytes by a sync of their file, names by a sync of
//! their directory. Each other operation may or may not have reached the disk, independently of the
//! others.
//!
//! SQLite writes its files itself. This module relies on its contract: a commit with `synchronous =
//! FULL` is durable together with all earlier ones, and later commits may become durable, in order.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's tool may panic")]

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::file_system::{FileSystem, Open, System};

/// Records the operations below a directory and ignores all others. Clones share one record.
#[derive(Clone)]
pub struct Recorder(Arc<Shared>);

struct Shared {
    base: PathBuf,
    links: bool,
    record: Mutex<Record>,
}

/// Identifies a file or a directory independently of its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Node(usize);

const BASE: Node = Node(0);

struct Record {
    steps: Vec<Step>,
    names: BTreeMap<PathBuf, Node>,
    /// The files by device and inode.
    files: HashMap<(u64, u64), Node>,
    nodes: usize,
}

enum Step {
    /// It existed before the recording.
    Found(Node, Place, Kind),
    Create(Node, Place, Kind),
    Link(Node, Place),
    Remove(Place),
    /// Within one directory.
    Rename(Place, OsString),
    Change(Node, Change),
    Sync(Node),
    SyncAll,
    /// The database in this directory after a commit, and whether the commit was synced.
    Commit(Node, Arc<Database>, bool),
}

#[derive(Clone, Debug)]
struct Place {
    directory: Node,
    name: OsString,
}

#[derive(Clone)]
enum Kind {
    File(Arc<[u8]>),
    Directory,
}

enum Change {
    Write(u64, Arc<[u8]>),
    SetLength(u64),
}

/// The files of an SQLite database.
type Database = Vec<(OsString, Vec<u8>)>;

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("base", &self.0.base).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Records the operations below `base`, which must exist and is not removed.
    #[must_use]
    pub fn new(base: &Path) -> Self {
        Self::with(base, true)
    }

    /// The same, but files cannot be linked, as if each were in a different file system.
    #[must_use]
    pub fn without_links(base: &Path) -> Self {
        Self::with(base, false)
    }

    fn with(base: &Path, links: bool) -> Self {
        let base = fs::canonicalize(base).unwrap();
        let names = BTreeMap::from([(base.clone(), BASE)]);
        let record = Record { steps: Vec::new(), names, files: HashMap::new(), nodes: 1 };
        Self(Arc::new(Shared { base, links, record: Mutex::new(record) }))
    }

    /// How many steps were recorded. This is a moment that can be passed to [`image`](Self::image)
    /// later.
    #[must_use]
    pub fn now(&self) -> usize {
        self.0.record.lock().steps.len()
    }

    /// The moments right before and right after each sync, and the present one.
    #[must_use]
    pub fn sync_boundaries(&self) -> Vec<usize> {
        let record = self.0.record.lock();
        let syncs = record.steps.iter().enumerate().filter(|(_, step)| {
            matches!(step, Step::Sync(_) | Step::SyncAll | Step::Commit(_, _, true))
        });
        let mut moments: Vec<usize> = syncs.flat_map(|(at, _)| [at, at + 1]).collect();
        moments.push(record.steps.len());
        moments.dedup();
        moments
    }

    /// Writes to the empty directory `to` what is left of the base if the power is lost at this
    /// moment. `keep` is called for each operation that was not synced by then, in order, and
    /// decides whether it reached the disk anyway.
    pub fn image(&self, moment: usize, to: &Path, mut keep: impl FnMut() -> bool) {
        let mut disk = Disk::default();
        let record = self.0.record.lock();
        for step in &record.steps[..moment] {
            disk.apply(step);
        }
        disk.lose_power(&mut keep);
        disk.write(BASE, to);
    }
}

impl Record {
    fn node(&mut self) -> Node {
        self.nodes += 1;
        Node(self.nodes - 1)
    }

    /// The path relative to the base; `None` if it is not below the base.
    fn place(&mut self, base: &Path, path: &Path) -> Option<Place> {
        let path = std::path::absolute(path).unwrap();
        if !path.starts_with(base) || path == *base {
            return None;
        }
        let directory = self.directory(base, path.parent()?)?;
        Some(Place { directory, name: path.file_name()?.to_owned() })
    }

    fn directory(&mut self, base: &Path, path: &Path) -> Option<Node> {
        if let Some(node) = self.names.get(path) {
            return Some(*node);
        }
        let place = self.place(base, path)?;
        let node = self.node();
        self.names.insert(path.to_owned(), node);
        self.steps.push(Step::Found(node, place, Kind::Directory));
        Some(node)
    }

    fn file(&self, file: &File) -> Option<Node> {
        self.files.get(&inode(file)).copied()
    }

    fn change(&mut self, file: &File, change: Change) {
        if let Some(node) = self.file(file) {
            self.steps.push(Step::Change(node, change));
        }
    }

    fn rename(&mut self, base: &Path, from: &Path, to: &Path) {
        let places = (self.place(base, from), self.place(base, to));
        let (Some(old), Some(new)) = places else { return };
        let moved: Vec<PathBuf> =
            self.names.keys().filter(|path| path.starts_with(from)).cloned().collect();
        for path in moved {
            if let (Some(node), Ok(rest)) = (self.names.remove(&path), path.strip_prefix(from)) {
                let path = if rest == Path::new("") { to.to_owned() } else { to.join(rest) };
                self.names.insert(path, node);
            }
        }
        if old.directory == new.directory {
            self.steps.push(Step::Rename(old, new.name));
        } else if let Some(node) = self.names.get(to) {
            self.steps.push(Step::Link(*node, new));
            self.steps.push(Step::Remove(old));
        }
    }
}

fn inode(file: &File) -> (u64, u64) {
    let metadata = file.metadata().unwrap();
    (metadata.dev(), metadata.ino())
}

impl FileSystem for Recorder {
    fn open(&self, path: &Path, how: Open) -> io::Result<File> {
        let mut record = self.0.record.lock();
        let existed = path.symlink_metadata().is_ok();
        let file = System.open(path, how)?;
        let known = existed && record.names.contains_key(path);
        if !known && let Some(place) = record.place(&self.0.base, path) {
            let node = record.node();
            let step = if existed {
                Step::Found(node, place, Kind::File(fs::read(path)?.into()))
            } else {
                Step::Create(node, place, Kind::File(Arc::default()))
            };
            record.steps.push(step);
            record.names.insert(path.to_owned(), node);
            record.files.insert(inode(&file), node);
        }
        Ok(file)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut record = self.0.record.lock();
        let written = System.write_at(file, bytes, offset)?;
        record.change(file, Change::Write(offset, bytes[..written].into()));
        Ok(written)
    }

    fn set_length(&self, file: &File, length: u64) -> io::Result<()> {
        let mut record = self.0.record.lock();
        System.set_length(file, length)?;
        record.change(file, Change::SetLength(length));
        Ok(())
    }

    fn copy(&self, from: &File, length: u64, to: &File) -> io::Result<()> {
        let mut record = self.0.record.lock();
        System.copy(from, length, to)?;
        let mut bytes = vec![0; usize::try_from(to.metadata()?.len()).unwrap()];
        to.read_exact_at(&mut bytes, 0)?;
        record.change(to, Change::Write(0, bytes.into()));
        Ok(())
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let mut record = self.0.record.lock();
        if let Some(node) = record.file(file) {
            record.steps.push(Step::Sync(node));
        }
        Ok(())
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let mut record = self.0.record.lock();
        System.create_directory(path)?;
        if let Some(place) = record.place(&self.0.base, path) {
            let node = record.node();
            record.steps.push(Step::Create(node, place, Kind::Directory));
            record.names.insert(path.to_owned(), node);
        }
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        if !self.0.links {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        let mut record = self.0.record.lock();
        System.link(from, to)?;
        let (node, place) = (record.names.get(from).copied(), record.place(&self.0.base, to));
        if let (Some(node), Some(place)) = (node, place) {
            record.steps.push(Step::Link(node, place));
            record.names.insert(to.to_owned(), node);
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut record = self.0.record.lock();
        System.rename(from, to)?;
        record.rename(&self.0.base, from, to);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut record = self.0.record.lock();
        System.remove_file(path)?;
        record.names.remove(path);
        let place = record.place(&self.0.base, path);
        record.steps.extend(place.map(Step::Remove));
        Ok(())
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let mut record = self.0.record.lock();
        System.remove_directory(path)?;
        record.names.remove(path);
        let place = record.place(&self.0.base, path);
        record.steps.extend(place.map(Step::Remove));
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?;
        let mut record = self.0.record.lock();
        if let Some(node) = record.names.get(path).copied() {
            record.steps.push(Step::Sync(node));
        }
        Ok(())
    }

    fn sync_all(&self, _: &Path) -> io::Result<()> {
        self.0.record.lock().steps.push(Step::SyncAll);
        Ok(())
    }

    fn committed(&self, directory: &Path, synced: bool) {
        let mut record = self.0.record.lock();
        let mut database = Database::new();
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name().to_string_lossy().contains(".sqlite3") {
                database.push((entry.file_name(), fs::read(entry.path()).unwrap()));
            }
        }
        if let Some(node) = record.directory(&self.0.base, directory) {
            record.steps.push(Step::Commit(node, database.into(), synced));
        }
    }
}

/// What is on the disk, and what is not synced yet.
#[derive(Default)]
struct Disk<'a> {
    files: BTreeMap<Node, (Vec<u8>, Vec<&'a Change>)>,
    directories: BTreeMap<Node, (BTreeMap<OsString, Node>, Vec<Naming<'a>>)>,
    /// The last synced state of each database, and the later states.
    databases: BTreeMap<Node, Vec<&'a Database>>,
}

enum Naming<'a> {
    Set(&'a OsString, Node),
    Remove(&'a OsString),
    Rename(&'a OsString, &'a OsString),
}

impl<'a> Disk<'a> {
    fn apply(&mut self, step: &'a Step) {
        match step {
            Step::Found(node, place, kind) => {
                self.create(*node, kind);
                let (names, _) = self.directories.entry(place.directory).or_default();
                names.insert(place.name.clone(), *node);
            }
            Step::Create(node, place, kind) => {
                self.create(*node, kind);
                self.naming(place, Naming::Set(&place.name, *node));
            }
            Step::Link(node, place) => self.naming(place, Naming::Set(&place.name, *node)),
            Step::Remove(place) => self.naming(place, Naming::Remove(&place.name)),
            Step::Rename(place, to) => self.naming(place, Naming::Rename(&place.name, to)),
            Step::Change(node, change) => self.files.entry(*node).or_default().1.push(change),
            Step::Sync(node) => self.sync(*node),
            Step::SyncAll => {
                let nodes = self.files.keys().chain(self.directories.keys());
                for node in nodes.copied().collect::<Vec<_>>() {
                    self.sync(node);
                }
            }
            Step::Commit(directory, database, synced) => {
                let states = self.databases.entry(*directory).or_default();
                if *synced {
                    states.clear();
                }
                states.push(database);
            }
        }
    }

    fn create(&mut self, node: Node, kind: &Kind) {
        match kind {
            Kind::File(bytes) => self.files.insert(node, (bytes.to_vec(), Vec::new())).map(drop),
            Kind::Directory => self.directories.insert(node, Default::default()).map(drop),
        };
    }

    fn naming(&mut self, place: &Place, naming: Naming<'a>) {
        self.directories.entry(place.directory).or_default().1.push(naming);
    }

    fn sync(&mut self, node: Node) {
        self.bring(node, &mut || true);
    }

    /// Applies the pending operations of a file or a directory that `keep` selects, and discards
    /// the others.
    fn bring(&mut self, node: Node, keep: &mut dyn FnMut() -> bool) {
        if let Some((bytes, pending)) = self.files.get_mut(&node) {
            pending.drain(..).filter(|_| keep()).for_each(|change| change.apply(bytes));
        }
        if let Some((names, pending)) = self.directories.get_mut(&node) {
            pending.drain(..).filter(|_| keep()).for_each(|naming| naming.apply(names));
        }
    }

    fn lose_power(&mut self, keep: &mut dyn FnMut() -> bool) {
        let nodes = self.files.keys().chain(self.directories.keys());
        for node in nodes.copied().collect::<Vec<_>>() {
            self.bring(node, keep);
        }
        for states in self.databases.values_mut() {
            while states.len() > 1 && keep() {
                states.remove(0);
            }
        }
    }

    fn write(&self, directory: Node, to: &Path) {
        for (name, node) in self.directories.get(&directory).iter().flat_map(|(names, _)| names) {
            let path = to.join(name);
            match self.files.get(node) {
                Some((bytes, _)) => fs::write(path, bytes).unwrap(),
                None => {
                    fs::create_dir(&path).unwrap();
                    self.write(*node, &path);
                }
            }
        }
        let state = self.databases.get(&directory).and_then(|states| states.first());
        for (name, bytes) in state.into_iter().flat_map(|state| state.iter()) {
            fs::write(to.join(name), bytes).unwrap();
        }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, written) => {
                let start = usize::try_from(*offset).unwrap();
                let end = start + written.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[start..end].copy_from_slice(written);
            }
            Self::SetLength(length) => bytes.resize(usize::try_from(*length).unwrap(), 0),
        }
    }
}

impl Naming<'_> {
    fn apply(&self, names: &mut BTreeMap<OsString, Node>) {
        match self {
            Self::Set(name, node) => names.insert((*name).clone(), *node).map(drop),
            Self::Remove(name) => names.remove(*name).map(drop),
            Self::Rename(from, to) => {
                let node = names.remove(*from);
                node.and_then(|node| names.insert((*to).clone(), node)).map(drop)
            }
        };
    }
}
