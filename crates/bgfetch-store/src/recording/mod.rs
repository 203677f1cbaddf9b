//! A file system for tests. A [`Recorder`] records all operations and rebuilds what a crash at any
//! moment may leave behind: a [`Loss`] says how much of them is lost. [`Promises`] checks at every
//! moment that what was reported by then is left.
//!
//! Bytes, lengths and names are recorded, but no permissions. What exists when a recording begins
//! counts as being on disk, unless a process left it whose operations were recorded.
//!
//! SQLite writes its files itself, and replacing its file layer would need unsafe code. This module
//! relies on its contract: a commit is atomic, and with `synchronous = FULL` it is durable together
//! with all earlier ones and the names of the files; later commits may become durable, in order. So
//! no crash happens within a commit. The lock and the reserve are not recorded either, as they
//! contain no data.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's tool may panic"
)]

mod disk;
mod loss;
mod promises;

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

pub use self::loss::Loss;
pub use self::promises::{BOOT, Left, Promises};

use self::disk::Disk;
use crate::file_system::{FileSystem, Open, System};

/// Records the operations below a directory and ignores all others. Clones share one record.
#[derive(Clone)]
pub struct Recorder(Arc<Shared>);

struct Shared {
    links: bool,
    /// How many steps there are for what existed before.
    start: usize,
    record: Mutex<Record>,
}

/// Identifies a file or a directory independently of its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Node(usize);

const BASE: Node = Node(0);

struct Record {
    base: PathBuf,
    steps: Vec<Step>,
    names: BTreeMap<PathBuf, Node>,
    /// The files by device and inode.
    files: HashMap<(u64, u64), Node>,
    nodes: usize,
}

#[derive(Clone)]
enum Step {
    /// It existed before the recording.
    Found(Node, Place, Kind),
    Create(Node, Place, Kind),
    Link(Node, Place),
    Remove(Place),
    /// Within one directory.
    Rename(Place, OsString),
    /// To another directory. What is moved is a new file with these bytes, if there are any.
    Move(Node, Option<Arc<[u8]>>, Place, Place),
    Change(Node, Change),
    /// With what is synced, for people.
    Sync(Node, String),
    SyncAll,
    /// The database in this directory after a commit, and whether the commit was synced.
    Commit(Node, Arc<Database>, bool),
}

impl Step {
    fn is_sync(&self) -> bool {
        matches!(self, Self::Sync(..) | Self::SyncAll | Self::Commit(_, _, true))
    }
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

#[derive(Clone)]
enum Change {
    Write(u64, Arc<[u8]>),
    SetLength(u64),
}

/// The files of an SQLite database.
type Database = Vec<(OsString, Node, Vec<u8>)>;

fn is_of_database(name: &OsStr) -> bool {
    name.to_string_lossy().contains(".sqlite3")
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = &self.0.record.lock().base;
        f.debug_struct("Recorder").field("base", base).finish_non_exhaustive()
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
        let mut record = Record { base, steps: Vec::new(), names, files: HashMap::new(), nodes: 1 };
        record.find_all_in(&record.base.clone());
        Self::go_on(links, record)
    }

    fn go_on(links: bool, record: Record) -> Self {
        Self(Arc::new(Shared { links, start: record.steps.len(), record: Mutex::new(record) }))
    }

    /// Writes an [`image`](Self::image) to `to`, and records the operations of the next start
    /// there. If only the process died, what it had not synced is still not synced.
    #[must_use]
    pub fn next_start(&self, moment: usize, to: &Path, loss: Loss) -> Self {
        self.image(moment, to, loss);
        if loss != Loss::Process {
            return Self::with(to, self.0.links);
        }
        let base = fs::canonicalize(to).unwrap();
        let record = self.0.record.lock();
        let names = record.disk(0..0, moment, loss).names(&base);
        let files = names.iter().filter(|(path, _)| path.is_file());
        let files = files.map(|(path, node)| (inode(&path.metadata().unwrap()), *node)).collect();
        let (steps, nodes) = (record.steps[..moment].to_vec(), record.nodes);
        Self::go_on(self.0.links, Record { base, steps, names, files, nodes })
    }

