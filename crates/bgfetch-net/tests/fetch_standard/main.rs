//! The Fetch standard as tables: a page's requests on the wire and their results, over HTTP/1.1 and
//! HTTP/2 against real servers on loopback, and over a transport of an embedder's own.
//!
//! A row lists what the page requests, what the servers must receive and what they answer, and the
//! expected result of the fetch. The rows are in `tables/`, in the notation that [`table`]
//! documents. They are derived from the standard's text, not from this project's code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

mod raw;
mod run;
mod server;
mod table;

use std::collections::HashSet;

use self::run::{Bench, Protocol};
use self::table::Case;

/// The tables: the name of the subject, and its rows.
const TABLES: [(&str, &str); 11] = [
    ("simple", include_str!("tables/simple.txt")),
    ("safelist", include_str!("tables/safelist.txt")),
    ("preflight", include_str!("tables/preflight.txt")),
    ("preflight_cache", include_str!("tables/preflight_cache.txt")),
    ("credentials", include_str!("tables/credentials.txt")),
    ("redirect_methods", include_str!("tables/redirect_methods.txt")),
    ("redirects", include_str!("tables/redirects.txt")),
    ("origin_header", include_str!("tables/origin_header.txt")),
    ("filtered", include_str!("tables/filtered.txt")),
    ("no_cors", include_str!("tables/no_cors.txt")),
    ("policies", include_str!("tables/policies.txt")),
];

/// With fewer rows than this, a table is missing.
const LEAST_ROWS: usize = 400;

#[tokio::test]
async fn every_row_holds_over_every_protocol() {
    let cases: Vec<Case> =
        TABLES.iter().flat_map(|(subject, rows)| table::parse(subject, rows)).collect();
    let names: HashSet<_> = cases.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), cases.len(), "two rows have the same name");
    assert!(cases.len() >= LEAST_ROWS, "{} rows", cases.len());

    let bench = Bench::new();
    // To debug one row, set `ROW` to a part of its name; the others are skipped.
    let wanted = std::env::var("ROW").unwrap_or_default();
    let mut runs = [0; Protocol::ALL.len()];
    let mut failures = Vec::new();
    for case in cases.iter().filter(|case| case.name.contains(&wanted)) {
        for (index, protocol) in Protocol::ALL.into_iter().enumerate() {
            if case.runs_over(protocol) {
                runs[index] += 1;
                failures.extend(bench.run(case, protocol).await.err());
            }
        }
    }
    println!("{} rows, {runs:?} runs over {:?}", cases.len(), Protocol::ALL);
    assert!(
        failures.is_empty(),
        "{} of {} runs failed:\n\n{}",
        failures.len(),
        runs.iter().sum::<usize>(),
        failures.join("\n\n")
    );
    if wanted.is_empty() {
        let http1 = runs[0].max(runs[1]);
        let least = http1.min(runs[2]).min(runs[3]);
        assert!(least >= LEAST_ROWS, "too few runs: {runs:?}");
    }
}
