//! Checks that docs/conformance-coverage.md names a test for each algorithm of the spec and each
//! statement of the API's overview page, and that the tests exist.

// A panic in a test helper fails the test, as intended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

const FOLDERS: [&str; 2] =
    ["spec-tests/js/background-fetch", "spec-tests/js/testing/background-fetch"];
/// The number of statements on the overview page.
const STATEMENTS: usize = 11;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A test named in a row.
struct Test {
    /// The text of the link; if it has backticks, it is the name of a test.
    text: String,
    /// The path of its file, relative to the root.
    path: String,
}

impl Test {
    /// The text of its file. Comments over several lines are joined into one line.
    fn file(&self) -> String {
        read(&self.path).replace("\n// ", " ")
    }

    /// Checks that the named test exists. Returns whether a test was named.
    fn is_by_name(&self) -> bool {
        let name = self.text.strip_prefix('`').and_then(|text| text.strip_suffix('`'));
        let Some(name) = name else { return false };
        let text = if self.path.ends_with(".rs") { format!("fn {name}(") } else { name.to_owned() };
        assert!(self.file().contains(&text), "{} has no test {name}", self.path);
        true
    }
}

/// The rows of the table below that heading: the first cell, and the tests in the last one.
fn table(heading: &str) -> Vec<(String, Vec<Test>)> {
    let document = read("docs/conformance-coverage.md");
    let (_, section) = document.split_once(&format!("\n## {heading}\n")).expect("the heading");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let rows: Vec<_> = rows.map(row).collect();
    assert!(!rows.is_empty(), "{heading} has no table");
    rows
}

fn row(line: &str) -> (String, Vec<Test>) {
    let mut cells = line.trim_matches(['|', ' ']).split(" | ");
    let first = cells.next().unwrap().to_owned();
    let tests: Vec<_> = links(cells.last().unwrap());
    assert!(!tests.is_empty(), "{first} has no test");
    (first, tests)
}

/// The links of a cell, `[text](../path)`.
fn links(cell: &str) -> Vec<Test> {
    cell.split("](../")
        .collect::<Vec<_>>()
        .windows(2)
        .map(|around| {
            let [before, after] = around else { panic!("two parts") };
            let text = before.rsplit_once('[').expect("a link's text").1.to_owned();
            let path = after.split_once(')').expect("a link's end").0.to_owned();
            Test { text, path }
        })
        .collect()
}

#[test]
fn every_algorithm_has_tests_that_name_it() {
    let algorithms = read("crates/bgfetch-model/src/lib.rs");
    let algorithms: Vec<&str> = algorithms
        .lines()
        .filter_map(|line| line.strip_prefix("//! | ")?.split(" |").next())
        .skip(1)
        .collect();
    let rows = table("The spec's algorithms");
    let covered: Vec<&str> = rows.iter().map(|(algorithm, _)| algorithm.as_str()).collect();
    assert_eq!(covered, algorithms);
    for (algorithm, tests) in rows {
        for test in tests {
            let names_it = test.file().to_lowercase().contains(&algorithm.to_lowercase());
            assert!(test.is_by_name() || names_it, "{} does not name {algorithm}", test.path);
        }
    }
}

#[test]
fn tests_of_what_differs_from_the_spec_name_the_entry() {
    for (entries, tests) in table("Where we differ from the spec") {
        for test in tests {
            let text = test.file();
            let names_it = entries.split(", ").any(|entry| names_entry(&text, entry));
            assert!(test.is_by_name() || names_it, "{} does not name {entries}", test.path);
        }
    }
}

/// Whether the text mentions "D7", or "spec issue 5" or "spec issues 5 and 6".
fn names_entry(text: &str, entry: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric();
    if entry.starts_with('D') {
        return text.split(|c| !is_part(c)).any(|word| word == entry);
    }
    text.to_lowercase().split("spec issue").skip(1).any(|after| {
        let numbers = after.trim_start_matches('s').split(|c: char| !is_part(c)).skip(1);
        numbers
            .take_while(|word| *word == "and" || word.parse::<u32>().is_ok())
            .any(|it| it == entry)
    })
}

#[test]
fn every_statement_of_the_overview_page_has_a_test() {
    let rows = table("The overview page");
    assert_eq!(rows.len(), STATEMENTS);
    for (statement, tests) in rows {
        for test in tests {
            assert!(test.is_by_name(), "{statement}: which test of {}?", test.path);
        }
    }
}

#[test]
fn every_test_file_is_named_and_says_what_it_shows() {
    let document = read("docs/conformance-coverage.md");
    for folder in FOLDERS {
        let entries = fs::read_dir(root().join(folder)).unwrap();
        let files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        let tests: Vec<&PathBuf> = files
            .iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "js"))
            .collect();
        assert!(!tests.is_empty());
        for test in tests {
            let name = test.file_name().unwrap().to_str().unwrap();
            let link = format!("{folder}/{name})");
            assert!(document.contains(&link), "{folder}/{name} is not in the document");
            let text = fs::read_to_string(test).unwrap();
            let first = text.lines().find(|line| !line.starts_with("// META: ")).unwrap();
            assert!(first.starts_with("// "), "{name} does not begin with what it shows");
        }
    }
}

/// Tests that need what only this project's runner has are in a folder of their own, so that the
/// others can be run in any browser.
#[test]
fn only_tests_in_their_folder_use_bgfetch_testing() {
    let mut folders = vec![root().join("spec-tests/js")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if !["node_modules", "testing"].contains(&name) {
                    folders.push(path);
                }
            } else if name.ends_with(".js") || name.ends_with(".html") {
                files += 1;
                assert!(!read(&path).contains("bgfetchTesting"), "{}", path.display());
            }
        }
    }
    assert!(files > 0);
}

/// The entries of an expectations file: their names, causes and reasons.
fn expectations(file: &str) -> Vec<(String, String, String)> {
    let json: serde_json::Value = serde_json::from_str(&read(file)).unwrap();
    let mut found = Vec::new();
    for (page, entry) in json.as_object().unwrap() {
        let subtests = entry["subtests"].as_object().into_iter().flatten();
        let own = entry.get("expected").map(|_| (page, entry));
        for (name, entry) in subtests.chain(own) {
            let text = |member: &str| entry[member].as_str().unwrap().to_owned();
            found.push((format!("{page}: {name}"), text("cause"), text("reason")));
        }
    }
    found
}

#[test]
fn each_bug_of_chromium_names_a_step() {
    for file in ["chromium-expectations.json", "chromium-upstream-expectations.json"] {
        let entries = expectations(&format!("spec-tests/{file}"));
        assert!(!entries.is_empty());
        for (test, cause, reason) in entries {
            let names_step = reason.split("step ").nth(1).is_some_and(|after| {
                after.starts_with(|character: char| character.is_ascii_digit())
            });
            assert!(cause != "bug" || names_step, "{file}: {test} names no step: {reason}");
        }
    }
}
