//! The argument of `run`.

use std::path::{Path, PathBuf};

use url::Url;

use super::folders::Folders;
use crate::exit::Failure;
use crate::urls::checked_url;

/// A checked argument.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum App {
    /// A page on a server.
    Page(Url),
    /// A folder to serve; an absolute path.
    Folder(PathBuf),
}

impl App {
    /// Distinguishes a URL from a folder.
    ///
    /// # Errors
    ///
    /// A URL that cannot be fetched, or a folder without an index.html.
    pub(super) fn new(text: &str) -> Result<Self, Failure> {
        // A path may contain a colon, but rarely followed by two slashes.
        if text.contains("://") {
            return checked_url(text).map(Self::Page);
        }
        let path = Path::new(text);
        let refuse = |why: &str| Err(Failure(format!("{text}: {why}")));
        let folder = match path.canonicalize() {
            Ok(folder) => folder,
            Err(error) => return refuse(&format!("neither a URL nor a folder ({error})")),
        };
        if folder.is_file() {
            return refuse("a file; give the folder that it is in");
        }
        if !folder.join("index.html").is_file() {
            return refuse("there is no index.html in that folder");
        }
        Ok(Self::Folder(folder))
    }

    /// The URL of its page. Only the store's owner may call this.
    ///
    /// # Errors
    ///
    /// The folder could not be given a host name.
    pub(super) fn url(self, folders: &Folders) -> Result<Url, Failure> {
        match self {
            Self::Page(url) => Ok(url),
            Self::Folder(folder) => {
                let host = folders.host_of(&folder)?;
                let url = format!("http://{host}/");
                Url::parse(&url).map_err(|error| Failure(format!("{url}: {error}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_folders_are_told_apart() {
        let page = App::new("http://a.test/x").unwrap();
        assert_eq!(page, App::Page("http://a.test/x".parse().unwrap()));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("index.html"), "").unwrap();
        let app = App::new(folder.path().to_str().unwrap()).unwrap();
        assert_eq!(app, App::Folder(folder.path().canonicalize().unwrap()));
    }

    #[test]
    fn each_refusal_says_what_is_wrong_with_the_argument() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.js");
        std::fs::write(&file, "").unwrap();
        for (text, expected) in [
            ("ftp://a.test/", "only http and https URLs"),
            ("no-such-folder", "neither a URL nor a folder (No such file"),
            (folder.path().to_str().unwrap(), "there is no index.html"),
            (file.to_str().unwrap(), "a file; give the folder"),
        ] {
            let Failure(line) = App::new(text).unwrap_err();
            assert!(line.starts_with(text) && line.contains(expected), "{line}");
        }
    }
}
