//! The output of `get`: plain lines, JSON, and none at all.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use bgfetch_testkit::{KIB, MIB, Origin, Reply, Resource, Serve as _};
use serde_json::Value;

use crate::fixture::{Place, Running, held_film};

#[test]
fn plain_lines_have_no_control_characters() {
    let origin = Origin::start();
    origin
        .serve("/film", Reply::status(503).header("retry-after", "0").then(Resource::new(1, KIB)));
    let place = Place::new();
    let url = origin.url("/film").to_string();
    let arguments = [&url, "--title", "a\u{1b}[31m\u{7}", "--id", "b\u{1b}]0;x\u{7}\u{9b}2J\r"];
    let ended = Running::spawn(place.get_plain(arguments)).end();
    let lines = ended.success();
    for beginning in ["registered b", "retry 1 in ", "done http://", "saved 1 file, 1.00 KiB"] {
        assert!(lines.iter().any(|line| line.starts_with(beginning)), "{lines:#?}");
    }
    let list = place.run(&["list"]);
    let show = place.run(&["show"]);
    let all = lines.iter().chain(list.success()).chain(show.success());
    for line in all {
        assert!(!line.contains(char::is_control), "{line:?}");
    }
}

#[test]
fn each_json_event_has_its_keys() {
    let origin = Origin::start();
    let film = Resource::new(1, 3 * MIB).etag("\"1\"");
    origin.serve("/film", film.clone().reset_after(MIB).then(film));
    origin.serve("/gone", Reply::status(410));
    let place = Place::new();
    let urls = ["/film", "/gone"].map(|path| origin.url(path).to_string());
    let mut arguments: Vec<&str> = urls.iter().map(String::as_str).collect();
    arguments.extend(["--id", "x", "--download-total", "4000000"]);
    let ended = Running::spawn(place.get(arguments)).end();
    assert_eq!(ended.code, Some(1));
    for line in &ended.stdout {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["id"], "x", "{line}");
        assert_eq!(event["download_total"], 4_000_000, "{line}");
        assert!(event["downloaded"].is_u64() && event["uploaded"].is_u64(), "{line}");
    }
    let first: Value = serde_json::from_str(&ended.stdout[0]).unwrap();
    let last: Value = serde_json::from_str(ended.stdout.last().unwrap()).unwrap();
    assert_eq!(first["event"], "registered");
    assert_eq!(last["event"], "settled");
    assert_eq!(last["downloaded"], 3 * MIB);
    let saved = &ended.events("saved")[0];
    assert_eq!((&saved["url"], &saved["path"]), (&urls[0].as_str().into(), &path(&place, "film")));

    let retry = &ended.events("retry")[0];
    assert_eq!((&retry["record"], &retry["url"]), (&0.into(), &urls[0].as_str().into()));
    assert_eq!(retry["attempt"], 1);
    assert!(retry["delay_ms"].is_u64() && retry["message"].is_string(), "{retry}");

    let settled = ended.events("record-settled");
    let of = |record: u64| settled.iter().find(|event| event["record"] == record).unwrap();
    assert_eq!(of(0)["result"], "success");
    assert_eq!(of(0).get("failure_reason"), None);
    assert_eq!(of(1)["result"], "failure");
    assert_eq!(of(1)["failure_reason"], "bad-status");
    assert_eq!((of(0).get("advice"), &of(1)["advice"]), (None, &"check the address".into()));
    assert_eq!(of(1)["status"], 410);
}

fn path(place: &Place, name: &str) -> Value {
    place.out(name).canonicalize().unwrap().to_str().unwrap().into()
}

#[test]
fn json_names_the_file_that_got_another_name() {
    let origin = Origin::start();
    origin.serve("/film", Resource::new(4, KIB));
    let place = Place::new();
    std::fs::create_dir_all(place.out("film")).unwrap();
    let ended = Running::spawn(place.get([origin.url("/film").as_str()])).end();
    ended.success();
    assert_eq!(ended.events("saved")[0]["path"], path(&place, "film (1)"));
}

#[test]
fn json_tells_why_nothing_was_begun() {
    let place = Place::new();
    std::fs::write(place.store(), "a file").unwrap();
    // Either the URL or the store is refused.
    for (url, id) in [("example.com/x", None), ("http://127.0.0.1/x", Some("x"))] {
        let mut arguments = vec![url];
        arguments.extend(id.iter().flat_map(|id| ["--id", id]));
        let ended = Running::spawn(place.get(arguments)).end();
        let line = ended.refusal(1);
        assert_eq!(ended.stdout.len(), 1, "{ended:#?}");
        let stopped = &ended.events("stopped")[0];
        assert_eq!((&stopped["reason"], &stopped["message"]), (&"error".into(), &line.into()));
        assert_eq!(stopped.get("id").and_then(Value::as_str), id);
        assert!(!line.contains("os error"), "{line}");
    }
}

#[test]
fn plain_lines_tell_why_a_record_failed() {
    let origin = Origin::start();
    origin.serve("/gone", Reply::status(404));
    let place = Place::new();
    // The server does not speak TLS.
    let urls =
        [origin.url("/gone").to_string(), origin.url("/x").to_string().replace("http:", "https:")];
    let ended = Running::spawn(place.get_plain(&urls)).end();
    assert_eq!(ended.code, Some(1));
    let tls = ("the server does not speak TLS", "try http:// instead of https://");
    for (url, (why, advice)) in urls.iter().zip([("404, no such file", "check the address"), tls]) {
        let line = format!("failed {url}: {why}");
        assert!(ended.stdout.contains(&line), "{line}: {ended:#?}");
        let line = format!("bgfetch: {url}: {why}; {advice}");
        assert!(ended.stderr.contains(&line), "{line}: {ended:#?}");
    }
    assert!(ended.stderr[2].ends_with(" failed: 2 of 2 files"), "{ended:#?}");
}

#[test]
fn a_closed_standard_output_does_not_stop_the_download() {
    let origin = Origin::start();
    let (film, gate) = held_film(3);
    origin.serve("/film", film.clone().hold_at(MIB, &gate));
    for json in [false, true] {
        let place = Place::new();
        let url = origin.url("/film").to_string();
        let mut get = if json { place.get([&url]) } else { place.get_plain([&url]) };
        let get = get.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = get.spawn().unwrap();
        let mut line = String::new();
        // Reading the first line and no more, as `head -1` does.
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("registered"), "{line}");
        gate.open();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        film.matches_file(place.out("film")).unwrap();
    }
}
