//! The names under which the bodies of a fetch are saved.
//!
//! They depend only on the URLs or responses, their order, how they are saved and the existing files,
//! so that a process that finishes or repeats a job finds the files that an earlier one wrote.

use std::collections::{HashMap, HashSet};

use percent_encoding::percent_decode_str;
use url::Url;

use crate::content_disposition;
use crate::text::replaced;

/// The name for a URL whose path has no last segment.
const INDEX: &str = "index.html";

/// The maximum length of a name in bytes. File systems allow 255, and a number may be added.
const MAX_LENGTH: usize = 200;

/// An extension, including its dot, is shorter than this.
const MAX_EXTENSION: usize = 20;

/// Characters that are path separators on some system or invalid on some file system.
const UNSAFE: [char; 9] = ['/', '\\', ':', '*', '?', '"', '<', '>', '|'];

/// Names of devices on Windows, besides those with a number.
const DEVICES: [&str; 7] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"];

/// Chooses the names of one fetch's files, all of them different.
#[derive(Debug, Default)]
pub(crate) struct FileNames {
    given: HashSet<String>,
    /// How often each unnumbered name was requested.
    asked: HashMap<String, u32>,
}

impl FileNames {
    /// The next name for a body: first its own, then `name (1).ext` and so on. It is called again for
    /// other bodies with the same name, and if a file with that name exists.
    pub(crate) fn next(&mut self, own: &str) -> String {
        let asked = self.asked.entry(folded(own)).or_default();
        loop {
            let name = if *asked == 0 { own.to_owned() } else { numbered(own, *asked) };
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

/// The last segment of the URL's path as a [safe name](safe_name).
pub(crate) fn file_name(url: &Url) -> String {
    let segment = url.path_segments().and_then(|mut segments| segments.next_back());
    let segment = segment.unwrap_or_default();
    // If it is not valid UTF-8, it stays percent-encoded.
    let decoded = percent_decode_str(segment).decode_utf8().unwrap_or(segment.into());
    if decoded.is_empty() { INDEX.into() } else { safe_name(&decoded) }
}

/// The [safe name](safe_name) that a response's `Content-Disposition` suggests, if it does. Of a
/// path, the last part is the name.
pub(crate) fn suggested_name(header: &str) -> Option<String> {
    let suggested = content_disposition::file_name(header)?;
    let name = suggested.rsplit(['/', '\\']).next().filter(|name| !name.trim().is_empty())?;
    Some(safe_name(name))
}

/// A server's name for a file, changed so that the file is visible, in its directory, and not taken
/// for an option, a device or a hidden file on any system. The text is not empty.
fn safe_name(text: &str) -> String {
    let mut name = cut(replaced(text, '_').replace(UNSAFE, "_"));
    // A dot would hide it, and a dash would make it an option.
    if name.starts_with(|c: char| matches!(c, '.' | '-') || c.is_whitespace()) {
        replace_first(&mut name);
    }
    // Windows drops these.
    let kept = name.trim_end_matches(|c: char| c == '.' || c.is_whitespace()).len();
    if kept < name.len() {
        name.truncate(kept);
        name.push('_');
    }
    if is_device(&name) { format!("_{name}") } else { name }
}

fn replace_first(name: &mut String) {
    let first = name.chars().next().map_or(0, char::len_utf8);
    name.replace_range(..first, "_");
}

/// Whether Windows opens a device by this name, in every directory and with any extension.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    if DEVICES.contains(&stem.as_str()) {
        return true;
    }
    let numbered = ["COM", "LPT"].iter().find_map(|device| stem.strip_prefix(device));
    numbered.is_some_and(|number| {
        let mut digits = number.chars();
        let is_digit = |c| char::is_ascii_digit(&c) || matches!(c, '¹' | '²' | '³');
        digits.next().is_some_and(is_digit) && digits.next().is_none()
    })
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
    fn no_name_is_an_option_or_a_device_or_changes_when_it_is_copied() {
        for (path, expected) in [
            ("-rf", "_rf"),
            ("--help", "_-help"),
            ("%20x", "_x"),
            ("CON", "_CON"),
            ("nul.tar.gz", "_nul.tar.gz"),
            ("aux%20.txt", "_aux .txt"),
            ("com7.log", "_com7.log"),
            ("LPT%C2%B9", "_LPT¹"),
            ("conout$", "_conout$"),
            ("console.txt", "console.txt"),
            ("com10", "com10"),
            ("x.con", "x.con"),
            ("x.", "x_"),
            ("x.exe.%20.", "x.exe_"),
            ("%20", "_"),
            ("...", "__"),
        ] {
            assert_eq!(name(&format!("http://a.test/{path}")), expected);
        }
    }

    #[test]
    fn no_name_has_invisible_characters() {
        assert_eq!(name("http://a.test/a%D8%9Cb"), "a_b");
        assert_eq!(name("http://a.test/%E2%80%8Bx%EF%BB%BF"), "_x_");
        assert_eq!(name("http://a.test/pay%C2%ADload"), "pay_load");
        assert_eq!(name("http://a.test/%F0%9F%8E%AC%EF%B8%8F.mp4"), "🎬\u{fe0f}.mp4");
    }

    #[test]
    fn a_suggested_name_is_as_safe_as_one_of_a_url() {
        for (header, expected) in [
            ("attachment; filename=film.mp4", Some("film.mp4")),
            ("attachment; filename=\"C:\\\\films\\\\x.mp4\"", Some("x.mp4")),
            ("attachment; filename=\"../../etc/passwd\"", Some("passwd")),
            ("attachment; filename=..", Some("__")),
            ("attachment; filename=.bashrc", Some("_bashrc")),
            ("attachment; filename*=UTF-8''%1b%5b2Jx", Some("_[2Jx")),
            ("attachment; filename=\"films/\"", None),
            ("inline", None),
        ] {
            assert_eq!(suggested_name(header).as_deref(), expected, "{header}");
        }
    }

    #[test]
    fn long_names_are_cut_and_keep_their_extension() {
        let long = format!("http://a.test/{}.tar", "ü".repeat(300));
        let cut = name(&long);
        assert!(cut.len() <= MAX_LENGTH && cut.ends_with("ü.tar"), "{cut}");
        // A space where it is cut would be the last character.
        let long = format!("http://a.test/{}%20{}", "x".repeat(MAX_LENGTH - 1), "y".repeat(30));
        assert_eq!(name(&long), format!("{}_", "x".repeat(MAX_LENGTH - 1)));
    }

    #[test]
    fn equal_names_are_numbered_and_never_collide() {
        let mut names = FileNames::default();
        let given = ["a/x.bin", "b/x.bin", "c/x (1).bin", "d/x.bin", "e/y", "f/y"].map(|path| {
            let url = Url::parse("http://a.test/").unwrap().join(path).unwrap();
            names.next(&file_name(&url))
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
