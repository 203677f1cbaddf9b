//! Checks what the documents say about the code, so that neither can drift.

// A panic in a test helper fails the test, as intended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TESTKIT: &str = "bgfetch-testkit";

/// A longer file has more than one subject: a newcomer should find one algorithm in one file, and
/// be able to read that file in one go.
const MAX_LINES: usize = 700;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Reads a file; `path` is relative to the root.
fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below `folder` with that extension, relative to the root, sorted.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The source files of all crates, with their text. Tests beside the sources are not included.
fn sources() -> Vec<(PathBuf, String)> {
    let sources: Vec<_> = files("crates", "rs")
        .into_iter()
        .filter(|path| path.components().nth(2).is_some_and(|part| part.as_os_str() == "src"))
        .map(|path| {
            let text = read(&path);
            (path, text)
        })
        .collect();
    assert!(!sources.is_empty(), "the sources were not found");
    sources
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// An arrow between two crates of the workspace, from the dependent to the dependency.
type Arrow = (String, String);

struct Dependencies {
    /// The dependencies that the crates are built with.
    normal: BTreeSet<Arrow>,
    /// The dependencies of their tests only.
    dev: BTreeSet<Arrow>,
}

fn dependencies() -> Dependencies {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |value: &serde_json::Value| value["name"].as_str().unwrap().to_owned();
    let members: BTreeSet<String> = packages.iter().map(name).collect();
    let mut found = Dependencies { normal: BTreeSet::new(), dev: BTreeSet::new() };
    for package in packages {
        for dependency in package["dependencies"].as_array().unwrap() {
            let arrow = (name(package), name(dependency));
            if !members.contains(&arrow.1) {
                continue;
            }
            match dependency["kind"].as_str() {
                Some("dev") => found.dev.insert(arrow),
                _ => found.normal.insert(arrow),
            };
        }
    }
    found
}

/// The arrows (`a --> b`) of the Mermaid diagram in docs/architecture.md.
fn diagram() -> BTreeSet<Arrow> {
    let text = read("docs/architecture.md");
    let (_, diagram) = text.split_once("```mermaid\n").expect("a diagram");
    let (diagram, _) = diagram.split_once("```").expect("the end of the diagram");
    let arrows: BTreeSet<Arrow> = diagram
        .lines()
        .filter_map(|line| line.split_once("-->"))
        .map(|(from, to)| (from.trim().to_owned(), to.trim().to_owned()))
        .collect();
    assert!(!arrows.is_empty(), "the diagram has no arrows");
    arrows
}

#[test]
fn crates_depend_on_each_other_as_the_diagram_shows() {
    let (shown, mut real) = (diagram(), dependencies().normal);
    // The diagram shows only what an embedder builds.
    real.retain(|(from, _)| from != TESTKIT);
    let missing = real.difference(&shown).map(|(from, to)| format!("not shown: {from} --> {to}"));
    let extra = shown.difference(&real).map(|(from, to)| format!("not there: {from} --> {to}"));
    assert_none(&missing.chain(extra).collect::<Vec<_>>());
}

#[test]
fn network_store_and_workers_know_nothing_of_each_other_even_in_tests() {
    let Dependencies { normal, dev } = dependencies();
    let peers = ["bgfetch-net", "bgfetch-store", "bgfetch-sw"];
    for (from, to) in normal.union(&dev) {
        let both = peers.contains(&from.as_str()) && peers.contains(&to.as_str());
        assert!(!both, "{from} depends on {to}");
    }
}

/// If the test kit depended on another of our crates, every crate's tests would depend on that one
/// too.
#[test]
fn the_testkit_is_used_by_tests_alone_and_knows_only_the_model() {
    for (from, to) in dependencies().normal {
        assert_ne!(to, TESTKIT, "{from} is built with the test kit");
        assert!(from != TESTKIT || to == "bgfetch-model", "the test kit depends on {to}");
    }
}

#[test]
fn no_source_file_has_more_than_one_subject() {
    let problems: Vec<String> = sources()
        .iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines >= MAX_LINES)
        .map(|(path, lines)| format!("{} has {lines} lines", path.display()))
        .collect();
    assert_none(&problems);
}

/// Crates whose modules can be read from the bottom up: the modules right below `src` use each
/// other in one direction only.
const LAYERED: [&str; 10] = [
    "bgfetch",
    "bgfetch-binding",
    "bgfetch-cli",
    "bgfetch-deno",
    "bgfetch-host",
    "bgfetch-net",
    "bgfetch-store",
    "bgfetch-sw",
    "bgfetch-testkit",
    "bgfetch-wpt",
];

