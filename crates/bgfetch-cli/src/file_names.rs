//! The names under which the bodies of a fetch are saved.
//!
//! They depend only on the URLs, their order and the existing files, so that a process that
//! finishes or repeats a job finds the files that an earlier one wrote.

use std::collections::{HashMap, HashSet};

use percent_encoding::percent_decode_str;
use url::Url;

use crate::text::is_printable;

/// The name for a URL whose path has no last segment.
const INDEX: &str = "index.html";

/// The maximum length of a name in bytes. File systems allow 255, and a number may be added.
const MAX_LENGTH: usize = 200;

/// An extension, including its dot, is shorter than this.
const MAX_EXTENSION: usize = 20;

/// Characters that are path separators on some system or invalid on some file system.
const UNSAFE: [char; 9] = ['/', '\\', ':', '*', '?', '"', '<', '>', '|'];

/// Chooses the names of one fetch's files, all of them different.
#[derive(Debug, Default)]
pub(crate) struct FileNames {
    given: HashSet<String>,
    /// How often each unnumbered name was requested.
    asked: HashMap<String, u32>,
}

impl FileNames {
    /// The next name for the URL's body: first its own, then `name (1).ext` and so on. It is called
    /// again for other URLs with the same name, and if a file with that name exists.
    pub(crate) fn next(&mut self, url: &Url) -> String {
        let plain = file_name(url);
        let asked = self.asked.entry(folded(&plain)).or_default();
        loop {
            let name = if *asked == 0 { plain.clone() } else { numbered(&plain, *asked) };
            *asked = asked.saturating_add(1);
            if self.given.insert(folded(&name)) {
                return name;
            }
        }
    }
}

/// The name with a number before its extension.
fn numbered(name: &str, number: u32) -> String {
    let (stem, extension) = split_extension(name);
    format!("{stem} ({number}){extension}")
}

/// A name's stem and its extension with the dot. `.tar.gz` and the like are one extension.
fn split_extension(name: &str) -> (&str, &str) {
    let Some(dot) = name.rfind('.').filter(|dot| *dot > 0 && name.len() - dot < MAX_EXTENSION)
    else {
        return (name, "");
    };
    let dot = name.get(..dot).and_then(|stem| stem.strip_suffix(".tar")).map_or(dot, str::len);
    name.split_at(dot)
}

/// The name as the file system compares it.
fn folded(name: &str) -> String {
    if cfg!(any(windows, target_vendor = "apple")) { name.to_lowercase() } else { name.to_owned() }
}

/// The last segment of the URL's path as a file name. It is never hidden and never leads out of its
/// directory.
pub(crate) fn file_name(url: &Url) -> String {
    let segment = url.path_segments().and_then(|mut segments| segments.next_back());
    let segment = segment.unwrap_or_default();
    // If it is not valid UTF-8, it stays percent-encoded.
    let decoded = percent_decode_str(segment).decode_utf8().unwrap_or(segment.into());
    let safe = |c: char| {
        if UNSAFE.contains(&c) || !is_printable(c) { '_' } else { c }
    };
    let mut name: String = decoded.chars().map(safe).collect();
    if name.is_empty() {
        return INDEX.into();
    }
    // It must not be a hidden file or one of the directories `.` and `..`.
    if name.starts_with('.') {
        name.replace_range(..1, "_");
    }
    cut(name)
}

/// Shortens a name that is too long but keeps its extension.
fn cut(name: String) -> String {
    if name.len() <= MAX_LENGTH {
        return name;
    }
    let (stem, extension) = split_extension(&name);
    let length = stem.floor_char_boundary(MAX_LENGTH - extension.len());
    format!("{}{extension}", stem.get(..length).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(url: &str) -> String {
        file_name(&Url::parse(url).unwrap())
    }

    #[test]
    fn the_name_is_the_last_segment_decoded() {
        assert_eq!(name("http://a.test/films/gr%C3%BCn.mp4?size=1#end"), "grün.mp4");
        assert_eq!(name("http://a.test/100%25%zz%"), "100%%zz%");
        assert_eq!(name("http://a.test/%ff.bin"), "%ff.bin");
    }

    #[test]
    fn a_url_without_a_name_gets_one() {
        assert_eq!(name("http://a.test"), "index.html");
        assert_eq!(name("http://a.test/films/"), "index.html");
    }

    #[test]
    fn no_name_leaves_the_directory_or_hides() {
        assert_eq!(name("http://a.test/..%2f..%2fetc%2fpasswd"), "_._.._etc_passwd");
        assert_eq!(name("http://a.test/%2e%2e%5cx"), "_._x");
        assert_eq!(name("http://a.test/.bashrc"), "_bashrc");
        assert_eq!(name("http://a.test/a%00b%1b%0ac"), "a_b__c");
        assert_eq!(name("http://a.test/gpj.%E2%80%AEexe"), "gpj._exe");
        for url in ["http://a.test/%2e", "http://a.test/x/%2e%2e", "http://a.test/x/.%2e%2f"] {
            assert!(!name(url).starts_with('.'), "{url}");
        }
    }

    #[test]
    fn long_names_are_cut_and_keep_their_extension() {
        let long = format!("http://a.test/{}.tar", "ü".repeat(300));
        let cut = name(&long);
        assert!(cut.len() <= MAX_LENGTH && cut.ends_with("ü.tar"), "{cut}");
    }

    #[test]
    fn equal_names_are_numbered_and_never_collide() {
        let mut names = FileNames::default();
        let given = ["a/x.bin", "b/x.bin", "c/x (1).bin", "d/x.bin", "e/y", "f/y"].map(|path| {
            let url = Url::parse("http://a.test/").unwrap().join(path).unwrap();
            names.next(&url)
        });
        assert_eq!(given, ["x.bin", "x (1).bin", "x (1) (1).bin", "x (2).bin", "y", "y (1)"]);
    }

    #[test]
    fn a_number_stands_before_the_extension() {
        for (name, expected) in [
            ("film.mp4", "film (1).mp4"),
            ("data.tar.gz", "data (1).tar.gz"),
            ("_.tar.gz", "_ (1).tar.gz"),
            ("README", "README (1)"),
            ("1. A sentence with a dot in it", "1. A sentence with a dot in it (1)"),
        ] {
            assert_eq!(numbered(name, 1), expected);
        }
    }
}
