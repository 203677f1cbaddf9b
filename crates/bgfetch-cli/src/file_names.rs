//! Under which names the bodies of a fetch are written.
//!
//! The names depend on the URLs and their order alone, so that every process that finishes or
//! repeats a job writes the same files.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::text::is_printable;

/// What stands for a URL whose path has no last segment.
const INDEX: &str = "index.html";

/// The most bytes of a name; file systems allow 255, and a number may be added.
const MAX_LENGTH: usize = 200;

/// Characters that separate paths somewhere, or that some file system refuses.
const UNSAFE: [char; 9] = ['/', '\\', ':', '*', '?', '"', '<', '>', '|'];

/// One name for each URL, in their order and all different.
pub(crate) fn file_names<'a>(urls: impl IntoIterator<Item = &'a Url>) -> Vec<String> {
    // Every name given out, with the number that its next namesake tries.
    let mut taken: HashMap<String, u32> = HashMap::new();
    let mut unique = |url| {
        let plain = file_name(url);
        let mut name = plain.clone();
        let mut number = taken.get(&folded(&plain)).copied().unwrap_or(1);
        while taken.contains_key(&folded(&name)) {
            name = format!("{plain}.{number}");
            number += 1;
        }
        taken.insert(folded(&plain), number);
        taken.entry(folded(&name)).or_insert(1);
        name
    };
    urls.into_iter().map(&mut unique).collect()
}

/// The name as the file system compares it.
fn folded(name: &str) -> String {
    if cfg!(any(windows, target_vendor = "apple")) { name.to_lowercase() } else { name.to_owned() }
}

/// The last segment of the URL's path as a file name that can only mean a visible file in the
/// directory it is put into.
pub(crate) fn file_name(url: &Url) -> String {
    let segment = url.path_segments().and_then(|mut segments| segments.next_back());
    let segment = segment.unwrap_or_default();
    // What is not text in UTF-8 stays percent-encoded.
    let decoded = percent_decode_str(segment).decode_utf8().unwrap_or(segment.into());
    let safe = |c: char| {
        if UNSAFE.contains(&c) || !is_printable(c) { '_' } else { c }
    };
    let mut name: String = decoded.chars().map(safe).collect();
    if name.is_empty() {
        return INDEX.into();
    }
    // Neither a hidden file nor one of the directories `.` and `..`.
    if name.starts_with('.') {
        name.replace_range(..1, "_");
    }
    cut(name)
}

/// Shortens the stem of a name that is too long; its extension stays.
fn cut(name: String) -> String {
    if name.len() <= MAX_LENGTH {
        return name;
    }
    let extension = match name.rsplit_once('.') {
        Some((_, extension)) if extension.len() < 20 => format!(".{extension}"),
        _ => String::new(),
    };
    let stem = name.floor_char_boundary(MAX_LENGTH - extension.len());
    format!("{}{extension}", name.get(..stem).unwrap_or_default())
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
        let urls = ["a/x", "b/x", "c/x.1", "d/x", "e/x.1"]
            .map(|path| Url::parse("http://a.test/").unwrap().join(path).unwrap());
        assert_eq!(file_names(&urls), ["x", "x.1", "x.1.1", "x.2", "x.1.2"]);
    }
}
