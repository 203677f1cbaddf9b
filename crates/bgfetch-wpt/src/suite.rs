//! Finds tests: the pages for the paths below the root.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use bgfetch_host::RealmKind;
use thiserror::Error;

use crate::metadata::Metadata;

/// Folders with support files.
const NO_TESTS: [&str; 4] = ["node_modules", "resources", "support", "tools"];

/// A test as it is run and reported: one page, or one worker without a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TestPage {
    /// The path and query of its URL, which is its id upstream.
    pub(crate) id: String,
    pub(crate) start: Start,
    /// Whether its timeout is long.
    pub(crate) long: bool,
}

/// The realm in which a test starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// A window at the test's URL.
    Page,
    /// A worker of that kind, with the script at this path and query.
    Worker(RealmKind, String),
}

/// The requested tests.
#[derive(Debug, Default)]
pub(crate) struct Suite {
    pub(crate) pages: Vec<TestPage>,
    /// The requested tests that are not run, and why.
    pub(crate) not_run: Vec<String>,
    /// The prefixes of the ids of requested pages.
    beginnings: Vec<String>,
}

/// Why there are no tests to run.
#[derive(Debug, Error)]
pub enum SuiteError {
    /// There are no tests at a path.
    #[error("there is no test {} in {}", .0.display(), .1.display())]
    NotFound(PathBuf, PathBuf),
    /// A file or folder could not be read.
    #[error("{}: {error}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
}

impl Suite {
    /// Finds the tests at paths below `root`, which may be folders or test files.
    pub(crate) fn find(root: &Path, paths: &[PathBuf]) -> Result<Self, SuiteError> {
        let mut suite = Self::default();
        for path in paths {
            let relative = path.strip_prefix("/").unwrap_or(path);
            let found = suite.pages.len();
            let absolute = root.join(relative);
            let id = url_path(relative);
            if absolute.is_dir() {
                suite.beginnings.push(format!("{}/", id.trim_end_matches('/')));
                suite.folder(&absolute, relative)?;
            } else if absolute.is_file() {
                let stem = id.rsplit_once('.').map_or(id.as_str(), |(stem, _)| stem);
                suite.beginnings.push(format!("{stem}."));
                suite.file(&absolute, relative)?;
            }
            if suite.pages.len() == found {
                return Err(SuiteError::NotFound(path.clone(), root.to_owned()));
            }
        }
        Ok(suite)
    }

    /// Whether a page with that id would be among the requested ones.
    pub(crate) fn covers(&self, id: &str) -> bool {
        self.beginnings.iter().any(|beginning| id.starts_with(beginning.as_str()))
    }

