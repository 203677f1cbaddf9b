//! Lists the public API of the published crates, or compares it with the lists in docs/api, so that
//! a change of it is seen in a review. Called by `make api` and `make test`.
//!
//! Usage: public_api DOC [--write]
//!   DOC      the folder with the descriptions that rustdoc has made in JSON
//!   --write  replaces the lists

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `bgfetch` exports what embedders need of the others again.
const CRATES: [&str; 5] =
    ["bgfetch", "bgfetch_model", "bgfetch_net", "bgfetch_store", "bgfetch_sw"];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (doc, write) = match &arguments[..] {
        [doc] => (doc, false),
        [doc, write] if write == "--write" => (doc, true),
        _ => return Err("usage: public_api DOC [--write]".into()),
    };
    let lists = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api");
    let mut changed = Vec::new();
    for name in CRATES {
        let list = lists.join(format!("{}.txt", name.replace('_', "-")));
        let now = items(&Path::new(doc).join(format!("{name}.json")))?;
        if write {
            fs::write(&list, now)?;
        } else {
            changed.extend(differences(&fs::read_to_string(&list)?, &now));
        }
    }
    if changed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    for line in changed {
        eprintln!("{line}");
    }
    eprintln!(
        "The public API has changed. If that is intended, run `make api` and commit docs/api."
    );
    Ok(ExitCode::FAILURE)
}

/// The items of a crate, one in each line.
fn items(description: &PathBuf) -> Result<String, Box<dyn Error>> {
    let api = public_api::Builder::from_rustdoc_json(description)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?;
    Ok(api.items().map(|item| format!("{item}\n")).collect())
}

/// The lines that only one of two lists has.
fn differences(before: &str, now: &str) -> Vec<String> {
    let only = |of: &str, not: &str, sign: char| {
        let others: std::collections::HashSet<_> = not.lines().collect();
        let lines = of.lines().filter(|line| !others.contains(line));
        lines.map(|line| format!("{sign}{line}")).collect::<Vec<_>>()
    };
    [only(before, now, '-'), only(now, before, '+')].concat()
}
