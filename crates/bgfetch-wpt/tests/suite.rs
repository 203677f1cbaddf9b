//! This project's own web-platform-tests, in `spec-tests/js`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::PathBuf;

use bgfetch_wpt::{Agent, Expectations, RunOptions, ServerOptions};

#[tokio::test(flavor = "multi_thread")]
async fn the_projects_own_tests_end_as_expected() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec-tests"));
    let root = folder.join("js");
    assert!(root.join("node_modules").is_dir(), "`make setup` installs the harness");
    let expectations = std::fs::read_to_string(folder.join("expectations.json")).unwrap();
    let options = RunOptions {
        // Only a hang fails the test, not a busy machine.
        server: ServerOptions { root, pipe_any_method: false, timeout_multiplier: 6 },
        paths: vec![".".into()],
        agent: Agent::Headless { prelude: None },
        expectations: Expectations::parse(&expectations).unwrap(),
    };
    let report = bgfetch_wpt::run(options, |page| println!("{page}")).await.unwrap();
    println!("{report}");
    assert_eq!(report.surprises, [] as [String; 0]);
    assert_eq!(report.not_run, [] as [String; 0]);
}
