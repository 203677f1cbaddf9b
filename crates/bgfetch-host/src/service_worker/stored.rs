//! The registrations in a file, for the next start of the user agent.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use bgfetch::{PolicyContainer, RegistrationKey};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::message::{Imported, UpdateViaCache};

/// A registration with an installed worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredRegistration {
    pub(crate) key: RegistrationKey,
    pub(crate) update_via_cache: UpdateViaCache,
    pub(crate) waiting: Option<StoredWorker>,
    pub(crate) active: Option<StoredWorker>,
}

/// A worker. Its position in the registration determines its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredWorker {
    pub(crate) script_url: Url,
    pub(crate) scripts: Scripts,
}

/// The data for starting a worker without the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scripts {
    /// The policies in the response of its own script.
    pub(crate) policies: PolicyContainer,
    /// Its own script and those that it imported.
    pub(crate) by_url: BTreeMap<Url, String>,
    /// Those whose errors are muted, because they are of other origins.
    #[serde(default)]
    pub(crate) muted: BTreeSet<Url>,
}

impl Scripts {
    pub(crate) fn imported(&self, url: &Url) -> Option<Imported> {
        let source = self.by_url.get(url)?.clone();
        Some(Imported { source, has_muted_errors: self.muted.contains(url) })
    }

    pub(crate) fn store_imported(&mut self, url: Url, imported: &Imported) {
        if imported.has_muted_errors {
            self.muted.insert(url.clone());
        }
        self.by_url.insert(url, imported.source.clone());
    }
}

/// Reads the file; a missing file has no registrations.
pub(crate) fn read(path: &Path) -> io::Result<Vec<StoredRegistration>> {
    let mut text = Vec::new();
    match bgfetch::open_own_file(path) {
        Ok(Some(mut file)) => file.read_to_end(&mut text)?,
        Ok(None) => {
            // Its scripts would be run.
            let message = format!("{} is not a regular file of this user", path.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(serde_json::from_slice(&text)?)
}

/// Replaces the file atomically: after a crash it is the old one or the new one.
pub(crate) fn write(path: &Path, registrations: &[StoredRegistration]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = bgfetch::create_private_file(&new)?;
    file.write_all(&serde_json::to_vec(registrations)?)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bgfetch::StorageKey;

    #[test]
    fn what_was_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("service-workers.json");
        assert_eq!(read(&path).unwrap(), []);
        let url: Url = "https://app.test/sw.js".parse().unwrap();
        let registration = StoredRegistration {
            key: RegistrationKey {
                storage_key: StorageKey("app".into()),
                scope: "https://app.test/".parse().unwrap(),
            },
            update_via_cache: UpdateViaCache::None,
            waiting: None,
            active: Some(StoredWorker {
                script_url: url.clone(),
                scripts: Scripts {
                    policies: PolicyContainer::default(),
                    by_url: [(url.clone(), "'use strict';".to_owned())].into(),
                    muted: [url].into(),
                },
            }),
        };
        for registrations in [vec![registration], Vec::new()] {
            write(&path, &registrations).unwrap();
            assert_eq!(read(&path).unwrap(), registrations);
        }
        fs::write(&path, "[{").unwrap();
        assert!(read(&path).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_neither_read_nor_written_through() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};

        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join("sw.json"), folder.path().join("target"));
        fs::write(&target, "[]").unwrap();
        symlink(&target, &path).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        symlink(&target, path.with_extension("new")).unwrap();
        write(&path, &[]).unwrap();
        assert_eq!(read(&path).unwrap(), []);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!path.is_symlink() && fs::read(&target).unwrap() == b"[]");
    }
}
