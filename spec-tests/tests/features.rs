//! Checks what the features of `bgfetch` bring along, so that an embedder who turns one off is rid
//! of it.

// A panic in a test helper fails the test, as intended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .args(["--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The crates that an embedder builds with these features and no others, each with its features.
fn dependencies(features: &str) -> BTreeMap<String, BTreeSet<String>> {
    let tree = cargo(&[
        "tree",
        "--package=bgfetch",
        "--no-default-features",
        &format!("--features={features}"),
        "--edges=normal",
        "--prefix=none",
        "--format={p}|{f}",
    ]);
    let mut found = BTreeMap::<String, BTreeSet<String>>::new();
    for line in tree.lines() {
        let (package, features) = line.trim_end_matches(" (*)").split_once('|').unwrap();
        let name = package.split(' ').next().unwrap();
        let features = features.split(',').filter(|feature| !feature.is_empty());
        found.entry(name.to_owned()).or_default().extend(features.map(str::to_owned));
    }
    found
}

/// What each feature is for, as a crate, or as a crate and a feature of it.
const BRINGS: [(&str, &str, &[&str]); 11] = [
    ("fetch", "content-security-policy", &[]),
    ("fetch", "http", &[]),
    ("hyper", "hyper", &[]),
    ("hyper", "rustls", &[]),
    ("hyper", "async-compression", &[]),
    ("psl", "psl", &[]),
    ("rt-multi-thread", "tokio", &["rt-multi-thread"]),
    ("sqlite", "libsqlite3-sys", &[]),
    ("sqlite-bundled", "libsqlite3-sys", &["bundled"]),
    ("system-connectivity", "rtnetlink", &[]),
    ("system-connectivity", "netlink-packet-route", &[]),
];

/// The features that have another one in them.
const INCLUDES: [(&str, &str); 2] = [("hyper", "fetch"), ("sqlite-bundled", "sqlite")];

#[test]
fn each_feature_brings_what_it_is_for_and_nothing_of_the_others() {
    let names: BTreeSet<&str> = BRINGS.iter().map(|(feature, _, _)| *feature).collect();
    for own in names {
        let found = dependencies(own);
        for (feature, name, features) in BRINGS {
            let is_there = found
                .get(name)
                .is_some_and(|found| features.iter().all(|feature| found.contains(*feature)));
            let expected = feature == own || INCLUDES.contains(&(own, feature));
            assert_eq!(is_there, expected, "{name} {features:?} with the feature {own}");
        }
    }
}

/// What opens sockets, speaks a protocol, or knows routes.
const NETWORK: [&str; 13] = [
    "h2",
    "http",
    "hyper",
    "hyper-rustls",
    "hyper-util",
    "mio",
    "netlink-sys",
    "ring",
    "rtnetlink",
    "rustls",
    "socket2",
    "tokio-rustls",
    "tokio-socks",
];

#[test]
fn without_features_there_is_no_network_stack_no_database_and_no_multi_threaded_runtime() {
    let everything = dependencies("default");
    for name in NETWORK {
        assert!(everything.contains_key(name), "{name} is not used at all");
    }
    let found = dependencies("");
    for name in NETWORK.into_iter().chain(["libsqlite3-sys", "rusqlite", "psl"]) {
        assert!(!found.contains_key(name), "{name}");
    }
    let tokio: Vec<&str> = found["tokio"].iter().map(String::as_str).collect();
    assert_eq!(tokio, ["default", "macros", "rt", "sync", "time", "tokio-macros"]);
}

#[test]
fn the_guide_has_every_feature_and_says_which_are_on_by_default() {
    let metadata = cargo(&["metadata", "--no-deps", "--format-version=1"]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "bgfetch").unwrap();
    let mut features = package["features"].as_object().unwrap().clone();
    let defaults = features.remove("default").unwrap();
    let real: BTreeMap<String, bool> = features
        .keys()
        .map(|name| {
            let on = defaults.as_array().unwrap().iter().any(|default| {
                let default = default.as_str().unwrap();
                default == name || INCLUDES.contains(&(default, name))
            });
            (name.clone(), on)
        })
        .collect();

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let guide = fs::read_to_string(root.join("docs/embedding.md")).unwrap();
    let (_, section) = guide.split_once("\n## Features\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    // The rows of the table: | `name` | yes | ...
    let documented: BTreeMap<String, bool> = section
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
            let on = rest.split(" |").next()?;
            ["yes", "no"].contains(&on).then(|| (name.to_owned(), on == "yes"))
        })
        .collect();
    assert_eq!(documented, real);
}
