//! Where and how the files of a fetch are saved.

use std::path::{Path, PathBuf};

use bgfetch::{RegistrationKey, StorageKey, StoreError};
use url::Url;

use crate::exit::Failure;

/// The storage key of all fetches of `get`: they belong to one user.
pub(crate) const STORAGE_KEY: &str = "bgfetch-cli";

/// The names in the query of a scope.
const NAME: &str = "name";
const OVERWRITE: &str = "overwrite";
const CONTENT_DISPOSITION: &str = "content-disposition";

/// Where and how the files of a fetch are saved.
///
/// The scope of its service worker registration represents it: the `file:` URL of the directory, and
/// the rest in its query. So any process that finishes the fetch finds it there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Saving {
    /// The directory; an absolute path.
    pub(crate) out: PathBuf,
    /// The name of the only file; by default, the URL's.
    pub(crate) name: Option<String>,
    /// Whether a file of the same name is replaced; by default, the new one gets a number.
    pub(crate) overwrite: bool,
    /// Whether a response's `Content-Disposition` names its file.
    pub(crate) content_disposition: bool,
}

impl Saving {
    /// Saves files under their own names.
    ///
    /// Creates the directory if it is missing.
    ///
    /// # Errors
    ///
    /// It cannot be written to.
    pub(crate) fn to_directory(path: &Path) -> Result<Self, Failure> {
        Ok(Self { out: writable_directory(path)?, ..Self::default() })
    }

    /// Saves one file as `file`, in `directory` if that is relative.
    ///
    /// # Errors
    ///
    /// It names no file, or its directory cannot be written to.
    pub(crate) fn to_file(directory: &Path, file: &Path) -> Result<Self, Failure> {
        let refuse = |why: &str| Err(Failure(format!("-o {}: {why}", file.display())));
        if file == Path::new("-") {
            return refuse("bgfetch writes to files, not to standard output");
        }
        let text = file.as_os_str().as_encoded_bytes();
        let path = directory.join(file);
        if text.ends_with(b"/") || path.is_dir() {
            return refuse("that is a directory; use --out for it");
        }
        let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
            return refuse("that is not the name of a file");
        };
        let Some(name) = name.to_str() else {
            return refuse("its name is not UTF-8");
        };
        let parent = if parent == Path::new("") { Path::new(".") } else { parent };
        Ok(Self { name: Some(name.to_owned()), ..Self::to_directory(parent)? })
    }

    /// The registration that represents it.
    ///
    /// # Errors
    ///
    /// The directory is not a path of this system.
    pub(crate) fn registration(&self) -> Result<RegistrationKey, Failure> {
        let mut scope = Url::from_directory_path(&self.out).map_err(|()| {
            Failure(format!("{} is not a path of this system", self.out.display()))
        })?;
        if *self != (Self { out: self.out.clone(), ..Self::default() }) {
            let mut query = scope.query_pairs_mut();
            if let Some(name) = &self.name {
                query.append_pair(NAME, name);
            }
            for (name, is_set) in
                [(OVERWRITE, self.overwrite), (CONTENT_DISPOSITION, self.content_disposition)]
            {
                if is_set {
                    query.append_key_only(name);
                }
            }
        }
        Ok(registration_of(scope))
    }

    /// What a registration represents, if its scope is a valid path on this system.
    pub(crate) fn of(registration: &RegistrationKey) -> Option<Self> {
        let out = directory_of(&registration.scope)?;
        let mut saving = Self { out, ..Self::default() };
        for (name, value) in registration.scope.query_pairs() {
            match &*name {
                NAME => saving.name = Some(value.into_owned()),
                OVERWRITE => saving.overwrite = true,
                CONTENT_DISPOSITION => saving.content_disposition = true,
                _ => {}
            }
        }
        Some(saving)
    }

    /// The path to show: of the only file, or of the directory.
    pub(crate) fn path(&self) -> PathBuf {
        self.name.as_ref().map_or_else(|| self.out.clone(), |name| self.out.join(name))
    }
}

/// The registration with this scope.
pub(crate) fn registration_of(scope: Url) -> RegistrationKey {
    RegistrationKey { storage_key: StorageKey(STORAGE_KEY.into()), scope }
}

/// The output directory that a scope represents, if it is a valid path on this system.
pub(crate) fn directory_of(scope: &Url) -> Option<PathBuf> {
    // This removes the trailing slash.
    Some(scope.to_file_path().ok()?.components().collect())
}

/// Whether the registration belongs to `get`, rather than to a page.
pub(crate) fn is_of_get(registration: &RegistrationKey) -> bool {
    registration.storage_key.0 == STORAGE_KEY
}

fn writable_directory(path: &Path) -> Result<PathBuf, Failure> {
    let check = || {
        if !path.exists() {
            std::fs::create_dir_all(path)?;
            bgfetch::sync_path_to(path)?;
        }
        // Creating a file is the only reliable check; permission bits are not enough.
        tempfile::tempfile_in(path)?;
        path.canonicalize()
    };
    let failed = |error| match StoreError::io(path, error) {
        error if error.is_disk_full() => Failure(error.to_string()),
        error => Failure(format!("cannot write to {error}")),
    };
    check().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_represents_where_and_how_files_are_saved() {
        let out = PathBuf::from("/tmp/a b?&ü");
        for (name, overwrite, content_disposition, query) in [
            (None, false, false, None),
            (Some("100%&x=ü+1.bin"), false, false, Some("name=100%25%26x%3D%C3%BC%2B1.bin")),
            (Some("x"), true, false, Some("name=x&overwrite")),
            (None, true, true, Some("overwrite&content-disposition")),
        ] {
            let name = name.map(String::from);
            let saving = Saving { out: out.clone(), name, overwrite, content_disposition };
            let registration = saving.registration().unwrap();
            assert_eq!(registration.scope.query(), query);
            assert_eq!(registration.scope.path(), "/tmp/a%20b%3F&%C3%BC/");
            assert_eq!(Saving::of(&registration), Some(saving));
        }
    }
}
