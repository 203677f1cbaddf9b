//! A disk that may be full and may lose power. It performs all operations in a real directory, and
//! knows which of them a power loss may undo: those that were not synced, each independently of the
//! others.
//!
//! SQLite writes its files itself. As in the recording file system of `bgfetch-store`, a commit
//! that was synced is durable with all earlier ones, and later ones may be, in order.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bgfetch_store::file_system::{FileSystem, Open, System};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Below this folder of the disk is the store.
pub(crate) const STORE: &str = "store";
/// Below this folder are files that workers saved.
pub(crate) const OUT: &str = "out";

/// A file or a directory, whatever its names are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Node(usize);

/// Clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct Disk(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    base: PathBuf,
    state: Mutex<State>,
    counted_down: Notify,
}

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<PathBuf, Node>,
    nodes: usize,
    inodes: HashMap<(u64, u64), Node>,
    files: BTreeMap<Node, Contents>,
    directories: BTreeMap<Node, Names>,
    database: Database,
    full: bool,
    /// The next sync of a body fails, or one has failed in this life.
    sync_fails: bool,
    sync_failed: bool,
    has_no_power: bool,
    count_down: Option<CountDown>,
}

/// Until the process ends.
#[derive(Debug)]
struct CountDown {
    operations: u64,
    /// Only answers count.
    answers: bool,
    loses_power: bool,
}

#[derive(Debug, Default)]
struct Contents {
    synced: Vec<u8>,
    pending: Vec<Change>,
    length: u64,
}

#[derive(Debug)]
enum Change {
    Write(u64, Vec<u8>),
    SetLength(u64),
}

#[derive(Debug, Default)]
struct Names {
    synced: BTreeMap<OsString, Node>,
    pending: Vec<Naming>,
}

#[derive(Debug)]
enum Naming {
    Set(OsString, Node),
    Remove(OsString),
    /// Within one directory.
    Rename(OsString, OsString),
}

/// The database and its log. Until the log starts again from its beginning, each commit is a length
/// of it.
#[derive(Debug, Default)]
struct Database {
    file: Vec<u8>,
    log: Vec<u8>,
    /// The length of the log at the last synced commit, and at those after it.
    commits: Vec<usize>,
    /// The log started again, so its length says nothing.
    started_again: bool,
}

impl Disk {
    /// The disk in this directory, everything in which is synced.
    pub(crate) fn in_directory(base: &Path) -> Self {
        let base = fs::canonicalize(base).unwrap();
        let mut state = State::default();
        state.find(&base);
        for folder in [STORE, OUT] {
            if !base.join(folder).exists() {
                fs::create_dir(base.join(folder)).unwrap();
                state.find_in(&base, &base.join(folder));
            }
        }
        Self(Arc::new(Shared { base, state: Mutex::new(state), counted_down: Notify::new() }))
    }

    pub(crate) fn path(&self, folder: &str) -> PathBuf {
        self.0.base.join(folder)
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.0.state.lock().full = full;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.0.state.lock().full
    }

    pub(crate) fn set_sync_fails(&self, fails: bool) {
        self.0.state.lock().sync_fails = fails;
    }

    /// Whether a sync failed since the last time this was asked.
    pub(crate) fn sync_failed(&self) -> bool {
        std::mem::take(&mut self.0.state.lock().sync_failed)
    }

    /// From now on, nothing reaches the disk.
    pub(crate) fn lose_power(&self) {
        self.0.state.lock().has_no_power = true;
    }

    pub(crate) fn has_power(&self) -> bool {
        !self.0.state.lock().has_no_power
    }

    /// Waits for so many operations, or so many `answers`, the last of which may lose the power.
    pub(crate) async fn count_down(&self, operations: u64, answers: bool, loses_power: bool) {
        let count_down = CountDown { operations, answers, loses_power };
        self.0.state.lock().count_down = Some(count_down);
        self.0.counted_down.notified().await;
    }

    /// The process has ended in another way.
    pub(crate) fn stop_count_down(&self) {
        self.0.state.lock().count_down = None;
    }

