//! `get --detach`: a fetch that needs no terminal.

use std::fs;
use std::process::Command;

use bgfetch_testkit::{KIB, MIB, Origin, Reply, Resource, Serve as _};
use serde_json::Value;

use crate::fixture::{Ended, PROGRAM, Place, Running, held_film, wait_until};

/// A process that was left behind, which does not outlive its test.
struct Background(u64);

impl Background {
    fn of(ended: &Ended) -> (Self, Value) {
        ended.success();
        let event: Value = serde_json::from_str(&ended.stdout[0]).unwrap();
        assert_eq!((&event["event"], ended.stdout.len()), (&"detached".into(), 1), "{ended:#?}");
        (Self(event["process"].as_u64().unwrap()), event)
    }

    fn kill(&self, signal: &str) -> bool {
        let arguments = [format!("-{signal}"), self.0.to_string()];
        Command::new("kill").args(arguments).output().unwrap().status.success()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended already.
        self.kill("KILL");
    }
}

/// Waits until nobody owns the store.
fn owner_ends(place: &Place) {
    wait_until(|| {
        place.run(&["list"]).success();
        !place.store().join("control.sock").exists()
    });
}

#[test]
fn the_download_goes_on_and_its_end_is_told_elsewhere() {
    let origin = Origin::start();
    let (film, gate) = held_film(1);
    origin.serve("/film", film.clone().hold_at(MIB, &gate));
    let place = Place::new();
    let arguments = [origin.url("/film").as_str(), "--id", "x", "--detach"].map(String::from);
    let ended = Running::spawn(place.get(&arguments)).end();
    let (_background, event) = Background::of(&ended);
    gate.blocking_reached();
    let shown = place.run(&["show", "x", "--json"]);
    let shown: Value = serde_json::from_str(&shown.success()[0]).unwrap();
    assert_eq!((&shown["state"], &shown["log"]), (&"running".into(), &event["log"]));
    assert!(place.run(&["show"]).success().iter().any(|line| line.starts_with("log ")));

    let watch = Running::spawn(place.command(&["watch"]));
    watch.line(|line| line.starts_with("x: running"));
    gate.open();
    assert_eq!(watch.end().success().last().unwrap(), "x: success, 2.00 MiB");
    film.matches_file(place.out("film")).unwrap();
    owner_ends(&place);
    let log = fs::read_to_string(event["log"].as_str().unwrap()).unwrap();
    let (time, line) = log.lines().last().unwrap().split_once(' ').unwrap();
    assert_eq!(line, format!("x: saved 1 file, 2.00 MiB, to {}", place.path("out").display()));
    assert!(time.len() == 20 && time.starts_with("20") && time.ends_with('Z'), "{log}");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_terminal_that_is_closed_does_not_end_it() {
    let origin = Origin::start();
    let (film, gate) = held_film(2);
    origin.serve("/film", film.clone().hold_at(MIB, &gate));
    let place = Place::new();
    let (store, out) = (place.store(), place.path("out"));
    let get = format!(
        "{PROGRAM} get {} --id x --detach --json --store {} --out {}",
        origin.url("/film"),
        store.display(),
        out.display()
    );
    // It makes a terminal, which is gone when it ends.
    let mut script = Command::new("script");
    script.args(["-qec", &get, "/dev/null"]);
    let Ended { code, stdout, .. } = Running::spawn(script).end();
    assert_eq!(code, Some(0), "{stdout:?}");
    let event: Value = serde_json::from_str(stdout[0].trim()).unwrap();
    let background = Background(event["process"].as_u64().unwrap());
    gate.blocking_reached();
    #[cfg(target_os = "linux")]
    {
        let stat = fs::read_to_string(format!("/proc/{}/stat", background.0)).unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split(' ').collect();
        // Its session is its own, which has no terminal.
        assert_eq!((fields[4], fields[5]), (background.0.to_string().as_str(), "0"), "{stat}");
        let folder = fs::read_link(format!("/proc/{}/cwd", background.0)).unwrap();
        assert_eq!(folder.to_str(), Some("/"));
    }
    let watch = Running::spawn(place.command(&["watch"]));
    watch.line(|line| line.starts_with("x: running"));
    gate.open();
    watch.end().success();
    film.matches_file(place.out("film")).unwrap();
}

#[test]
fn it_outlives_the_owner_that_it_joined() {
    let origin = Origin::start();
    let [(a, first), (b, second)] = [held_film(3), held_film(4)];
    origin.serve("/a", a.clone().hold_at(MIB, &first).then(a.clone()));
    origin.serve("/b", b.clone().hold_at(MIB, &second).then(b.clone()));
    let place = Place::new();
    let owner = Running::spawn(place.get([origin.url("/a").as_str(), "--id", "a"]));
    first.blocking_reached();
    let arguments = [origin.url("/b").as_str(), "--id", "b", "--detach"].map(String::from);
    let (_background, _) = Background::of(&Running::spawn(place.get(&arguments)).end());
    second.blocking_reached();
    let watch = Running::spawn(place.command(&["watch"]));
    watch.line(|line| line.starts_with("b: running"));
    owner.kill();
    watch.line(|line| line == "b: success, 2.00 MiB");
    b.matches_file(place.out("b")).unwrap();
    drop(watch);
    Running::spawn(place.get([origin.url("/a").as_str(), "--id", "a"])).end().success();
    a.matches_file(place.out("a")).unwrap();
}

#[test]
fn it_stays_for_the_fetches_that_were_handed_to_it() {
    let origin = Origin::start();
    let [(a, first), (b, second)] = [held_film(5), held_film(6)];
    origin.serve("/a", a.clone().hold_at(MIB, &first));
    origin.serve("/b", b.clone().hold_at(MIB, &second));
    let place = Place::new();
    let arguments = [origin.url("/a").as_str(), "--id", "a", "--detach"].map(String::from);
    let (_background, _) = Background::of(&Running::spawn(place.get(&arguments)).end());
    first.blocking_reached();
    let hand = Running::spawn(place.get([origin.url("/b").as_str(), "--id", "b"]));
    hand.downloading();
    second.blocking_reached();
    let watch = Running::spawn(place.command(&["watch"]));
    watch.line(|line| line.starts_with("a: running"));
    first.open();
    watch.line(|line| line == "a: success, 2.00 MiB");
    // Even if nobody waits for it.
    hand.kill();
    second.open();
    assert_eq!(watch.end().success().last().unwrap(), "b: success, 2.00 MiB");
    a.matches_file(place.out("a")).unwrap();
    b.matches_file(place.out("b")).unwrap();
    owner_ends(&place);
    assert_eq!(origin.requests().len(), 2, "nothing was interrupted");
}

#[test]
fn what_is_refused_is_told_before_the_command_ends() {
    let origin = Origin::start();
    let (film, gate) = held_film(7);
    origin.serve("/film", film.clone().hold_at(MIB, &gate));
    let place = Place::new();
    let get = |arguments: &[&str]| Running::spawn(place.get_plain(arguments)).end();
    let ended = get(&["ftp://a.test/x", "--detach"]);
    assert!(ended.refusal(1).starts_with("ftp://a.test/x: only http and https"), "{ended:#?}");
    assert!(!place.store().exists());
    let ended = get(&["-i", "-", "--detach"]);
    assert_eq!(ended.refusal(1), "-i -: a process in the background has no standard input");
    let ended = get(&["http://a.test/x", "--id", "", "--detach"]);
    assert_eq!(ended.refusal(1), "the id must not be empty");

    let arguments = [origin.url("/film").as_str(), "--id", "x", "--detach"].map(String::from);
    let (_background, _) = Background::of(&Running::spawn(place.get(&arguments)).end());
    gate.blocking_reached();
    let ended = get(&["http://a.test/y", "--id", "x", "--detach"]);
    assert!(ended.refusal(1).starts_with("x is already active with other URLs"), "{ended:#?}");
    gate.open();
    owner_ends(&place);
    film.matches_file(place.out("film")).unwrap();
}

#[test]
fn what_was_saved_before_is_told_so() {
    let origin = Origin::start();
    origin.serve("/film", Resource::new(10, KIB));
    let place = Place::new();
    let url = origin.url("/film").to_string();
    Running::spawn(place.get([&url])).end().success();
    let ended = Running::spawn(place.get([&url, "--detach"])).end();
    ended.success();
    let settled = &ended.events("settled")[0];
    assert!(settled["message"].as_str().unwrap().contains("was saved to"), "{ended:#?}");
    let stopped = Running::spawn(place.get(["x", "--detach"])).end();
    assert_eq!(stopped.events("stopped")[0]["reason"], "error");
    owner_ends(&place);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn its_log_has_no_query_of_a_url() {
    let origin = Origin::start();
    let (film, gate) = held_film(8);
    origin.serve("/film", film.hold_at(MIB, &gate));
    origin.serve("/gone", Reply::status(404));
    origin.serve("/small", Resource::new(9, KIB));
    let place = Place::new();
    fs::create_dir(place.path("out")).unwrap();
    fs::write(place.out("small"), "another").unwrap();
    let paths = ["/film?token=secret1", "/gone?token=secret2", "/small?token=secret3"];
    let mut arguments = paths.map(|path| origin.url(path).to_string()).to_vec();
    arguments.extend(["--id", "x", "--detach"].map(String::from));
    let (_background, event) = Background::of(&Running::spawn(place.get(&arguments)).end());
    let watch = Running::spawn(place.command(&["watch"]));
    watch.line(|line| line.starts_with("x: running"));
    gate.open();
    assert_eq!(watch.end().code, Some(1));
    owner_ends(&place);
    let log = fs::read_to_string(event["log"].as_str().unwrap()).unwrap();
    for wanted in
        ["/gone: 404, no such file", "/small as small (1)", "bgfetch: x failed: 1 of 3 files"]
    {
        assert!(log.contains(wanted), "{wanted}: {log}");
    }
    assert!(!log.contains("secret"), "{log}");
    assert!(log.lines().all(|line| line.starts_with("20") && line.contains("Z ")), "{log}");
}
