//! Networks and servers that go away and come back while `get` runs.

use std::process::Command;

use bgfetch_testkit::{MIB, Netns, Origin, Serve as _};

use crate::fixture::{PROGRAM, Place, Running, held_film};

#[test]
fn a_server_that_was_away_for_a_while_is_asked_again() {
    let origin = Origin::start();
    let (film, gate) = held_film(1);
    origin.serve("/film", film.clone().hold_at(MIB, &gate).then(film.clone()));
    let place = Place::new();
    let url = origin.url("/film").to_string();
    let running = Running::spawn(place.get([&url]));
    running.downloading();
    gate.blocking_reached();
    origin.stop();
    let retry = running.event("retry");
    assert_eq!((&retry["url"], &retry["record"]), (&url.into(), &0.into()));
    assert!(retry["attempt"].is_u64() && retry["delay_ms"].is_u64(), "{retry}");
    // The server stays away until another attempt has failed.
    running.line(|line| line.contains(r#""attempt":2"#));
    origin.start_again();
    running.end().success();
    film.matches_file(place.out("film")).unwrap();
    let requests = origin.requests();
    assert!(requests[1].range_start().is_some_and(|start| start > 0), "{requests:#?}");
}

#[test]
fn a_link_that_goes_down_pauses_and_one_that_comes_up_resumes() {
    let Some(netns) = Netns::try_new() else {
        eprintln!("skipped: network namespaces cannot be made here");
        return;
    };
    let origin = Origin::start_on(netns.host_address());
    let (film, gate) = held_film(2);
    origin.serve("/film", film.clone().hold_at(MIB, &gate).then(film.clone()));
    let place = Place::new();
    let mut get = place.get_by(netns.command(PROGRAM), [origin.url("/film").as_str()]);
    get.arg("--json");
    let running = Running::spawn(get);
    running.downloading();
    gate.blocking_reached();

    netns.link_down();
    assert_eq!(running.event("paused")["reason"], "offline");
    let list = place.run(&["list"]);
    assert!(list.success()[1].contains("offline"), "{list:#?}");

    netns.link_up();
    assert_eq!(running.event("resumed")["reason"], "offline");
    let ended = running.end();
    ended.success();
    assert!(ended.events("retry").is_empty(), "being offline is no failure: {ended:#?}");
    film.matches_file(place.out("film")).unwrap();
}

#[test]
fn a_get_that_starts_offline_begins_when_the_link_is_there() {
    let Some(netns) = Netns::try_new() else {
        eprintln!("skipped: network namespaces cannot be made here");
        return;
    };
    let origin = Origin::start_on(netns.host_address());
    let (film, _) = held_film(3);
    origin.serve("/film", film.clone());
    netns.link_down();
    let place = Place::new();
    let command: Command = netns.command(PROGRAM);
    let running = Running::spawn(place.get_by(command, [origin.url("/film").as_str()]));
    running.line(|line| line == "offline – waiting");
    netns.link_up();
    running.end().success();
    film.matches_file(place.out("film")).unwrap();
}

#[test]
fn a_server_that_restarts_costs_no_file_that_was_not_begun() {
    let origin = Origin::start();
    let (film, _) = held_film(4);
    origin.serve("/film", film.clone());
    origin.stop();
    let place = Place::new();
    let running = Running::spawn(place.get([origin.url("/film").as_str()]));
    // More attempts than a page's fetch gets.
    running.line(|line| line.contains(r#""attempt":3"#));
    origin.start_again();
    running.end().success();
    film.matches_file(place.out("film")).unwrap();
}
