//! The example `model-download` with a hub: redirects to signed URLs that expire, and digests.

use std::path::Path;

use bgfetch_testkit::{Gate, KIB, Origin, Reply, Resource, Serve as _};

use crate::fixture::Place;
use crate::options::sha256;
use crate::run::said;

const PART: u64 = 64 * KIB;

#[test]
fn a_part_whose_signed_url_has_expired_continues_with_a_new_one_and_is_read_meanwhile() {
    let (hub, storage) = (Origin::start(), Origin::start());
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/model-download");
    for (path, file, content_type) in [
        ("/", "index.html", "text/html"),
        ("/app.js", "app.js", "text/javascript"),
        ("/sw.js", "sw.js", "text/javascript"),
    ] {
        let text = std::fs::read_to_string(example.join(file)).unwrap();
        hub.serve(path, Reply::text(content_type, text));
    }
    let parts = [1, 2].map(|seed| Resource::new(seed, PART).etag(format!("\"{seed}\"")));
    let mut listed = Vec::new();
    for (number, part) in (1..).zip(&parts) {
        let signed = |signature: u32| {
            let url = storage.url(&format!("/blob-{number}?expires=60&sig={signature}"));
            Reply::redirect(302, url).header("access-control-allow-origin", "*")
        };
        hub.serve(format!("/resolve/{number}"), signed(1).then(signed(2)));
        listed.push(serde_json::json!({
            "url": format!("/resolve/{number}"), "bytes": PART, "sha256": sha256(part),
        }));
    }
    let manifest = serde_json::json!({ "parts": listed }).to_string();
    hub.serve("/manifest.json", Reply::text("application/json", manifest));
    // The first connection breaks in the middle, after the page has read what was there.
    let gate = Gate::new();
    let [one, two] = &parts;
    let open_to_all = |reply: Reply| reply.header("access-control-allow-origin", "*");
    let cut = one.clone().hold_at(PART / 2, &gate).cut_after(PART / 2);
    storage.serve("/blob-1", open_to_all(cut).then(open_to_all(one.clone().into())));
    storage.serve("/blob-2", open_to_all(two.clone().into()));

    let place = Place::new();
    let running = place.app(hub.url("/").as_str(), &["--json"]);
    running.line(|line| line.contains("/resolve/1 begins"));
    gate.open();
    let ended = running.end();
    ended.success();
    let page = said(&ended, "page");
    for wanted in ["/resolve/1 is as it should be", "2 of 2 parts are good"] {
        assert!(page.iter().any(|line| line == wanted), "{wanted} in {page:#?}");
    }
    assert_eq!(ended.events("summary")[0]["title"], "The model is ready");
    let asked: Vec<_> = storage
        .requests()
        .iter()
        .filter(|request| request.path.starts_with("/blob-1"))
        .map(|request| (request.path.clone(), request.range_start()))
        .collect();
    let url = |signature: u32| format!("/blob-1?expires=60&sig={signature}");
    assert_eq!(asked, [(url(1), None), (url(2), Some(PART / 2))]);
}
