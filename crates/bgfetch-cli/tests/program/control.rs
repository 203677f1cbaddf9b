//! The other commands, on stores that are live or stopped.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

use bgfetch_testkit::{Gate, MIB, Origin, Resource, Serve as _};
use serde_json::Value;

use crate::fixture::{PROGRAM, Place, Running, held_film};

/// A `get` with the id `x` that has reached the middle of its file.
struct Midway {
    origin: Origin,
    film: Resource,
    gate: Gate,
    place: Place,
    url: String,
}

impl Midway {
    fn start() -> (Self, Running) {
        let origin = Origin::start();
        let (film, gate) = held_film(1);
        origin.serve("/film", film.clone().hold_at(MIB, &gate).then(film.clone()));
        let url = origin.url("/film").to_string();
        let place = Place::new();
        let midway = Self { origin, film, gate, place, url };
        let running = midway.get();
        running.downloading();
        midway.gate.blocking_reached();
        (midway, running)
    }

    /// The same, stopped by a kill.
    fn stopped() -> Self {
        let (midway, running) = Self::start();
        running.kill();
        midway
    }

    fn get(&self) -> Running {
        Running::spawn(self.place.get([&self.url, "--id", "x", "--title", "A film"]))
    }

    fn show(&self) -> Value {
        let ended = self.place.run(&["show", "x", "--json"]);
        serde_json::from_str(&ended.success()[0]).unwrap()
    }
}

#[test]
fn a_live_fetch_is_paused_and_resumed_from_another_process() {
    let (midway, running) = Midway::start();
    let place = &midway.place;
    assert_eq!(midway.show()["state"], "running");
    assert_eq!(place.run(&["pause", "x"]).success(), ["paused x"]);
    assert_eq!(running.event("paused")["reason"], "user");
    assert_eq!(midway.show()["state"], "paused");
    let list = place.run(&["list"]);
    let row = &list.success()[1];
    for part in ["x", "paused", "of 2.00 MiB", "0/1", "A film"] {
        assert!(row.contains(part), "{row}");
    }
    // Without an id, the only fetch is meant.
    assert_eq!(place.run(&["resume"]).success(), ["resumed x"]);
    assert_eq!(running.event("resumed")["reason"], "user");
    running.end().success();
    midway.film.matches_file(place.out("film")).unwrap();
    assert!(midway.origin.requests()[1].range_start().is_some());
}

#[test]
fn a_live_fetch_is_aborted_from_another_process() {
    let (midway, running) = Midway::start();
    assert_eq!(midway.place.run(&["abort", "x"]).success(), ["aborted x"]);
    let ended = running.end();
    assert_eq!(ended.refusal(1), "x was aborted");
    assert_eq!(ended.events("settled")[0]["failure_reason"], "aborted");
    assert!(!midway.place.out("film").exists());
}

#[test]
fn a_live_fetch_notices_a_click() {
    let (midway, running) = Midway::start();
    running.kill();
    let gate = Gate::new();
    midway.origin.serve("/film", midway.film.clone().hold_at(1000, &gate));
    let url = &midway.url;
    let running = Running::spawn(midway.place.get_plain([url, "--id", "x"]));
    gate.blocking_reached();
    assert_eq!(midway.place.run(&["click", "x"]).success(), ["clicked x"]);
    running.line(|line| line == "clicked x");
    gate.open();
    running.end().success();
}

#[test]
fn an_unknown_id_is_refused_live_and_stopped() {
    let (midway, running) = Midway::start();
    for command in ["show", "pause", "resume", "abort", "click", "dismiss"] {
        let ended = midway.place.run(&[command, "y"]);
        assert_eq!(ended.refusal(1), "no background fetch has the id y");
    }
    running.kill();
    for command in ["show", "pause", "resume", "abort", "click", "dismiss"] {
        let ended = midway.place.run(&[command, "y"]);
        assert_eq!(ended.refusal(1), "no background fetch has the id y");
    }
}

#[test]
fn a_stopped_fetch_is_shown_with_its_files_and_not_fetched() {
    let midway = Midway::stopped();
    let shown = midway.show();
    assert_eq!(shown["state"], "stopped");
    assert_eq!(shown["title"], "A film");
    assert_eq!(shown["out"], midway.place.path("out").to_str().unwrap());
    assert_eq!(shown["files"][0]["url"], midway.url);
    assert_eq!(shown["files"][0]["status"], 200);
    assert_eq!(shown["files"][0]["length"], 2 * MIB);
    assert_eq!(shown["files"][0]["downloaded"], shown["downloaded"]);
    let text = midway.place.run(&["show"]);
    let wanted = format!("  {}", midway.url);
    assert!(text.success().iter().any(|line| line.ends_with(&wanted)), "{text:#?}");
    assert_eq!(midway.origin.requests().len(), 1);
}

#[test]
fn a_pause_of_a_stopped_fetch_lasts_until_it_is_resumed() {
    let midway = Midway::stopped();
    let place = &midway.place;
    let paused = place.run(&["pause", "x"]);
    assert_eq!(paused.success(), ["paused x; it stays paused until it is resumed"]);
    assert_eq!(midway.show()["state"], "paused");

    let running = midway.get();
    assert_eq!(running.event("paused")["reason"], "user");
    assert_eq!(place.run(&["resume", "x"]).success(), ["resumed x"]);
    running.end().success();
    midway.film.matches_file(place.out("film")).unwrap();
}

#[test]
fn resuming_a_stopped_fetch_clears_the_pause() {
    let midway = Midway::stopped();
    midway.place.run(&["pause", "x"]).success();
    let resumed = midway.place.run(&["resume", "x"]);
    assert_eq!(resumed.success(), ["resumed x; run the same command again to continue"]);
    assert_eq!(midway.show()["state"], "stopped");
    let ended = midway.get().end();
    ended.success();
    assert!(ended.events("paused").is_empty());
}

