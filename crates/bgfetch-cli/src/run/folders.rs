//! The folders that fetches of the store come from, and the host names that represent them.
//!
//! The data of a page (registrations, caches, pending fetches) belongs to its origin. A folder is
//! served on a port that the system chooses, so its origin must not depend on the port: each folder
//! has a name below `localhost` for as long as the store exists, and the [resolver](LocalNames)
//! adds the current port.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bgfetch::embedder::BoxFuture;
use bgfetch::{Resolve, SystemResolver};
use parking_lot::RwLock;

use super::server::ServerAddress;
use crate::exit::Failure;

/// The file in the store's directory.
const FILE: &str = "folders.json";

/// The maximum length of the folder's name in a host name, in characters.
const NAME: usize = 40;

/// Folders by the host names that represent them.
#[derive(Debug)]
pub(super) struct Folders {
    file: PathBuf,
    by_host: RwLock<BTreeMap<String, PathBuf>>,
}

impl Folders {
    /// Reads the folders of a store.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or was not written by this program.
    pub(super) fn open(store: &Path) -> Result<Self, Failure> {
        let file = store.join(FILE);
        let by_host = RwLock::new(read(&file)?);
        Ok(Self { file, by_host })
    }

    /// The folder that a host name represents.
    pub(super) fn get(&self, host: &str) -> Option<PathBuf> {
        self.by_host.read().get(host).cloned()
    }

    /// The host name of a folder, which is assigned if there is none. Only the store's owner may
    /// call this, so that no other process assigns names.
    ///
    /// # Errors
    ///
    /// The file cannot be read or written.
    pub(super) fn host_of(&self, folder: &Path) -> Result<String, Failure> {
        let mut by_host = self.by_host.write();
        *by_host = read(&self.file)?;
        if let Some((host, _)) = by_host.iter().find(|(_, known)| *known == folder) {
            return Ok(host.clone());
        }
        let name = name_of(folder);
        let hosts = (2u32..).map(|number| format!("{name}-{number}.localhost"));
        let mut hosts = std::iter::once(format!("{name}.localhost")).chain(hosts);
        let host = hosts.find(|host| !by_host.contains_key(host)).unwrap_or_default();
        by_host.insert(host.clone(), folder.to_owned());
        match write(&self.file, &by_host) {
            Ok(()) => Ok(host),
            Err(Failure(error)) => Err(Failure(format!("{}: {error}", self.file.display()))),
        }
    }
}

fn read(file: &Path) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(Failure(format!("{}: {error}", file.display()))),
    };
    let read = serde_json::from_slice(&bytes);
    read.map_err(|error| Failure(format!("{} is damaged: {error}", file.display())))
}

/// Replaces the file atomically: a crash leaves the old one or the new one.
fn write(file: &Path, by_host: &BTreeMap<String, PathBuf>) -> Result<(), Failure> {
    let folder = file.parent().unwrap_or(file);
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut new, by_host)?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    Ok(())
}

/// The name of a folder as part of a host name.
fn name_of(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = name.chars().map(plain).take(NAME).collect();
    match name.trim_matches('-') {
        "" => "app".into(),
        name => name.into(),
    }
}

/// Resolves the host names of folders to their server.
pub(super) struct LocalNames {
    pub(super) folders: Arc<Folders>,
    /// The folder server.
    pub(super) server: ServerAddress,
}

impl Resolve for LocalNames {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        SystemResolver.resolve(host)
    }

    fn port(&self, host: &str) -> Option<u16> {
        self.folders.get(host).map(|_| self.server.port)
    }

    fn preamble(&self, host: &str) -> Option<Vec<u8>> {
        self.folders.get(host).map(|_| self.server.token.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_host_and_no_two_have_the_same() {
        let store = tempfile::tempdir().unwrap();
        let host_of =
            |folder: &str| Folders::open(store.path()).unwrap().host_of(Path::new(folder)).unwrap();
        assert_eq!(host_of("/a/podcast"), "podcast.localhost");
        assert_eq!(host_of("/b/podcast"), "podcast-2.localhost");
        assert_eq!(host_of("/b/My App!"), "my-app.localhost");
        assert_eq!(host_of("/"), "app.localhost");
        assert_eq!(host_of("/a/podcast"), "podcast.localhost");
        let folders = Folders::open(store.path()).unwrap();
        assert_eq!(folders.get("podcast-2.localhost").unwrap(), Path::new("/b/podcast"));
        assert_eq!(folders.get("localhost"), None);
    }

    #[test]
    fn a_damaged_file_is_told_and_left_alone() {
        let store = tempfile::tempdir().unwrap();
        let file = store.path().join(FILE);
        std::fs::write(&file, "[]").unwrap();
        let Failure(line) = Folders::open(store.path()).unwrap_err();
        assert!(line.contains("folders.json is damaged"), "{line}");
        assert_eq!(std::fs::read(&file).unwrap(), b"[]");
    }
}