    /// The moment before the first operation.
    #[must_use]
    pub fn start(&self) -> usize {
        self.0.start
    }

    /// How many steps were recorded. This is a moment that can be passed to [`image`](Self::image)
    /// later.
    #[must_use]
    pub fn now(&self) -> usize {
        self.0.record.lock().steps.len()
    }

    /// The syncs, each with the number of its step and what it brings to disk. In paths, numbers
    /// are replaced by `#`.
    #[must_use]
    pub fn syncs(&self) -> Vec<(usize, String)> {
        let record = self.0.record.lock();
        let what = |step: &Step| match step {
            Step::Sync(_, what) => Some(what.clone()),
            Step::SyncAll => Some("everything".into()),
            Step::Commit(_, _, true) => Some("a commit".into()),
            _ => None,
        };
        let steps = record.steps.iter().enumerate();
        steps.filter_map(|(at, step)| Some((at, what(step)?))).collect()
    }

    /// The moments right before and right after each sync, and the present one.
    #[must_use]
    pub fn sync_boundaries(&self) -> Vec<usize> {
        let syncs = self.syncs().into_iter();
        let mut moments: Vec<usize> = syncs.flat_map(|(at, _)| [at, at + 1]).collect();
        moments.push(self.now());
        moments.dedup();
        moments
    }

    /// Writes to the empty directory `to` what is left of the base after a crash at this moment.
    pub fn image(&self, moment: usize, to: &Path, loss: Loss) {
        self.image_without(0..0, moment, to, loss);
    }

    /// The same if the syncs among these steps did nothing, although they reported success.
    pub fn image_without(&self, syncs: Range<usize>, moment: usize, to: &Path, loss: Loss) {
        self.0.record.lock().disk(syncs, moment, loss).write(to);
    }
}

impl Record {
    /// What is on the disk after a crash. The syncs among the steps `without` did nothing.
    fn disk(&self, without: Range<usize>, moment: usize, loss: Loss) -> Disk<'_> {
        let mut disk = Disk::new(loss);
        for (at, step) in self.steps[..moment].iter().enumerate() {
            if without.contains(&at) && step.is_sync() {
                disk.skip_sync(step);
            } else {
                disk.apply(at, step);
            }
        }
        disk.crash(moment);
        disk
    }

    fn node(&mut self) -> Node {
        self.nodes += 1;
        Node(self.nodes - 1)
    }

    /// Where a path is; `None` if it is not below the base.
    fn place(&mut self, path: &Path) -> Option<Place> {
        let path = std::path::absolute(path).unwrap();
        if !path.starts_with(&self.base) || path == self.base {
            return None;
        }
        let directory = self.find(path.parent()?)?;
        Some(Place { directory, name: path.file_name()?.to_owned() })
    }

    /// What has this name. If it is not known yet, it existed before the recording.
    fn find(&mut self, path: &Path) -> Option<Node> {
        if let Some(node) = self.names.get(path) {
            return Some(*node);
        }
        let place = self.place(path)?;
        let metadata = path.symlink_metadata().ok()?;
        let linked = self.files.get(&inode(&metadata)).filter(|_| metadata.nlink() > 1);
        let (node, kind) = match linked.copied() {
            _ if metadata.is_dir() => (self.node(), Kind::Directory),
            Some(node) => (node, Kind::File(fs::read(path).ok()?.into())),
            None => (self.node(), Kind::File(fs::read(path).ok()?.into())),
        };
        self.names.insert(path.to_owned(), node);
        self.steps.push(Step::Found(node, place, kind));
        if metadata.is_dir() {
            self.find_all_in(path);
        } else {
            self.files.insert(inode(&metadata), node);
        }
        Some(node)
    }

    fn find_all_in(&mut self, directory: &Path) {
        for entry in fs::read_dir(directory).unwrap() {
            self.find(&entry.unwrap().path());
        }
    }

    fn file(&self, file: &File) -> Option<Node> {
        self.files.get(&inode(&file.metadata().unwrap())).copied()
    }

    fn create(&mut self, path: &Path, place: Place, kind: Kind) -> Node {
        let node = self.node();
        self.names.insert(path.to_owned(), node);
        self.steps.push(Step::Create(node, place, kind));
        node
    }

    fn change(&mut self, file: &File, change: Change) {
        if let Some(node) = self.file(file) {
            self.steps.push(Step::Change(node, change));
        }
    }

    fn sync(&mut self, node: Node) {
        let path = self.names.iter().find(|(_, named)| **named == node).map(|(path, _)| path);
        let path = path.and_then(|path| path.strip_prefix(&self.base).ok());
        self.steps.push(Step::Sync(node, path.map_or_else(String::new, without_numbers)));
    }

    fn renamed(&mut self, node: Node, (from, old): (&Path, Place), (to, new): (&Path, Place)) {
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
        } else if is_of_database(&old.name) {
            // From here on, it is a file like any other.
            let (node, bytes) = (self.node(), fs::read(to).unwrap());
            self.names.insert(to.to_owned(), node);
            self.steps.push(Step::Move(node, Some(bytes.into()), old, new));
        } else {
            self.steps.push(Step::Move(node, None, old, new));
        }
    }
}

