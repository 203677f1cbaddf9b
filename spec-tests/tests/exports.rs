//! Checks that whoever depends on `bgfetch` alone can name each type of its API. docs/api says what
//! the API is; `make api-check` compares it with the code.

// A panic in a test helper fails the test, as intended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The crates whose items `bgfetch` exports, as far as embedders need them.
const CRATES: [&str; 4] = ["bgfetch_model", "bgfetch_net", "bgfetch_store", "bgfetch_sw"];

/// Types of functions that only the engine calls: what the model makes of a fetcher's error, the time
/// for the model, and whether a record has to wait for a look-up.
const NOT_FOR_EMBEDDERS: [&str; 3] = ["Fault", "Now", "Reach"];

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn api(crate_name: &str) -> String {
    read(&format!("docs/api/{}.txt", crate_name.replace('_', "-")))
}

/// A type, by the name of its crate and its own.
type Type = (String, String);

/// The paths in a line, such as `bgfetch_net::slot::Slot`.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
        .map(|path| path.trim_end_matches(':'))
        .filter(|path| path.starts_with("bgfetch") && path.contains("::"))
}

/// The type in a path: the first name in it that begins with a capital letter.
fn type_of(path: &str) -> Option<Type> {
    let crate_name = path.split("::").next()?;
    let name = path.split("::").find(|name| name.starts_with(|c: char| c.is_ascii_uppercase()))?;
    // A constant is not a type.
    let is_type = name.len() == 1 || name.contains(|c: char| c.is_ascii_lowercase());
    is_type.then(|| (crate_name.to_owned(), name.to_owned()))
}

/// What `bgfetch` exports of the other crates: the paths in `pub use`, with the names in braces.
fn exported_paths() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in ["embedder", "lib", "observer"] {
        let text = read(&format!("crates/bgfetch/src/{file}.rs"));
        for item in text.split("\npub use ").skip(1) {
            let (item, _) = item.split_once(';').unwrap();
            let (base, names) = match item.split_once('{') {
                Some((base, names)) => (base, names.trim_end_matches('}')),
                None => ("", item),
            };
            for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                let name = name.split(" as ").next().unwrap();
                found.insert(format!("{base}{name}"));
            }
        }
    }
    found.retain(|path| CRATES.iter().any(|name| path.starts_with(name)));
    found
}

#[test]
fn every_type_of_the_api_is_exported_by_the_one_crate_that_embedders_depend_on() {
    let paths_out = exported_paths();
    let mut exported: BTreeSet<Type> = paths_out.iter().filter_map(|path| type_of(path)).collect();
    let is_in_module = |path: &str| {
        paths_out
            .iter()
            .any(|out| path.strip_prefix(out.as_str()).is_some_and(|rest| rest.starts_with("::")))
    };
    for crate_name in CRATES {
        let text = api(crate_name);
        let all = text.lines().filter_map(|line| paths(line).next());
        exported.extend(all.filter(|path| is_in_module(path)).filter_map(type_of));
    }
    assert!(exported.len() > 100, "{exported:?}");

    let mut missing = BTreeSet::new();
    for crate_name in CRATES.into_iter().chain(["bgfetch"]) {
        for line in api(crate_name).lines() {
            let owner = paths(line).next().and_then(type_of);
            if crate_name != "bgfetch" && !owner.is_some_and(|owner| exported.contains(&owner)) {
                continue;
            }
            missing.extend(paths(line).filter_map(type_of).filter(|named| {
                named.0 != "bgfetch"
                    && !exported.contains(named)
                    && !(named.0 == "bgfetch_model" && NOT_FOR_EMBEDDERS.contains(&&*named.1))
            }));
        }
    }
    assert!(missing.is_empty(), "not exported by bgfetch: {missing:?}");
}