    /// The bytes of all bodies, by the number of the fetch.
    pub(crate) fn bodies(&self) -> BTreeMap<u64, u64> {
        let state = self.0.state.lock();
        let root = self.0.base.join(STORE).join("bodies");
        let mut bodies = BTreeMap::new();
        for (path, node) in &state.names {
            let Ok(below) = path.strip_prefix(&root) else { continue };
            let fetch = below.iter().next().and_then(|name| name.to_str()?.parse().ok());
            if let (Some(fetch), Some(file)) = (fetch, state.files.get(node)) {
                *bodies.entry(fetch).or_default() += file.length;
            }
        }
        bodies
    }

    /// The database as it is on the file system now. A process that ends in an orderly way leaves
    /// another one than a process that crashes.
    pub(crate) fn save_database(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let paths = ["store.sqlite3", "store.sqlite3-wal"];
        let paths = paths.map(|name| self.path(STORE).join(name));
        paths.into_iter().filter_map(|path| Some((path.clone(), fs::read(&path).ok()?))).collect()
    }

    /// What a power loss leaves, in the empty directory `to`. `keep` is called for each operation
    /// that was not synced.
    pub(crate) fn after_power_loss(&self, to: &Path, mut keep: impl FnMut() -> bool) -> Self {
        let mut state = self.0.state.lock();
        for file in state.files.values_mut() {
            file.bring(&mut keep);
        }
        for directory in state.directories.values_mut() {
            directory.bring(&mut keep);
        }
        state.write(Node(0), to);
        let Database { file, log, commits, .. } = &state.database;
        let mut commits = commits.as_slice();
        while let [_, later @ ..] = commits
            && !later.is_empty()
            && keep()
        {
            commits = later;
        }
        if let Some(length) = commits.first() {
            let store = to.join(STORE);
            fs::write(store.join("store.sqlite3"), file).unwrap();
            fs::write(store.join("store.sqlite3-wal"), &log[..*length]).unwrap();
        }
        drop(state);
        Self::in_directory(to)
    }

    /// Somebody was answered, after which the process may end.
    pub(crate) fn answered(&self) {
        self.count(&mut self.0.state.lock(), true);
    }

    fn count(&self, state: &mut State, answer: bool) {
        if let Some(count_down) = &mut state.count_down
            && count_down.answers == answer
        {
            count_down.operations = count_down.operations.saturating_sub(1);
            if count_down.operations == 0 {
                self.0.counted_down.notify_one();
                state.has_no_power |= count_down.loses_power;
                state.count_down = None;
            }
        }
    }

    /// The store frees its reserve to try a commit again.
    fn has_no_room(&self, state: &State) -> bool {
        state.full && self.path(STORE).join("reserve").exists()
    }

    /// Performs an operation, and notes what it did unless the power is lost by now.
    fn operate<T>(
        &self,
        perform: impl FnOnce(&State) -> io::Result<T>,
        note: impl FnOnce(&mut State, &T),
    ) -> io::Result<T> {
        let mut state = self.0.state.lock();
        let done = perform(&state)?;
        self.count(&mut state, false);
        if !state.has_no_power {
            note(&mut state, &done);
        }
        Ok(done)
    }
}

fn is_of_the_store_alone(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.contains(".sqlite3") || name == "lock" || name == "reserve"
}

fn inode(file: &File) -> (u64, u64) {
    let metadata = file.metadata().unwrap();
    (metadata.dev(), metadata.ino())
}

fn no_space() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

impl State {
    fn node(&mut self) -> Node {
        self.nodes += 1;
        Node(self.nodes - 1)
    }

    /// Takes over what is in the directory `path`, as synced.
    fn find(&mut self, path: &Path) {
        let node = self.node();
        self.names.insert(path.to_owned(), node);
        self.directories.insert(node, Names::default());
        let mut found: Vec<PathBuf> =
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        found.sort();
        for found in found.iter().filter(|found| !is_of_the_store_alone(found)) {
            self.find_in(path, found);
        }
    }

    fn find_in(&mut self, directory: &Path, path: &Path) {
        if path.is_dir() {
            self.find(path);
        } else {
            let node = self.node();
            let synced = fs::read(path).unwrap();
            let length = synced.len() as u64;
            self.names.insert(path.to_owned(), node);
            self.inodes.insert(inode(&File::open(path).unwrap()), node);
            self.files.insert(node, Contents { synced, pending: Vec::new(), length });
        }
        let (name, node) = (path.file_name().unwrap().to_owned(), self.names[path]);
        let directory = self.names[directory];
        self.directories.get_mut(&directory).unwrap().synced.insert(name, node);
    }

