//! The interfaces against their IDL, in every kind of realm.

use std::fs;

use bgfetch_host::RealmKind;
use bgfetch_testkit::{Gate, Resource, Serve};
use serde_json::{Value, json};

use crate::agent::Agent;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec-tests/js/");

/// A file of `spec-tests/js`.
fn read(path: &str) -> String {
    let hint = "`make setup` installs the npm packages";
    fs::read_to_string(format!("{FOLDER}{path}"))
        .unwrap_or_else(|error| panic!("{path}: {error}; {hint}"))
}

async fn idlharness(kind: RealmKind, global: &str) -> Value {
    let agent = Agent::start().await;
    agent.origin.serve("/pending", Resource::new(1, 1).hold_head(&Gate::new()));
    let realm = agent.realm(kind, "/idl.js", None);
    for script in ["testharness.js", "webidl2.js", "idlharness.js"] {
        let path = format!("node_modules/wpt-runner/testharness/{script}");
        realm.run_script(script, read(&path)).await.unwrap();
    }
    let idls: serde_json::Map<_, _> =
        ["background-fetch", "service-workers", "fetch", "html", "dom", "image-resource"]
            .map(|name| {
                (name.to_owned(), read(&format!("node_modules/@webref/idl/{name}.idl")).into())
            })
            .into_iter()
            .collect();
    let given = format!("var idls = {}; var kind = {global:?}", Value::Object(idls));
    realm.run_script("given.js", given).await.unwrap();
    realm.run_script("spec-tests/js/idlharness.js", read("idlharness.js")).await.unwrap();
    realm.run_script("results.js", "results").await.unwrap()
}

#[tokio::test]
async fn the_interfaces_are_as_their_idl_says_in_a_window() {
    let results = idlharness(RealmKind::Window, "Window").await;
    assert_eq!(results["failed"], json!([]), "{results:#}");
}

#[tokio::test]
async fn the_interfaces_are_as_their_idl_says_in_a_service_worker() {
    let results = idlharness(RealmKind::ServiceWorker, "ServiceWorkerGlobalScope").await;
    assert_eq!(results["failed"], json!([]), "{results:#}");
}

#[tokio::test]
async fn the_interfaces_are_as_their_idl_says_in_a_dedicated_worker() {
    let results = idlharness(RealmKind::DedicatedWorker, "DedicatedWorkerGlobalScope").await;
    assert_eq!(results["failed"], json!([]), "{results:#}");
}

#[tokio::test]
async fn the_interfaces_are_as_their_idl_says_in_a_shared_worker() {
    let results = idlharness(RealmKind::SharedWorker, "SharedWorkerGlobalScope").await;
    assert_eq!(results["failed"], json!([]), "{results:#}");
}
