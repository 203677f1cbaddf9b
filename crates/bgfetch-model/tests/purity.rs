//! Proves that no clock, file, socket, thread or async runtime can be reached from the model. The
//! compiler checks that its own code is `no_std`. This test checks its dependencies: each is on a
//! list, and none is built with `std`.

use std::process::Command;

/// The allowed dependencies of the model. Each of them only computes.
const ALLOWED: [&str; 31] = [
    "bgfetch-model",
    "fastrand",
    "form_urlencoded",
    "icu_collections",
    "icu_locale_core",
    "icu_normalizer",
    "icu_normalizer_data",
    "icu_properties",
    "icu_properties_data",
    "icu_provider",
    "idna",
    "idna_adapter",
    "ipnet",
    "litemap",
    "percent-encoding",
    "potential_utf",
    "serde",
    "serde_core",
    "siphasher",
    "smallvec",
    "stable_deref_trait",
    "thiserror",
    "tinystr",
    "url",
    "utf8_iter",
    "utf_types",
    "writeable",
    "yoke",
    "zerofrom",
    "zerotrie",
    "zerovec",
];

#[test]
fn the_model_is_made_of_crates_that_only_compute() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-p", "bgfetch-model"])
        .args(["-e", "normal,no-proc-macro", "--prefix", "none"])
        .args(["--format", "{p}|{f}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let tree = String::from_utf8(output.stdout).expect("names are text");
    let mut seen = 0;
    for line in tree.lines() {
        let (package, features) = line.split_once('|').expect("the format asked for");
        let name = package.split(' ').next().expect("a name");
        assert!(ALLOWED.contains(&name), "{name} is not known to be pure");
        let features = features.trim_end_matches(" (*)");
        let std = features.split(',').any(|feature| feature == "std");
        assert!(!std, "{name} is built with std");
        seen += 1;
    }
    assert!(seen > 5, "the dependencies were not found");
}