/// The modules right below a crate's `src`, each with the names that it uses through `crate::`
/// outside its tests.
fn module_arrows(crate_name: &str) -> BTreeMap<String, BTreeSet<String>> {
    let folder = Path::new("crates").join(crate_name).join("src");
    let mut arrows = BTreeMap::<String, BTreeSet<String>>::new();
    for (path, text) in sources() {
        let Ok(below) = path.strip_prefix(&folder) else { continue };
        let module = below.iter().next().and_then(|name| name.to_str()).unwrap();
        let module = module.trim_end_matches(".rs");
        let (code, _) = text.split_once("#[cfg(test)]\nmod tests").unwrap_or((&text, ""));
        let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        for after in code.flat_map(|line| line.split("crate::").skip(1)) {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let name = after.split(|c| !is_name(c)).next().unwrap_or_default();
            if name != module && !["lib", "main"].contains(&module) {
                arrows.entry(module.to_owned()).or_default().insert(name.to_owned());
            }
        }
    }
    assert!(!arrows.is_empty(), "{crate_name} has no modules");
    arrows
}

#[test]
fn modules_of_layered_crates_use_each_other_in_one_direction() {
    let mut problems = Vec::new();
    for crate_name in LAYERED {
        let mut arrows = module_arrows(crate_name);
        // A module that uses none of the remaining ones is below the rest.
        loop {
            let left: BTreeSet<String> = arrows.keys().cloned().collect();
            arrows.retain(|_, used| !used.is_disjoint(&left));
            if arrows.len() == left.len() {
                break;
            }
        }
        if !arrows.is_empty() {
            problems.push(format!("a circle in {crate_name}: {arrows:?}"));
        }
    }
    assert_none(&problems);
}

/// The entries of docs/spec-issues.md (`## n. Title`, deviations `## Dn. Title`), by name.
fn entries(text: &str) -> BTreeMap<String, &str> {
    text.split("\n## ")
        .skip(1)
        .filter_map(|entry| {
            let (name, body) = entry.split_once(". ")?;
            let number = name.strip_prefix('D').unwrap_or(name);
            let numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            numbered.then(|| (name.to_owned(), body))
        })
        .collect()
}

/// The links (`[text](target)`) of a document, as pairs.
fn links(text: &str) -> Vec<(&str, &str)> {
    text.split("](")
        .zip(text.split("](").skip(1))
        .filter_map(|(before, after)| Some((before.rsplit_once('[')?.1, after.split_once(')')?.0)))
        .collect()
}

/// The paths, relative to the root, of the files that a document in docs/ links to.
fn linked_files(text: &str) -> BTreeSet<PathBuf> {
    links(text)
        .iter()
        .filter_map(|(_, target)| target.strip_prefix("../"))
        .map(PathBuf::from)
        .collect()
}

#[test]
fn every_spec_issue_marker_has_an_entry_and_every_entry_a_marker() {
    let issues = read("docs/spec-issues.md");
    let entries = entries(&issues);
    let mut problems = Vec::new();
    let mut marked = BTreeSet::new();
    for (path, text) in sources() {
        for after in text.split("SPEC-ISSUE(").skip(1) {
            let number = after.split_once(')').map_or("", |(number, _)| number);
            marked.insert(number.to_owned());
            let entry = entries.get(number).copied().unwrap_or_default();
            if !linked_files(entry).contains(&path) {
                problems.push(format!(
                    "docs/spec-issues.md has no entry {number} that links to {}",
                    path.display()
                ));
            }
        }
    }
    for name in entries.keys().filter(|name| !name.starts_with('D')) {
        if !marked.contains(name) {
            problems.push(format!("no source is marked SPEC-ISSUE({name})"));
        }
    }
    assert_none(&problems);
}

/// The entry that a marker `DEVIATION(Dn): reason` names, and its reason.
fn deviation(after: &str) -> Option<(&str, &str)> {
    after.strip_prefix('(')?.split_once("): ")
}

#[test]
fn every_marker_has_a_reason_and_every_deviation_an_entry() {
    let issues = read("docs/spec-issues.md");
    let entries = entries(&issues);
    let scripts = files("crates", "js").into_iter().map(|path| (path.clone(), read(&path)));
    let mut problems = Vec::new();
    for (path, text) in sources().into_iter().chain(scripts) {
        for (number, line) in text.lines().enumerate() {
            let place = format!("{}:{}", path.display(), number + 1);
            let reason = if let Some((_, after)) = line.split_once("DEVIATION") {
                let (name, reason) = deviation(after).unwrap_or_default();
                let entry = entries.get(name).copied().unwrap_or_default();
                if !name.starts_with('D') || !linked_files(entry).contains(&path) {
                    problems.push(format!("{place}: no entry {name} in spec-issues.md links here"));
                }
                reason
            } else if let Some((_, after)) = line.split_once("OPTIMIZATION") {
                after.strip_prefix(": ").unwrap_or_default()
            } else {
                continue;
            };
            // The reason begins on the marker's line, with at least two words.
            if reason.split_whitespace().count() < 2 {
                problems.push(format!("{place}: a marker without a reason"));
            }
        }
    }
    assert_none(&problems);
}

/// The names of entries, such as D7, in a text.
fn named_entries(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| {
            let number = word.strip_prefix('D').unwrap_or_default();
            (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
        })
        .collect()
}

