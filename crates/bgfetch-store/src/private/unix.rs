//! Asks the system what [`rules`](super::rules) decide on.

use std::ffi::OsString;
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use super::PrivateDirectory;
use super::rules::{self, Facts, Kind, User};
use crate::file_system::FileSystem;
use crate::{Distrust, StoreError};

/// How many symbolic links a path may lead through, as on Linux.
const MAX_LINKS: usize = 40;

impl Facts {
    fn new(metadata: &Metadata) -> Self {
        let kind = match metadata.file_type() {
            kind if kind.is_file() => Kind::File,
            kind if kind.is_dir() => Kind::Directory,
            kind if kind.is_symlink() => Kind::Link,
            _ => Kind::Other,
        };
        let (owner, group) = (metadata.uid(), metadata.gid());
        Self { kind, owner, group, mode: metadata.mode() & 0o7777, names: metadata.nlink() }
    }
}

impl User {
    fn this() -> Self {
        let (id, group) = (rustix::process::geteuid(), rustix::process::getegid());
        Self { id: id.as_raw(), group: group.as_raw() }
    }
}

fn untrusted(path: &Path) -> impl FnOnce(Distrust) -> StoreError {
    move |why| StoreError::Untrusted { path: path.to_owned(), why }
}

/// See [`PrivateDirectory::open`].
pub(super) fn open(
    files: &dyn FileSystem,
    directory: &Path,
) -> Result<PrivateDirectory, StoreError> {
    let user = User::this();
    let path = resolve(files, directory, user)?;
    let facts = facts_of(&path)?;
    rules::check_directory(facts, user).map_err(untrusted(&path))?;
    let was_exposed = if facts.is_open() { check_exposed(&path, user)? } else { false };
    if facts.mode != rules::DIRECTORY {
        set_mode(&path, rules::DIRECTORY)?;
        // Some file systems have the same permissions for everything.
        if facts_of(&path)?.is_open() {
            return Err(untrusted(&path)(Distrust::Writable));
        }
    }
    // Only now can nobody else add anything.
    for (path, entry) in entries(&path)? {
        rules::check_entry(entry, user).map_err(untrusted(&path))?;
    }
    Ok(PrivateDirectory { path, was_exposed })
}

fn facts_of(path: &Path) -> Result<Facts, StoreError> {
    let metadata = path.symlink_metadata().map_err(|error| StoreError::io(path, error))?;
    Ok(Facts::new(&metadata))
}

/// Follows a path step by step, checks each, and creates the directories that are missing. Returns
/// the path without symbolic links.
fn resolve(files: &dyn FileSystem, path: &Path, user: User) -> Result<PathBuf, StoreError> {
    let failed = |error| StoreError::io(path, error);
    let mut at = PathBuf::from("/");
    let mut left = steps(&std::path::absolute(path).map_err(failed)?);
    let mut links = 0;
    check_step(&at, &at.symlink_metadata().map_err(failed)?, user)?;
    while let Some(step) = left.pop() {
        if step == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&step);
        let found = match next.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(files, &next).map_err(failed)?;
                next.symlink_metadata()
            }
            found => found,
        };
        let found = found.map_err(failed)?;
        if found.is_symlink() {
            check_step(&next, &found, user)?;
            links += 1;
            if links > MAX_LINKS {
                return Err(failed(io::Error::other("too many symbolic links")));
            }
            let target = fs::read_link(&next).map_err(failed)?;
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            left.extend(steps(&target));
        } else if found.is_dir() {
            // What holds for the last one is stricter.
            if !left.is_empty() {
                check_step(&next, &found, user)?;
            }
            at = next;
        } else {
            return Err(failed(io::ErrorKind::NotADirectory.into()));
        }
    }
    Ok(at)
}

/// The steps of a path from its root, last one first.
fn steps(path: &Path) -> Vec<OsString> {
    let steps = path.components().filter_map(|component| match component {
        Component::Normal(_) | Component::ParentDir => Some(component.as_os_str().to_owned()),
        _ => None,
    });
    let mut steps: Vec<OsString> = steps.collect();
    steps.reverse();
    steps
}

fn check_step(path: &Path, found: &Metadata, user: User) -> Result<(), StoreError> {
    if cfg!(target_os = "android") {
        return Ok(());
    }
    rules::check_step(Facts::new(found), user).map_err(untrusted(path))
}

fn create(files: &dyn FileSystem, path: &Path) -> io::Result<()> {
    match files.create_directory(path) {
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created,
    }
}