fn inode(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// A path whose numbers and random names are replaced.
fn without_numbers(path: &Path) -> String {
    if path == Path::new("") {
        return ".".into();
    }
    let mut text = String::new();
    for name in path.iter().map(OsStr::to_string_lossy) {
        let separator = if text.is_empty() { "" } else { "/" };
        text.push_str(separator);
        if name.starts_with(".bgfetch-") {
            text.push_str(".bgfetch-*");
            continue;
        }
        for c in name.chars() {
            match c {
                '0'..='9' if text.ends_with('#') => {}
                '0'..='9' => text.push('#'),
                c => text.push(c),
            }
        }
    }
    text
}

impl FileSystem for Recorder {
    fn open(&self, path: &Path, how: Open) -> io::Result<File> {
        let mut record = self.0.record.lock();
        let (place, found) = (record.place(path), record.find(path));
        let file = System.open(path, how)?;
        if let (Some(place), None) = (place, found) {
            let node = record.create(path, place, Kind::File(Arc::default()));
            record.files.insert(inode(&file.metadata()?), node);
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
            record.sync(node);
        }
        Ok(())
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let mut record = self.0.record.lock();
        let place = record.place(path);
        System.create_directory(path)?;
        if let Some(place) = place {
            record.create(path, place, Kind::Directory);
        }
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        if !self.0.links {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        let mut record = self.0.record.lock();
        let (node, place) = (record.find(from), record.place(to));
        System.link(from, to)?;
        if let (Some(node), Some(place)) = (node, place) {
            record.steps.push(Step::Link(node, place));
            record.names.insert(to.to_owned(), node);
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut record = self.0.record.lock();
        let (node, old, new) = (record.find(from), record.place(from), record.place(to));
        System.rename(from, to)?;
        if let (Some(node), Some(old), Some(new)) = (node, old, new) {
            record.renamed(node, (from, old), (to, new));
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.remove(path, |path| System.remove_file(path))
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.remove(path, |path| System.remove_directory(path))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?;
        let mut record = self.0.record.lock();
        if let Some(node) = record.find(path) {
            record.sync(node);
        }
        Ok(())
    }

    fn sync_all(&self, _: &Path) -> io::Result<()> {
        self.0.record.lock().steps.push(Step::SyncAll);
        Ok(())
    }

    fn committed(&self, directory: &Path, synced: bool) {
        let mut record = self.0.record.lock();
        let Some(node) = record.find(directory) else { return };
        let mut database = Database::new();
        for entry in fs::read_dir(directory).unwrap() {
            let (name, path) = entry.map(|entry| (entry.file_name(), entry.path())).unwrap();
            if is_of_database(&name) {
                let new = record.node();
                let node = *record.names.entry(path.clone()).or_insert(new);
                database.push((name, node, fs::read(path).unwrap()));
            }
        }
        record.steps.push(Step::Commit(node, database.into(), synced));
    }
}

impl Recorder {
    fn remove(&self, path: &Path, remove: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
        let mut record = self.0.record.lock();
        let place = record.place(path);
        remove(path)?;
        record.names.remove(path);
        record.steps.extend(place.map(Step::Remove));
        Ok(())
    }
}