#[test]
fn every_entry_that_a_comment_or_a_test_names_exists() {
    let issues = read("docs/spec-issues.md");
    let entries = entries(&issues);
    let mut problems = Vec::new();
    for (folder, extension) in [("crates", "rs"), ("crates", "js"), ("spec-tests/js", "js")] {
        for path in files(folder, extension) {
            if path.components().any(|part| part.as_os_str() == "node_modules") {
                continue;
            }
            for name in named_entries(&read(&path)) {
                if !entries.contains_key(name) {
                    problems.push(format!("{}: no entry {name}", path.display()));
                }
            }
        }
    }
    assert_none(&problems);
}

/// The tests named in a part of a document, each by a link to its file with the function's name as
/// text. Returns pairs of function and file, relative to the root.
fn named_tests(text: &str) -> Vec<(&str, &str)> {
    links(text)
        .into_iter()
        .filter_map(|(text, target)| {
            let function = text.strip_prefix('`')?.strip_suffix('`')?;
            let is_function = !function.contains(['.', '/']);
            is_function.then_some((function, target.strip_prefix("../")?))
        })
        .collect()
}

#[test]
fn every_entry_names_a_test() {
    let issues = read("docs/spec-issues.md");
    let without = entries(&issues).into_iter().filter(|(_, entry)| named_tests(entry).is_empty());
    assert_none(
        &without.map(|(name, _)| format!("entry {name} names no test")).collect::<Vec<_>>(),
    );
}

#[test]
fn every_test_that_a_promise_or_an_entry_names_exists() {
    let mut problems = Vec::new();
    for document in ["docs/security.md", "docs/spec-issues.md"] {
        for (function, file) in named_tests(&read(document)) {
            // Tests in JavaScript are described in words.
            let text =
                if file.ends_with(".js") { function.into() } else { format!("fn {function}(") };
            if !read(file).contains(&text) {
                problems.push(format!("{document}: {file} has no test {function}"));
            }
        }
    }
    assert_none(&problems);
}

/// The READMEs of the published crates, relative to the root.
fn readmes() -> Vec<PathBuf> {
    let published = files("crates", "toml").into_iter().filter(|manifest| {
        manifest.ends_with("Cargo.toml") && read(manifest).contains("publish = true")
    });
    let readmes: Vec<_> = published.map(|manifest| manifest.with_file_name("README.md")).collect();
    assert!(!readmes.is_empty(), "no crate is published");
    readmes
}

#[test]
fn each_published_crate_says_what_it_is_and_where_the_guide_is() {
    let mut problems = Vec::new();
    for readme in readmes() {
        let (text, manifest) = (read(&readme), read(readme.with_file_name("Cargo.toml")));
        let name = readme.parent().unwrap().file_name().unwrap().to_str().unwrap();
        if !text.starts_with(&format!("# {name}\n"))
            || !text.contains("```")
            || !text.contains("](../")
            || !manifest.contains("readme = \"README.md\"")
        {
            problems.push(format!("{}: no name, example, link or manifest", readme.display()));
        }
    }
    assert_none(&problems);
}

/// The classes that a script declares.
fn classes(script: &str) -> BTreeSet<&str> {
    script
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("class ")?.split(' ').next())
        .collect()
}

#[test]
fn hosts_share_the_modules_of_the_interfaces_and_have_no_copies_of_them() {
    let (modules, others): (Vec<_>, Vec<_>) =
        files("crates", "js").into_iter().partition(|path| path.starts_with("crates/bgfetch-js"));
    let list = read("crates/bgfetch-js/src/lib.rs");
    let mut problems = Vec::new();
    for module in modules {
        let name = module.file_name().unwrap().to_str().unwrap();
        if !list.contains(&format!("\"{name}\"")) {
            problems.push(format!("{name} is not in MODULES"));
        }
        let text = read(&module);
        let mentioned = ["__bootstrap", "core.", "Deno.", "process.", "node:"];
        for host in mentioned.iter().filter(|host| text.contains(*host)) {
            problems.push(format!("{name} depends on a host: {host}"));
        }
        for other in &others {
            let script = read(other);
            let mut copies = classes(&text);
            copies.retain(|class| classes(&script).contains(class));
            if other.ends_with(name) || !copies.is_empty() {
                problems.push(format!("{} is a copy of {name}: {copies:?}", other.display()));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn relative_links_of_the_documents_lead_somewhere() {
    let mut documents = files("docs", "md");
    documents.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(PathBuf::from));
    documents.extend(readmes());
    let mut problems = Vec::new();
    for document in documents {
        let folder = document.parent().unwrap().to_owned();
        for (_, target) in links(&read(&document)) {
            let path = target.split('#').next().unwrap_or_default();
            if !path.is_empty()
                && !path.contains("://")
                && !root().join(&folder).join(path).exists()
            {
                problems.push(format!("{}: {target} does not exist", document.display()));
            }
        }
    }
    assert_none(&problems);
}