#[test]
fn an_abort_of_a_stopped_fetch_lasts_and_the_same_command_begins_anew() {
    let midway = Midway::stopped();
    let place = &midway.place;
    let aborted = place.run(&["abort", "x"]);
    assert_eq!(aborted.success(), ["aborted x"]);
    assert_eq!(midway.show()["state"], "aborted");
    assert_eq!(std::fs::read_dir(place.store().join("bodies")).unwrap().count(), 0);
    assert_eq!(place.run(&["abort", "x"]).refusal(1), "x has ended already");
    assert_eq!(place.run(&["resume", "x"]).refusal(1), "x has ended and cannot be resumed");

    let ended = midway.get().end();
    ended.success();
    assert_eq!(ended.events("registered").len(), 1);
    midway.film.matches_file(place.out("film")).unwrap();
    assert_eq!(midway.origin.requests()[1].range(), None);
}

#[test]
fn looking_does_not_use_up_what_was_not_written_yet() {
    let (midway, running) = Midway::start();
    std::fs::remove_dir(midway.place.path("out")).unwrap();
    midway.gate.open();
    let ended = running.end();
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    // More often than an engine delivers an event by default.
    for _ in 0..20 {
        assert_eq!(midway.show()["state"], "saving");
    }
    midway.get().end().success();
    midway.film.matches_file(midway.place.out("film")).unwrap();
}

#[test]
fn a_finished_fetch_is_listed_until_it_is_dismissed() {
    let (midway, running) = Midway::start();
    assert!(midway.place.run(&["dismiss", "x"]).refusal(1).contains("must be aborted"));
    midway.gate.open();
    running.end().success();
    assert_eq!(midway.show()["state"], "success");
    assert_eq!(midway.place.run(&["dismiss"]).success(), ["dismissed x"]);
    let list = midway.place.run(&["list"]);
    assert!(list.success()[0].starts_with("no background fetches in "), "{list:#?}");
    assert!(midway.place.run(&["list", "--json"]).success().is_empty());
}

#[test]
fn several_fetches_need_an_id() {
    let origin = Origin::start();
    let place = Place::new();
    for id in ["a", "b"] {
        origin.serve("/x", Resource::new(1, 10));
        let url = origin.url("/x").to_string();
        Running::spawn(place.get([&url, "--id", id])).end().success();
    }
    assert_eq!(place.run(&["show"]).refusal(1), "which one? a, b");
    assert_eq!(place.run(&["pause"]).refusal(1), "there is no background fetch to pause");
}

#[test]
fn a_store_whose_path_is_too_long_for_a_socket_is_controlled_all_the_same() {
    let origin = Origin::start();
    let (film, gate) = held_film(7);
    origin.serve("/film", film.clone().hold_at(MIB, &gate));
    let place = Place::new();
    let store: PathBuf = place.path(&"long".repeat(40));
    let command = |arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).arg("--store").arg(&store);
        Running::spawn(command)
    };
    let out = place.path("out");
    let url = origin.url("/film").to_string();
    let running = command(&["get", &url, "--json", "--id", "x", "--out", out.to_str().unwrap()]);
    gate.blocking_reached();
    assert_eq!(command(&["abort", "x"]).end().success(), ["aborted x"]);
    assert_eq!(running.end().refusal(1), "x was aborted");
}

#[test]
fn what_is_no_request_is_answered_so_and_harms_nothing() {
    let (midway, running) = Midway::start();
    let socket = midway.place.store().join("control.sock");
    let long = format!("{{\"version\":1,\"list\":\"{}\"}}\n", "x".repeat(40 << 20));
    for request in ["hello\n", "{\"version\":1,\"format\":{}}\n", "{\"list\":{}}\n", "", &long] {
        let mut stream = UnixStream::connect(&socket).unwrap();
        // The owner may close the connection before it has read an overlong request.
        stream.write_all(request.as_bytes()).ok();
        stream.shutdown(std::net::Shutdown::Write).ok();
        let mut answer = String::new();
        if stream.read_to_string(&mut answer).is_ok() {
            assert!(answer.starts_with("{\"failed\":\"the request is not understood"), "{answer}");
        }
    }
    midway.gate.open();
    running.end().success();
    midway.film.matches_file(midway.place.out("film")).unwrap();
}

#[test]
fn commands_on_a_directory_without_a_store_leave_it_as_it_is() {
    let place = Place::new();
    std::fs::create_dir(place.store()).unwrap();
    let photo = place.store().join("me.jpg");
    std::fs::write(&photo, "a photo").unwrap();
    let list = place.run(&["list"]);
    assert!(list.success()[0].starts_with("no background fetches in "), "{list:#?}");
    for command in ["show", "pause", "resume", "abort", "click", "dismiss"] {
        for arguments in [&[command][..], &[command, "x"]] {
            let ended = place.run(arguments);
            assert!(ended.refusal(1).starts_with("there is no store in "), "{ended:#?}");
        }
    }
    let names = std::fs::read_dir(place.store()).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(names.collect::<Vec<_>>(), [photo]);
}

#[test]
fn without_a_directory_the_user_s_own_store_is_meant() {
    let place = Place::new();
    let mut list = Command::new(PROGRAM);
    list.arg("list").env("XDG_DATA_HOME", place.path("data"));
    let ended = Running::spawn(list).end();
    let store = place.path("data/bgfetch");
    let expected = format!("no background fetches in {}", store.display());
    assert_eq!(ended.success(), [expected]);
    assert!(!store.exists(), "looking makes nothing");
}
