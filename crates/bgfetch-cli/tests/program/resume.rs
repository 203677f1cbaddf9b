//! Interruptions of `get`, and the same command after them.

use bgfetch_testkit::{MIB, Nginx, NginxConfig, Origin, Reply, Resource, Serve as _};

use serde_json::Value;

use crate::fixture::{Place, Running, held_film};

#[test]
fn after_sigkill_the_same_command_asks_for_the_missing_bytes() {
    let origin = Origin::start();
    let (film, gate) = held_film(1);
    origin.serve("/film", film.clone().hold_at(MIB, &gate).then(film.clone()));
    let place = Place::new();
    let url = origin.url("/film").to_string();

    let first = Running::spawn(place.get([&url]));
    let registered = first.event("registered");
    gate.blocking_reached();
    first.downloading();
    first.kill();
    let held = std::fs::metadata(place.body()).unwrap().len();
    assert!(held > 0);

    let ended = Running::spawn(place.get([&url])).end();
    ended.success();
    film.matches_file(place.out("film")).unwrap();
    let resumed = &ended.events("resumed")[0];
    assert_eq!(resumed["id"], registered["id"]);
    assert_eq!(resumed["reason"], "restart");
    // The engine resumes as soon as it is open, possibly before the program reports it.
    assert!(resumed["downloaded"].as_u64().unwrap() >= held);
    assert!(ended.events("registered").is_empty());
    assert_eq!(origin.requests()[1].range_start(), Some(held));
}

#[test]
fn nginx_is_asked_for_the_missing_bytes_too() {
    let www = tempfile::tempdir().unwrap();
    let slow = NginxConfig::default().limit_rate(4 * MIB);
    let Some(nginx) = Nginx::try_start_with(www.path(), slow) else {
        eprintln!("skipped: nginx is not installed");
        return;
    };
    let film = Resource::new(1, 8 * MIB);
    nginx.put("film", &film);
    let place = Place::new();
    let url = nginx.url("/film").to_string();

    let first = Running::spawn(place.get([&url]));
    first.downloading();
    first.kill();
    let held = std::fs::metadata(place.body()).unwrap().len();
    assert!(0 < held && held < film.length());

    Running::spawn(place.get([&url])).end().success();
    film.matches_file(place.out("film")).unwrap();
    let range = nginx.blocking_wait_for_log(2)[1].range.clone();
    assert_eq!(range, Some(format!("bytes={held}-")));
}

#[test]
fn ctrl_c_stops_in_order_and_the_same_command_goes_on() {
    let origin = Origin::start();
    let (film, gate) = held_film(2);
    origin.serve("/film", film.clone().hold_at(MIB, &gate).then(film.clone()));
    let place = Place::new();
    let url = origin.url("/film").to_string();

    let first = Running::spawn(place.get([&url]));
    first.downloading();
    gate.blocking_reached();
    first.signal("INT");
    let ended = first.end();
    assert_eq!(ended.refusal(130), "stopped; run the same command again to resume");
    assert_eq!(ended.events("stopped")[0]["reason"], "interrupted");
    assert!(!place.store().join("control.sock").exists());

    Running::spawn(place.get([&url])).end().success();
    film.matches_file(place.out("film")).unwrap();
    assert!(origin.requests()[1].range_start().is_some_and(|start| start > 0));
}

#[test]
fn bodies_that_could_not_be_written_are_kept_for_the_same_command() {
    let origin = Origin::start();
    let (film, gate) = held_film(3);
    origin.serve("/film", film.clone().hold_at(MIB, &gate));
    let place = Place::new();
    let url = origin.url("/film").to_string();

    let first = Running::spawn(place.get([&url]));
    gate.blocking_reached();
    std::fs::remove_dir(place.path("out")).unwrap();
    gate.open();
    let ended = first.end();
    let line = ended.refusal(1);
    assert!(
        line.starts_with("film was not saved: ") && line.contains("the download is kept"),
        "{line}"
    );
    assert!(ended.events("settled").is_empty());
    let stopped: Value = serde_json::from_str(ended.stdout.last().unwrap()).unwrap();
    assert_eq!((&stopped["event"], &stopped["reason"]), (&"stopped".into(), &"not-saved".into()));
    assert_eq!(stopped["message"], line);

    Running::spawn(place.get([&url])).end().success();
    film.matches_file(place.out("film")).unwrap();
    assert_eq!(origin.requests().len(), 1, "nothing was fetched again");
}

#[test]
fn a_run_that_goes_on_knows_the_files_that_an_earlier_one_wrote() {
    let origin = Origin::start();
    let (film, gate) = held_film(6);
    origin.serve("/film", film.clone().hold_at(MIB, &gate));
    let place = Place::new();
    let url = origin.url("/film").to_string();
    let first = Running::spawn(place.get([&url]));
    gate.blocking_reached();
    std::fs::remove_dir(place.path("out")).unwrap();
    gate.open();
    assert_eq!(first.end().code, Some(1));
    // The state after a crash that came when the file was written but not yet recorded.
    std::fs::create_dir(place.path("out")).unwrap();
    std::fs::write(place.out("film"), film.bytes()).unwrap();
    std::fs::write(place.out(".bgfetch-a1b2c3"), "half a copy").unwrap();

    Running::spawn(place.get([&url])).end().success();
    assert_eq!(place.names(), ["film"]);
    assert_eq!(origin.requests().len(), 1, "nothing was fetched again");
}