/// Checks everything that others could reach. Returns whether there is anything.
fn check_exposed(directory: &Path, user: User) -> Result<bool, StoreError> {
    let entries = entries(directory)?;
    for (path, entry) in &entries {
        rules::check_exposed(*entry, user).map_err(untrusted(path))?;
        if entry.is_passable() {
            check_exposed(path, user)?;
        }
    }
    Ok(!entries.is_empty())
}

/// What is in a directory now.
fn entries(directory: &Path) -> Result<Vec<(PathBuf, Facts)>, StoreError> {
    let failed = |error| StoreError::io(directory, error);
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        match entry.metadata() {
            Ok(found) => entries.push((entry.path(), Facts::new(&found))),
            // A process of this user has deleted it in the meantime.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(entries)
}

/// See [`PrivateDirectory::check_file`].
pub(super) fn check_file(path: &Path) -> Result<(), StoreError> {
    let facts = match path.symlink_metadata() {
        Ok(found) => Facts::new(&found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io(path, error)),
    };
    rules::check_file(facts, User::this(), false).map_err(untrusted(path))?;
    repair(path, facts, rules::FILE)
}

/// See [`check_linked`](super::check_linked).
pub(super) fn check_linked(path: &Path, found: &Metadata) -> Result<(), StoreError> {
    let facts = Facts::new(found);
    rules::check_file(facts, User::this(), true).map_err(untrusted(path))?;
    // The other names belong to those that the file was handed over to.
    if facts.names > 1 { Ok(()) } else { repair(path, facts, rules::FILE) }
}

/// See [`check_inner`](super::check_inner).
pub(super) fn check_inner(path: &Path, found: &Metadata) -> Result<(), StoreError> {
    let facts = Facts::new(found);
    rules::check_inner(facts, User::this()).map_err(untrusted(path))?;
    repair(path, facts, rules::DIRECTORY)
}

/// Makes something in a private directory private.
fn repair(path: &Path, found: Facts, mode: u32) -> Result<(), StoreError> {
    if found.mode == mode {
        return Ok(());
    }
    match set_mode(path, mode) {
        // A process that is about to close the store has deleted it.
        Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        repaired => repaired,
    }
}

/// No other user can replace the path, so this does not follow a symbolic link of theirs.
fn set_mode(path: &Path, mode: u32) -> Result<(), StoreError> {
    let set = fs::set_permissions(path, Permissions::from_mode(mode));
    set.map_err(|error| StoreError::io(path, error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::file_system::System;

    #[test]
    fn as_many_links_are_followed_as_by_the_system_and_no_more() {
        let directory = tempfile::tempdir().unwrap();
        let directory = fs::canonicalize(directory.path()).unwrap();
        let link = |n: usize| directory.join(n.to_string());
        fs::create_dir(link(0)).unwrap();
        for n in 1..=MAX_LINKS + 1 {
            symlink(link(n - 1), link(n)).unwrap();
        }
        let resolved = |n| resolve(&System, &link(n), User::this());
        assert_eq!(resolved(MAX_LINKS).unwrap(), link(0));
        let error = resolved(MAX_LINKS + 1).unwrap_err().to_string();
        assert!(error.ends_with("too many symbolic links"), "{error}");
    }

    /// Creates nothing.
    #[derive(Debug)]
    struct Fails(io::ErrorKind);

    impl FileSystem for Fails {
        fn create_directory(&self, _: &Path) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn a_directory_that_another_process_creates_first_is_not_an_error() {
        let created = |kind| create(&Fails(kind), Path::new("any")).map_err(|error| error.kind());
        assert_eq!(created(io::ErrorKind::AlreadyExists), Ok(()));
        let denied = io::ErrorKind::PermissionDenied;
        assert_eq!(created(denied), Err(denied));
    }

    #[test]
    fn what_is_gone_needs_no_check_and_no_repair() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, b"").unwrap();
        let facts = Facts::new(&file.symlink_metadata().unwrap());
        let (gone, impossible) = (directory.path().join("gone"), file.join("inner"));
        assert!(check_file(&gone).is_ok() && check_file(&impossible).is_err());
        let repaired = |path: &Path| repair(path, Facts { mode: 0o666, ..facts }, rules::FILE);
        assert!(repaired(&gone).is_ok() && repaired(&impossible).is_err());
        repaired(&file).unwrap();
        assert_eq!(facts_of(&file).unwrap().mode, rules::FILE);
    }
}
