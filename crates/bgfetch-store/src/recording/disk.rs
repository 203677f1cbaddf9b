//! Rebuilds what is on the disk after a crash.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::loss::Coin;
use super::{BASE, Change, Database, Kind, Loss, Node, Place, Step, is_of_database};

/// What is on the disk, and what is not synced yet.
pub(super) struct Disk<'a> {
    loss: Loss,
    files: BTreeMap<Node, Stored<Vec<u8>, &'a Change>>,
    directories: BTreeMap<Node, Stored<BTreeMap<OsString, Node>, Naming<'a>>>,
    /// The last synced state of each database, and the later states.
    databases: BTreeMap<Node, Vec<&'a Database>>,
    /// The last operation on the names or the length of each file and directory.
    journalled: BTreeMap<Node, usize>,
    /// The journal is on disk up to this step.
    synced_journal: usize,
}

/// Something on the disk, and the operations on it that are not synced, by the numbers of their
/// steps.
struct Stored<T, O> {
    on_disk: T,
    pending: Vec<(usize, O)>,
}

impl<T: Default, O> Default for Stored<T, O> {
    fn default() -> Self {
        Self { on_disk: T::default(), pending: Vec::new() }
    }
}

enum Naming<'a> {
    Set(&'a OsString, Node),
    Remove(&'a OsString),
    Rename(&'a OsString, &'a OsString),
}

impl<'a> Disk<'a> {
    pub(super) fn new(loss: Loss) -> Self {
        Self {
            loss,
            files: BTreeMap::new(),
            directories: BTreeMap::new(),
            databases: BTreeMap::new(),
            journalled: BTreeMap::new(),
            synced_journal: 0,
        }
    }

    pub(super) fn apply(&mut self, at: usize, step: &'a Step) {
        match step {
            Step::Found(node, place, kind) => {
                self.create(*node, kind);
                let directory = self.directories.entry(place.directory).or_default();
                directory.on_disk.insert(place.name.clone(), *node);
            }
            Step::Create(node, place, kind) => {
                self.create(*node, kind);
                self.journalled.insert(*node, at);
                self.name(at, place, Naming::Set(&place.name, *node));
            }
            Step::Link(node, place) => {
                self.journalled.insert(*node, at);
                self.name(at, place, Naming::Set(&place.name, *node));
            }
            Step::Remove(place) => self.name(at, place, Naming::Remove(&place.name)),
            Step::Rename(place, to) => self.name(at, place, Naming::Rename(&place.name, to)),
            Step::Move(node, bytes, from, to) => {
                if let Some(bytes) = bytes {
                    self.create(*node, &Kind::File(Arc::clone(bytes)));
                }
                self.journalled.insert(*node, at);
                self.name(at, to, Naming::Set(&to.name, *node));
                self.name(at, from, Naming::Remove(&from.name));
            }
            Step::Change(node, change) => {
                if let Change::SetLength(_) = change {
                    self.journalled.insert(*node, at);
                }
                self.files.entry(*node).or_default().pending.push((at, change));
            }
            Step::Sync(node, _) => self.sync(*node),
            Step::SyncAll => {
                let nodes = self.files.keys().chain(self.directories.keys());
                for node in nodes.copied().collect::<Vec<_>>() {
                    self.sync(node);
                }
            }
            Step::Commit(directory, database, synced) => {
                self.commit(*directory, database, *synced);
            }
        }
    }

    /// Applies a sync that brings nothing to disk.
    pub(super) fn skip_sync(&mut self, step: &'a Step) {
        if let Step::Commit(directory, database, _) = step {
            self.commit(*directory, database, false);
        }
    }

    fn create(&mut self, node: Node, kind: &Kind) {
        match kind {
            Kind::File(bytes) => {
                let file = Stored { on_disk: bytes.to_vec(), pending: Vec::new() };
                self.files.insert(node, file);
            }
            Kind::Directory => {
                self.directories.insert(node, Stored::default());
            }
        }
    }

    fn name(&mut self, at: usize, place: &Place, naming: Naming<'a>) {
        self.journalled.insert(place.directory, at);
        self.directories.entry(place.directory).or_default().pending.push((at, naming));
    }

    fn commit(&mut self, directory: Node, database: &'a Database, synced: bool) {
        let names = &mut self.directories.entry(directory).or_default().on_disk;
        let states = self.databases.entry(directory).or_default();
        if synced {
            names.retain(|name, _| !is_of_database(name));
            states.clear();
        }
        names.extend(database.iter().map(|(name, node, _)| (name.clone(), *node)));
        states.push(database);
    }

    fn sync(&mut self, node: Node) {
        if let Some(at) = self.journalled.get(&node) {
            self.synced_journal = self.synced_journal.max(at + 1);
        }
        self.complete(node);
        if self.loss == Loss::Unsynced {
            let leads_to_it = |stored: &Stored<BTreeMap<OsString, Node>, Naming<'_>>| {
                let set = |(_, naming): &(usize, Naming<'_>)| matches!(naming, Naming::Set(_, named) if *named == node);
                stored.on_disk.values().any(|named| *named == node)
                    || stored.pending.iter().any(set)
            };
            let parents = self.directories.iter().filter(|(_, stored)| leads_to_it(stored));
            for parent in parents.map(|(parent, _)| *parent).collect::<Vec<_>>() {
                self.sync(parent);
            }
        }
    }

    /// Applies everything that is pending for a file or a directory.
    fn complete(&mut self, node: Node) {
        if let Some(Stored { on_disk, pending }) = self.files.get_mut(&node) {
            pending.drain(..).for_each(|(_, change)| change.apply(on_disk));
        }
        if let Some(Stored { on_disk, pending }) = self.directories.get_mut(&node) {
            pending.drain(..).for_each(|(_, naming)| naming.apply(on_disk));
        }
    }

    /// Decides what is left of the pending operations after a crash at this moment.
    pub(super) fn crash(&mut self, moment: usize) {
        let coin = &mut self.loss.coin();
        match self.loss {
            Loss::Process => {
                let nodes = self.files.keys().chain(self.directories.keys());
                for node in nodes.copied().collect::<Vec<_>>() {
                    self.complete(node);
                }
            }
            Loss::Unsynced | Loss::UnsyncedAndNames => {}
            Loss::Journal { .. } => self.replay_journal(moment, coin),
            Loss::Torn { sector, .. } => self.tear(sector, coin),
        }
        for states in self.databases.values_mut() {
            let last = states.len() - 1;
            let left = match self.loss {
                Loss::Process => last,
                Loss::Unsynced | Loss::UnsyncedAndNames => 0,
                Loss::Journal { .. } | Loss::Torn { .. } => coin.number(0, last),
            };
            states.drain(..left);
        }
    }

    fn replay_journal(&mut self, moment: usize, coin: &mut Coin) {
        let end = coin.number(self.synced_journal, moment);
        for Stored { on_disk, pending } in self.directories.values_mut() {
            let replayed = pending.drain(..).filter(|(at, _)| *at < end);
            replayed.for_each(|(_, naming)| naming.apply(on_disk));
        }
        for Stored { on_disk, pending } in self.files.values_mut() {
            let mut written = coin.number(0, pending.len());
            for (at, change) in mem::take(pending) {
                match change {
                    Change::SetLength(_) if at >= end => break,
                    Change::SetLength(_) => change.apply(on_disk),
                    Change::Write(..) if written == 0 => {}
                    Change::Write(..) => {
                        written -= 1;
                        change.apply(on_disk);
                    }
                }
            }
        }
    }

    fn tear(&mut self, sector: u64, coin: &mut Coin) {
        // Both halves of a move are left, or none.
        let mut left = BTreeMap::new();
        for Stored { on_disk, pending } in self.directories.values_mut() {
            let left =
                pending.drain(..).filter(|(at, _)| *left.entry(*at).or_insert_with(|| coin.flip()));
            left.for_each(|(_, naming)| naming.apply(on_disk));
        }
        for Stored { on_disk, pending } in self.files.values_mut() {
            for (_, change) in pending.drain(..) {
                change.tear(sector, coin, on_disk);
            }
        }
    }

    /// Writes everything to the empty directory `to`.
    pub(super) fn write(&self, to: &Path) {
        self.write_directory(BASE, to, &mut BTreeMap::new());
    }

    fn write_directory(&self, directory: Node, to: &Path, written: &mut BTreeMap<Node, PathBuf>) {
        let stored = self.directories.get(&directory);
        for (name, node) in stored.iter().flat_map(|stored| &stored.on_disk) {
            let path = to.join(name);
            if self.directories.contains_key(node) {
                fs::create_dir(&path).unwrap();
                self.write_directory(*node, &path, written);
            } else if let Some(other) = written.get(node) {
                fs::hard_link(other, path).unwrap();
            } else if let Some(bytes) = self.bytes(*node) {
                fs::write(&path, bytes).unwrap();
                written.insert(*node, path);
            }
        }
    }

    /// The paths of everything, if it is in the directory `base`.
    pub(super) fn names(&self, base: &Path) -> BTreeMap<PathBuf, Node> {
        let mut names = BTreeMap::from([(base.to_owned(), BASE)]);
        let mut folders = vec![(base.to_owned(), BASE)];
        while let Some((path, folder)) = folders.pop() {
            let stored = self.directories.get(&folder);
            for (name, node) in stored.iter().flat_map(|stored| &stored.on_disk) {
                let path = path.join(name);
                if self.directories.contains_key(node) {
                    folders.push((path.clone(), *node));
                }
                names.insert(path, *node);
            }
        }
        names
    }

    fn bytes(&self, node: Node) -> Option<&[u8]> {
        let states = self.databases.values().filter_map(|states| states.first());
        let mut of_databases = states.flat_map(|database| database.iter());
        match of_databases.find(|(_, of_database, _)| *of_database == node) {
            Some((_, _, bytes)) => Some(bytes),
            None => self.files.get(&node).map(|file| file.on_disk.as_slice()),
        }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, written) => write(bytes, *offset, written),
            Self::SetLength(length) => bytes.resize(usize::try_from(*length).unwrap(), 0),
        }
    }

    /// Applies the parts that the coin selects.
    fn tear(&self, sector: u64, coin: &mut Coin, bytes: &mut Vec<u8>) {
        match self {
            Self::SetLength(_) if coin.flip() => self.apply(bytes),
            Self::SetLength(_) => {}
            Self::Write(offset, written) => {
                let (mut offset, mut written) = (*offset, &**written);
                while !written.is_empty() {
                    let room = usize::try_from(sector - offset % sector).unwrap();
                    let (part, rest) = written.split_at(room.min(written.len()));
                    if coin.flip() {
                        write(bytes, offset, part);
                    }
                    offset += part.len() as u64;
                    written = rest;
                }
            }
        }
    }
}

fn write(bytes: &mut Vec<u8>, offset: u64, written: &[u8]) {
    let start = usize::try_from(offset).unwrap();
    let end = start + written.len();
    bytes.resize(bytes.len().max(end), 0);
    bytes[start..end].copy_from_slice(written);
}

impl Naming<'_> {
    fn apply(&self, names: &mut BTreeMap<OsString, Node>) {
        match self {
            Self::Set(name, node) => {
                names.insert((*name).clone(), *node);
            }
            Self::Remove(name) => {
                names.remove(*name);
            }
            Self::Rename(from, to) => {
                if let Some(node) = names.remove(*from) {
                    names.insert((*to).clone(), node);
                }
            }
        }
    }
}
