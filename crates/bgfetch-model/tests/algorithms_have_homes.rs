//! Every algorithm of the spec has a home: a row in the table of the crate's documentation, a file
//! for each module in that row, and a link to the spec's text in one of those files.

// A panic in a test helper fails the test, as intended.
#![allow(clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

/// The spec's algorithms and the anchors of their text.
const ALGORITHMS: [(&str, &str); 21] = [
    ("queue a bgfetch task", "queue-a-bgfetch-task"),
    ("stored body bytes total", "background-fetch-stored-body-bytes-total"),
    ("display", "background-fetch-display-algorithm"),
    ("perform a background fetch", "perform-a-background-fetch-algorithm"),
    ("complete a record", "complete-a-record-algorithm"),
    ("update background fetch instances", "update-background-fetch-instance-algorithm"),
    ("fire a background fetch click event", "fire-a-background-fetch-click-event-algorithm"),
    (
        "get a BackgroundFetchRegistration instance",
        "get-a-backgroundfetchregistration-instance-algorithm",
    ),
    ("validate a partial response", "validate-partial-response-algorithm"),
    ("extract content-range values", "extract-content-range-values-algorithm"),
    ("create record objects", "create-settled-fetches-algorithm"),
    ("contains background fetch", "contains-background-fetch-algorithm"),
    ("does not contain background fetch", "contains-background-fetch-algorithm"),
    ("BackgroundFetchManager fetch()", "background-fetch-manager-fetch"),
    ("BackgroundFetchManager get()", "background-fetch-manager-get"),
    ("BackgroundFetchManager getIds()", "background-fetch-manager-get-ids"),
    ("BackgroundFetchRegistration abort()", "background-fetch-registration-abort"),
    ("BackgroundFetchRegistration match()", "background-fetch-registration-match"),
    ("BackgroundFetchRegistration matchAll()", "background-fetch-registration-match-all"),
    ("BackgroundFetchUpdateUIEvent updateUI()", "background-fetch-update-ui-event-update-ui"),
    ("background fetch click (WebDriver)", "automation-click"),
];

const DOCS: &str = include_str!("../src/lib.rs");

/// The files of the modules that the algorithm's row names.
fn homes(algorithm: &str) -> Vec<PathBuf> {
    let start = format!("//! | {algorithm} |");
    let row = DOCS.lines().find(|line| line.starts_with(&start));
    let row = row.unwrap_or_else(|| panic!("{algorithm} is not in the table"));
    row.split('`').skip(1).step_by(2).map(file_of).collect()
}

/// `a::b` is this crate's `src/a/b.rs`; a path that starts with a sibling crate's name is in that
/// crate.
fn file_of(module: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (package, path) = match module.split_once("::") {
        Some((package, path)) if package.starts_with("bgfetch") => {
            (own.with_file_name(package.replace('_', "-")), path)
        }
        _ => (own.to_owned(), module),
    };
    package.join("src").join(path.replace("::", "/") + ".rs")
}

#[test]
fn every_algorithm_has_a_row_that_names_files_that_exist() {
    for (algorithm, _) in ALGORITHMS {
        let homes = homes(algorithm);
        assert!(!homes.is_empty(), "{algorithm} has no home");
        for home in homes {
            assert!(home.is_file(), "{algorithm}: {} is missing", home.display());
        }
    }
}

#[test]
fn every_algorithm_links_to_the_text_of_the_spec() {
    for (algorithm, anchor) in ALGORITHMS {
        let link = format!("https://wicg.github.io/background-fetch/#{anchor})");
        let linked =
            homes(algorithm).iter().any(|home| fs::read_to_string(home).unwrap().contains(&link));
        assert!(linked, "no home of \"{algorithm}\" links to {link}");
    }
}

#[test]
fn the_table_has_no_other_rows() {
    let rows = DOCS.lines().filter(|line| line.starts_with("//! | "));
    // The heading counts as a row.
    assert_eq!(rows.count(), 1 + ALGORITHMS.len());
}