#[test]
fn the_same_command_after_success_fetches_and_writes_nothing() {
    let origin = Origin::start();
    let (one, two) = (Resource::new(7, 1000), Resource::new(8, 2000));
    origin.serve("/1/x.bin", one.clone());
    origin.serve("/2/x.bin", two.clone());
    let place = Place::new();
    let urls = ["/1/x.bin", "/2/x.bin"].map(|path| origin.url(path).to_string());
    Running::spawn(place.get(&urls)).end().success();

    let again = Running::spawn(place.get(&urls)).end();
    again.success();
    let settled = &again.events("settled")[0];
    assert_eq!((&settled["result"], &settled["downloaded"]), (&"success".into(), &3000.into()));
    assert!(settled["message"].as_str().unwrap().contains("was saved to"), "{settled}");
    let plain = Running::spawn(place.get_plain(&urls)).end();
    assert!(plain.success()[0].contains("was saved to"), "{plain:#?}");
    assert_eq!(origin.requests().len(), 2);
    assert_eq!(place.names(), ["x (1).bin", "x.bin"]);

    // A missing file is fetched again, and an existing one is recognized by its bytes.
    std::fs::remove_file(place.out("x.bin")).unwrap();
    Running::spawn(place.get(&urls)).end().success();
    one.matches_file(place.out("x.bin")).unwrap();
    two.matches_file(place.out("x (1).bin")).unwrap();
    assert_eq!(place.names(), ["x (1).bin", "x.bin"]);

    place.run(&["dismiss"]).success();
    Running::spawn(place.get(&urls)).end().success();
    assert_eq!(origin.requests().len(), 6);
    assert_eq!(place.names(), ["x (1).bin", "x.bin"]);
}

#[test]
fn a_command_that_failed_in_part_fetches_only_what_is_missing_when_it_is_run_again() {
    let origin = Origin::start();
    let (one, two) = (Resource::new(1, MIB), Resource::new(3, MIB));
    let film = Resource::new(2, MIB).etag("\"film\"");
    origin.serve("/one", one.clone());
    origin.serve("/film", film.clone().cut_after(MIB / 2).then(Reply::status(404)));
    origin.serve("/two", Reply::status(404));
    let place = Place::new();
    let urls = ["/one", "/film", "/two"].map(|path| origin.url(path).to_string());
    assert_eq!(Running::spawn(place.get(&urls)).end().code, Some(1));
    one.matches_file(place.out("one")).unwrap();
    assert_eq!(place.names(), ["one"]);
    let list = place.run(&["list"]);
    assert!(list.success()[1].contains("failure"), "{list:#?}");

    origin.serve("/film", film.clone());
    origin.serve("/two", two.clone());
    let before = origin.requests().len();
    let ended = Running::spawn(place.get(&urls)).end();
    ended.success();
    assert!(ended.events("registered")[0]["downloaded"].as_u64() > Some(MIB));
    for (resource, name) in [(&one, "one"), (&film, "film"), (&two, "two")] {
        resource.matches_file(place.out(name)).unwrap();
    }
    assert_eq!(place.names(), ["film", "one", "two"], "no second copies");
    let mut asked: Vec<_> = origin.requests()[before..]
        .iter()
        .map(|request| (request.path.clone(), request.range_start()))
        .collect();
    asked.sort();
    assert_eq!(asked, [("/film".into(), Some(MIB / 2)), ("/two".into(), None)]);
    assert!(place.bodies().is_empty(), "nothing is held of what is saved");
}

#[test]
fn what_a_failed_command_left_is_given_up_by_dismiss() {
    let origin = Origin::start();
    origin.serve("/one", Resource::new(1, MIB));
    origin.serve("/gone", Reply::status(404));
    let place = Place::new();
    let urls = ["/one", "/gone"].map(|path| origin.url(path).to_string());
    Running::spawn(place.get(urls.iter().map(String::as_str).chain(["--id", "x"]))).end();
    assert_eq!(place.bodies().len(), 1);
    assert_eq!(place.run(&["dismiss", "x"]).success(), ["dismissed x"]);
    assert!(place.bodies().is_empty());
    assert!(place.out("one").exists());
}

#[test]
fn a_job_that_was_left_behind_is_finished_by_the_next_get_of_anything() {
    let origin = Origin::start();
    let (film, gate) = held_film(4);
    origin.serve("/film", film.clone().hold_at(MIB, &gate).then(film.clone()));
    let place = Place::new();
    let first = Running::spawn(place.get([origin.url("/film").as_str()]));
    first.downloading();
    gate.blocking_reached();
    first.kill();

    let (other, other_gate) = held_film(5);
    origin.serve("/other", other.hold_at(MIB, &other_gate));
    let second = Running::spawn(place.get_plain([origin.url("/other").as_str()]));
    second.line(|line| line.starts_with("film-") && line.contains("has ended too: 1 saved"));
    film.matches_file(place.out("film")).unwrap();
    other_gate.open();
    second.end().success();
}