    fn directory(&mut self, path: &Path) -> Option<&mut Names> {
        let node = self.names.get(path.parent()?)?;
        self.directories.get_mut(node)
    }

    fn set(&mut self, path: &Path, node: Node) {
        self.names.insert(path.to_owned(), node);
        let name = path.file_name().unwrap().to_owned();
        if let Some(directory) = self.directory(path) {
            directory.pending.push(Naming::Set(name, node));
        }
    }

    fn remove(&mut self, path: &Path) {
        self.names.remove(path);
        let name = path.file_name().unwrap().to_owned();
        if let Some(directory) = self.directory(path) {
            directory.pending.push(Naming::Remove(name));
        }
    }

    /// The store renames only within one directory.
    fn rename(&mut self, from: &Path, to: &Path) {
        if let Some(node) = self.names.remove(from) {
            self.names.insert(to.to_owned(), node);
        }
        let name = |path: &Path| path.file_name().unwrap().to_owned();
        if let Some(directory) = self.directory(to) {
            directory.pending.push(Naming::Rename(name(from), name(to)));
        }
    }

    /// Only bodies that nobody else has may fail: nobody is told of an export that was not synced
    /// by the end of its event.
    fn fails_to_sync(&mut self, file: &File) -> bool {
        let node = self.inodes.get(&inode(file)).copied();
        let names = self.names.iter().filter(|(_, named)| Some(**named) == node);
        let is_body = |path: &Path| path.iter().any(|name| name == "bodies");
        let fails = self.sync_fails && names.map(|(path, _)| path).all(|path| is_body(path));
        self.sync_fails &= !fails;
        self.sync_failed |= fails;
        fails
    }

    fn file(&mut self, file: &File) -> Option<&mut Contents> {
        let node = self.inodes.get(&inode(file))?;
        self.files.get_mut(node)
    }

    fn write(&self, directory: Node, to: &Path) {
        for (name, node) in &self.directories[&directory].synced {
            let path = to.join(name);
            match self.files.get(node) {
                Some(file) => fs::write(path, &file.synced).unwrap(),
                None => {
                    fs::create_dir(&path).unwrap();
                    self.write(*node, &path);
                }
            }
        }
    }
}

impl Contents {
    fn change(&mut self, change: Change) {
        self.length = match &change {
            Change::Write(offset, bytes) => self.length.max(offset + bytes.len() as u64),
            Change::SetLength(length) => *length,
        };
        self.pending.push(change);
    }

    fn bring(&mut self, keep: &mut impl FnMut() -> bool) {
        for change in self.pending.drain(..).filter(|_| keep()) {
            match change {
                Change::Write(offset, bytes) => {
                    let start = usize::try_from(offset).unwrap();
                    let end = start + bytes.len();
                    self.synced.resize(self.synced.len().max(end), 0);
                    self.synced[start..end].copy_from_slice(&bytes);
                }
                Change::SetLength(length) => {
                    self.synced.resize(usize::try_from(length).unwrap(), 0);
                }
            }
        }
    }
}

impl Names {
    fn bring(&mut self, keep: &mut impl FnMut() -> bool) {
        for naming in self.pending.drain(..).filter(|_| keep()) {
            match naming {
                Naming::Set(name, node) => self.synced.insert(name, node),
                Naming::Remove(name) => self.synced.remove(&name),
                Naming::Rename(from, to) => {
                    self.synced.remove(&from).and_then(|node| self.synced.insert(to, node))
                }
            };
        }
    }
}