    fn folder(&mut self, absolute: &Path, relative: &Path) -> Result<(), SuiteError> {
        let in_folder = |error| SuiteError::Io { path: absolute.to_owned(), error };
        let mut entries = Vec::new();
        for entry in fs::read_dir(absolute).map_err(in_folder)? {
            entries.push(entry.map_err(in_folder)?.file_name());
        }
        entries.sort();
        for name in entries {
            let (absolute, relative) = (absolute.join(&name), relative.join(&name));
            if !absolute.is_dir() {
                self.file(&absolute, &relative)?;
            } else if !NO_TESTS.iter().any(|folder| *folder == name) {
                self.folder(&absolute, &relative)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, absolute: &Path, relative: &Path) -> Result<(), SuiteError> {
        let id = url_path(relative);
        let read = || {
            fs::read_to_string(absolute)
                .map_err(|error| SuiteError::Io { path: absolute.to_owned(), error })
        };
        if let Some(name) = id.strip_suffix(".any.js") {
            let metadata = Metadata::parse(&read()?);
            let (kinds, others) = metadata.globals();
            for global in others {
                self.not_run.push(format!("{id} in {global}: there are no such realms"));
            }
            for kind in kinds {
                self.any(name, kind, &metadata);
            }
        } else if let Some(name) = id.strip_suffix(".window.js") {
            let metadata = Metadata::parse(&read()?);
            self.add(&format!("{name}.window.html"), &metadata, |_| Start::Page);
        } else if id.ends_with(".worker.js") {
            self.not_run.push(format!("{id}: only .any.js scripts are run in workers"));
        } else if id.ends_with(".html") {
            let text = read()?;
            if text.contains("/resources/testharness.js") {
                let long = text.contains("name=\"timeout\" content=\"long\"")
                    || text.contains("name=timeout content=long");
                self.pages.push(TestPage { id, start: Start::Page, long });
            }
        }
        Ok(())
    }

    /// The page of an `.any.js` script in one kind of global object.
    fn any(&mut self, name: &str, kind: RealmKind, metadata: &Metadata) {
        let script = format!("{name}.any.worker.js");
        let worker = |variant: &str| Start::Worker(kind, format!("{script}{variant}"));
        match kind {
            RealmKind::Window => {
                self.add(&format!("{name}.any.html"), metadata, |_| Start::Page);
            }
            RealmKind::ServiceWorker => {
                self.add(&format!("{name}.any.serviceworker.html"), metadata, |_| Start::Page);
            }
            RealmKind::DedicatedWorker => {
                self.add(&format!("{name}.any.worker.html"), metadata, worker);
            }
            RealmKind::SharedWorker => {
                self.add(&format!("{name}.any.sharedworker.html"), metadata, worker);
            }
        }
    }

    /// Adds all variants of a page.
    fn add(&mut self, id: &str, metadata: &Metadata, start: impl Fn(&str) -> Start) {
        let plain = [String::new()];
        let variants =
            if metadata.variants.is_empty() { &plain[..] } else { &metadata.variants[..] };
        for variant in variants {
            let (id, long) = (format!("{id}{variant}"), metadata.long);
            self.pages.push(TestPage { id, start: start(variant), long });
        }
    }
}

/// The URL's path for a file below the root.
fn url_path(relative: &Path) -> String {
    let mut path = String::new();
    for component in relative.components() {
        if let Component::Normal(segment) = component {
            path.push('/');
            path.push_str(&segment.to_string_lossy());
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(files: &[(&str, &str)], paths: &[&str]) -> Result<Suite, SuiteError> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let paths: Vec<_> = paths.iter().map(PathBuf::from).collect();
        Suite::find(root.path(), &paths)
    }

    fn ids(suite: &Suite) -> Vec<&str> {
        suite.pages.iter().map(|page| page.id.as_str()).collect()
    }

    #[test]
    fn a_folder_has_its_tests_and_not_what_they_use() {
        let files = [
            ("a/c.https.window.js", ""),
            ("a/b.html", "<script src=/resources/testharness.js></script>"),
            ("a/other.html", ""),
            ("a/sw.js", ""),
            ("a/resources/d.window.js", ""),
            ("a/e/f.window.js", ""),
        ];
        let all = ["/a/b.html", "/a/c.https.window.html", "/a/e/f.window.html"];
        assert_eq!(ids(&suite(&files, &["."]).unwrap()), all);
        let suite = suite(&files, &["a"]).unwrap();
        assert_eq!(ids(&suite), all);
        assert!(suite.covers("/a/g.window.html") && !suite.covers("/ab/g.window.html"));
    }

    #[test]
    fn a_script_for_any_global_has_a_page_for_each() {
        let source = "// META: global=window,worker,shadowrealm\n// META: timeout=long\n";
        let suite = suite(&[("a.any.js", source)], &["/a.any.js"]).unwrap();
        let expected = [
            "/a.any.html",
            "/a.any.worker.html",
            "/a.any.sharedworker.html",
            "/a.any.serviceworker.html",
        ];
        assert_eq!(ids(&suite), expected);
        let worker = |kind| Start::Worker(kind, "/a.any.worker.js".into());
        assert_eq!(suite.pages[1].start, worker(RealmKind::DedicatedWorker));
        assert_eq!(suite.pages[2].start, worker(RealmKind::SharedWorker));
        assert_eq!(suite.pages[3].start, Start::Page);
        assert!(suite.pages.iter().all(|page| page.long));
        assert_eq!(suite.not_run, ["/a.any.js in shadowrealm: there are no such realms"]);
        assert!(suite.covers("/a.any.worker.html?1") && !suite.covers("/a.html"));
    }

    #[test]
    fn variants_are_pages_of_their_own() {
        let source = "// META: variant=?1\n// META: variant=?2\n";
        let suite = suite(&[("a.window.js", source)], &["a.window.js"]).unwrap();
        assert_eq!(ids(&suite), ["/a.window.html?1", "/a.window.html?2"]);
    }

    #[test]
    fn a_path_without_tests_is_an_error() {
        for path in ["missing", "a/sw.js", "a/resources"] {
            let failed = suite(&[("a/sw.js", ""), ("a/resources/b.txt", "")], &[path]);
            assert!(failed.unwrap_err().to_string().contains("there is no test"), "{path}");
        }
    }
}