impl Database {
    fn committed(&mut self, directory: &Path, synced: bool) -> io::Result<()> {
        let path = directory.join("store.sqlite3-wal");
        let (mut header, mut length) = (Vec::new(), 0);
        let mut log = match File::open(&path) {
            Ok(log) => {
                length = usize::try_from(log.metadata()?.len()).unwrap();
                (&log).take(32).read_to_end(&mut header)?;
                Some(log)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let begins_alike = !header.is_empty() && self.log.starts_with(&header);
        let goes_on = begins_alike && !self.started_again && length >= self.log.len();
        if let Some(log) = log.as_mut().filter(|_| goes_on) {
            log.seek(SeekFrom::Start(self.log.len() as u64))?;
            log.read_to_end(&mut self.log)?;
        } else {
            // A log that is shorter than its file has been written from its beginning again.
            self.started_again = !self.log.is_empty() && !header.is_empty();
            self.file = fs::read(directory.join("store.sqlite3"))?;
            self.log = log.map_or(Ok(Vec::new()), |_| fs::read(&path))?;
            self.commits.clear();
        }
        if synced {
            self.commits.clear();
        }
        self.commits.push(self.log.len());
        Ok(())
    }
}

impl FileSystem for Disk {
    fn open(&self, path: &Path, how: Open) -> io::Result<File> {
        let existed = path.symlink_metadata().is_ok();
        let perform =
            |state: &State| match self.has_no_room(state) && !existed && how != Open::Existing {
                true => Err(no_space()),
                false => System.open(path, how),
            };
        self.operate(perform, |state, file| {
            if !state.names.contains_key(path) && !is_of_the_store_alone(path) {
                let node = state.node();
                state.inodes.insert(inode(file), node);
                state.files.insert(node, Contents::default());
                state.set(path, node);
            }
        })
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        // The last bytes that fit.
        let perform = |state: &State| match (self.has_no_room(state), bytes.len() / 2) {
            (true, 0) => Err(no_space()),
            (true, half) if file.metadata()?.len() % 2 == 0 => {
                System.write_at(file, &bytes[..half], offset)
            }
            (true, _) => Err(no_space()),
            (false, _) => System.write_at(file, bytes, offset),
        };
        self.operate(perform, |state, written| {
            if let Some(file) = state.file(file) {
                file.change(Change::Write(offset, bytes[..*written].to_vec()));
            }
        })
    }

    fn set_length(&self, file: &File, length: u64) -> io::Result<()> {
        self.operate(
            |_| System.set_length(file, length),
            |state, ()| {
                if let Some(file) = state.file(file) {
                    file.change(Change::SetLength(length));
                }
            },
        )
    }

    fn copy(&self, from: &File, length: u64, to: &File) -> io::Result<()> {
        let perform = |state: &State| match self.has_no_room(state) {
            true => Err(no_space()),
            false => System.copy(from, length, to),
        };
        self.operate(perform, |state, ()| {
            let mut bytes = vec![0; usize::try_from(to.metadata().unwrap().len()).unwrap()];
            to.read_exact_at(&mut bytes, 0).unwrap();
            if let Some(file) = state.file(to) {
                file.change(Change::Write(0, bytes));
            }
        })
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        if self.0.state.lock().fails_to_sync(file) {
            return Err(io::Error::other("the disk refuses to write"));
        }
        self.operate(
            |_| Ok(()),
            |state, ()| {
                if let Some(file) = state.file(file) {
                    file.bring(&mut || true);
                }
            },
        )
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let perform = |state: &State| match self.has_no_room(state) && !path.exists() {
            true => Err(no_space()),
            false => System.create_directory(path),
        };
        self.operate(perform, |state, ()| {
            let node = state.node();
            state.directories.insert(node, Names::default());
            state.set(path, node);
        })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operate(
            |_| System.link(from, to),
            |state, ()| {
                if let Some(node) = state.names.get(from).copied() {
                    state.set(to, node);
                }
            },
        )
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operate(|_| System.rename(from, to), |state, ()| state.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.operate(|_| System.remove_file(path), |state, ()| state.remove(path))
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.operate(|_| System.remove_directory(path), |state, ()| state.remove(path))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.operate(
            |_| Ok(()),
            |state, ()| {
                if let Some(node) = state.names.get(path)
                    && let Some(directory) = state.directories.get_mut(node)
                {
                    directory.bring(&mut || true);
                }
            },
        )
    }

    fn sync_all(&self, _: &Path) -> io::Result<()> {
        self.operate(
            |_| Ok(()),
            |state, ()| {
                state.files.values_mut().for_each(|file| file.bring(&mut || true));
                state.directories.values_mut().for_each(|names| names.bring(&mut || true));
            },
        )
    }

    fn committed(&self, directory: &Path, synced: bool) {
        let noted = self
            .operate(|_| Ok(()), |state, ()| state.database.committed(directory, synced).unwrap());
        noted.unwrap();
    }
}
