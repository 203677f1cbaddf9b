//! Several `get`s on one store: the first owns it, and the others hand their fetches to it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;

use bgfetch_testkit::{Gate, MIB, Origin, Reply, Resource, Serve as _};
use serde_json::{Value, json};

use crate::fixture::{Ended, Place, Running, held_film};

/// A file that stops in the middle of its first response.
struct Held {
    film: Resource,
    gate: Gate,
    url: String,
}

/// An owner and a hand, each in the middle of its file.
struct Pair {
    origin: Origin,
    place: Place,
    first: Held,
    second: Held,
}

impl Pair {
    fn start() -> (Self, Running, Running) {
        let origin = Origin::start();
        let [first, second] = [("/a", 1), ("/b", 2)].map(|(path, seed)| {
            let (film, gate) = held_film(seed);
            origin.serve(path, film.clone().hold_at(MIB, &gate).then(film.clone()));
            Held { film, gate, url: origin.url(path).into() }
        });
        let pair = Self { origin, place: Place::new(), first, second };
        let owner = Running::spawn(pair.place.get([&pair.first.url, "--id", "a"]));
        owner.downloading();
        pair.first.gate.blocking_reached();
        let hand = Running::spawn(pair.place.get([&pair.second.url, "--id", "b"]));
        hand.downloading();
        pair.second.gate.blocking_reached();
        (pair, owner, hand)
    }

    fn is_right(&self) {
        self.first.film.matches_file(self.place.out("a")).unwrap();
        self.second.film.matches_file(self.place.out("b")).unwrap();
        assert_eq!(self.place.names(), ["a", "b"]);
    }
}

#[test]
fn a_second_get_hands_its_fetch_over_and_shows_it_until_its_end() {
    let (pair, owner, hand) = Pair::start();
    let list = pair.place.run(&["list"]);
    let running = |line: &&String| line.contains("running");
    assert_eq!(list.success().iter().filter(running).count(), 2, "{list:#?}");
    pair.second.gate.open();
    let ended = hand.end();
    ended.success();
    assert_eq!(ended.events("registered").len(), 1);
    let saved = pair.place.out("b");
    assert_eq!(ended.events("saved")[0]["path"], saved.to_str().unwrap());
    let others = |line: &&String| !line.contains("\"id\":\"b\"");
    assert_eq!(ended.stdout.iter().find(others), None, "nothing of the other fetch is shown");
    pair.first.gate.open();
    owner.end().success();
    pair.is_right();
    assert_eq!(pair.origin.requests().len(), 2);
}

#[test]
fn when_the_owner_is_killed_its_hand_goes_on() {
    let (pair, owner, hand) = Pair::start();
    owner.kill();
    let ended = hand.end();
    ended.success();
    assert_eq!(ended.events("registered").len(), 1);
    assert_eq!(ended.events("resumed")[0]["reason"], "restart");
    assert_eq!(ended.events("settled").len(), 1);
    let again = Running::spawn(pair.place.get([&pair.first.url, "--id", "a"])).end();
    again.success();
    pair.is_right();
    let resumed = pair.origin.requests().iter().filter(|it| it.range_start().is_some()).count();
    assert!(resumed >= 1, "{:#?}", pair.origin.requests());
}

#[test]
fn an_owner_that_has_done_its_own_stays_for_its_hands() {
    let (pair, owner, hand) = Pair::start();
    pair.first.gate.open();
    let staying = owner.event("staying");
    assert_eq!((&staying["id"], &staying["others"]), (&"a".into(), &1.into()));
    pair.second.gate.open();
    hand.end().success();
    let ended = owner.end();
    ended.success();
    assert_eq!(ended.events("settled").len(), 1);
    pair.is_right();
    assert_eq!(pair.origin.requests().len(), 2, "nothing was interrupted");
}

#[test]
fn ctrl_c_in_an_owner_that_stays_leaves_the_others_to_their_processes() {
    let (pair, owner, hand) = Pair::start();
    pair.first.gate.open();
    owner.event("staying");
    owner.signal("INT");
    let ended = owner.end();
    ended.success();
    assert!(ended.events("stopped").is_empty(), "its own is done: {ended:#?}");
    let ended = hand.end();
    ended.success();
    assert_eq!(ended.events("settled")[0]["result"], "success");
    pair.is_right();
    assert!(pair.origin.requests()[2].range_start().is_some());
}

#[test]
fn when_the_hand_is_killed_the_owner_goes_on() {
    let origin = Origin::start();
    let [(a, first), (b, second)] = [held_film(3), held_film(4)];
    origin.serve("/a", a.clone().hold_at(MIB, &first));
    origin.serve("/b", b.clone().hold_at(MIB, &second));
    let place = Place::new();
    let owner = Running::spawn(place.get_plain([origin.url("/a").as_str()]));
    first.blocking_reached();
    let hand = Running::spawn(place.get([origin.url("/b").as_str(), "--id", "b"]));
    second.blocking_reached();
    hand.kill();
    second.open();
    owner.line(|line| line.starts_with("b has ended too: 1 saved to "));
    b.matches_file(place.out("b")).unwrap();
    first.open();
    owner.end().success();
    a.matches_file(place.out("a")).unwrap();
}

#[test]
fn ctrl_c_in_a_hand_tells_who_goes_on() {
    let (pair, owner, hand) = Pair::start();
    hand.signal("INT");
    let ended = hand.end();
    let pid = owner.pid();
    let line = format!("process {pid} goes on with b; to stop it, run bgfetch pause b or abort b");
    assert_eq!(ended.refusal(130), line);
    assert_eq!(ended.events("stopped")[0]["reason"], "interrupted");
    // The same command shows it again.
    let hand = Running::spawn(pair.place.get([&pair.second.url, "--id", "b"]));
    assert!(hand.event("resumed")["downloaded"].as_u64().unwrap() > 0);
    pair.second.gate.open();
    hand.end().success();
    pair.first.gate.open();
    owner.end().success();
    pair.is_right();
    assert_eq!(pair.origin.requests().len(), 2);
}

#[test]
fn ctrl_c_in_the_owner_tells_that_its_hand_goes_on() {
    let (pair, owner, hand) = Pair::start();
    owner.signal("INT");
    let line = "another process goes on with a; to stop it, run bgfetch pause a or abort a";
    assert_eq!(owner.end().refusal(130), line);
    hand.end().success();
    Running::spawn(pair.place.get([&pair.first.url, "--id", "a"])).end().success();
    pair.is_right();
}

#[test]
fn each_get_has_the_exit_code_of_its_own_fetch() {
    let (pair, owner, hand) = Pair::start();
    pair.origin.serve("/gone", Reply::status(404));
    let gone = pair.origin.url("/gone").to_string();
    let failed = Running::spawn(pair.place.get([&gone, "--id", "c"])).end();
    assert_eq!(failed.code, Some(1), "{failed:#?}");
    let told = [
        format!("bgfetch: {gone}: 404, no such file; check the address"),
        String::from("bgfetch: c failed"),
    ];
    assert_eq!(failed.stderr, told);
    let refused = Running::spawn(pair.place.get([&gone, "--id", "a"])).end();
    assert!(refused.refusal(1).starts_with("a is already active with other URLs"), "{refused:#?}");
    // An abort from elsewhere is told to the one who waits for that fetch.
    pair.place.run(&["abort", "b"]).success();
    assert_eq!(hand.end().refusal(1), "b was aborted");
    pair.first.gate.open();
    owner.end().success();
}

#[test]
fn the_same_command_twice_is_one_fetch() {
    let origin = Origin::start();
    let (film, gate) = held_film(5);
    origin.serve("/film", film.clone().hold_at(MIB, &gate));
    let place = Place::new();
    let url = origin.url("/film").to_string();
    let running = [(); 3].map(|()| Running::spawn(place.get([&url])));
    running.iter().for_each(Running::downloading);
    gate.blocking_reached();
    gate.open();
    for running in running {
        running.end().success();
    }
    film.matches_file(place.out("film")).unwrap();
    assert_eq!(place.names(), ["film"]);
    assert_eq!(origin.requests().len(), 1);
}

/// The responses to a request that a program of the user sends.
fn ask(place: &Place, request: &Value) -> impl Iterator<Item = Value> {
    let mut stream = UnixStream::connect(place.store().join("control.sock")).unwrap();
    writeln!(stream, "{request}").unwrap();
    BufReader::new(stream).lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap())
}

fn get_of(pair: &Pair, more: &Value) -> Value {
    let scope = url::Url::from_directory_path(pair.place.path("out").canonicalize().unwrap());
    let mut get = json!({
        "id": "b", "again": true, "files": [{ "url": pair.second.url }], "scope": scope.unwrap(),
    });
    get.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "version": 1, "get": get })
}

#[test]
fn options_of_the_engine_that_differ_are_refused_by_name_without_their_values() {
    let (pair, owner, _hand) = Pair::start();
    for (option, value) in [("proxy", "http://me:secret@a.test"), ("insecure", "true")] {
        let request = get_of(&pair, &json!({ "engine": { option: value } }));
        let answers: Vec<_> = ask(&pair.place, &request).collect();
        let refusal = answers[0]["failed"].as_str().unwrap();
        let same = " is not the same as that of the process which has the store open";
        assert!(refusal.starts_with(&format!("--{option}")), "{refusal}");
        assert!(refusal.contains(same), "{refusal}");
        assert!(refusal.contains(&owner.pid().to_string()) && !refusal.contains("secret"));
        assert_eq!(answers.len(), 1);
    }
}

#[test]
fn options_of_a_fetch_travel_and_those_of_the_engine_have_to_be_the_same() {
    let origin = Origin::start();
    let (film, gate) = held_film(7);
    origin.serve("/film", film.clone().hold_at(MIB, &gate));
    let song = Resource::new(8, 1000);
    origin.serve("/song", song.clone());
    let place = Place::new();
    let rate = "--limit-rate=100M";
    let owner = Running::spawn(place.get([origin.url("/film").as_str(), "--id", "a", rate]));
    gate.blocking_reached();
    let get = |more: &[&str]| {
        let song = origin.url("/song").to_string();
        let token = ["-H", "X-Token: s3cr3t", "-o", "tune", "--id", "b"];
        place.get(token.iter().chain(more).chain([&song.as_str()]))
    };
    let pid = owner.pid();
    let refused = |command, option: &str| {
        let ended = Running::spawn(command).end();
        let start = format!("{option} is not the same as that of the process");
        let line = ended.refusal(1);
        assert!(line.starts_with(&start) && line.contains(&pid.to_string()), "{line}");
        assert!(!line.contains("s3cr3t"), "{line}");
    };
    refused(get(&[]), "--limit-rate");
    refused(get(&["--limit-rate=1M"]), "--limit-rate");
    let proxy = "--proxy (or http_proxy and the like)";
    refused(get(&[rate, "--proxy", "http://me:s3cr3t@127.0.0.1:9"]), proxy);
    let mut elsewhere = get(&[rate]);
    elsewhere.env("http_proxy", "http://me:s3cr3t@127.0.0.1:9");
    refused(elsewhere, proxy);
    refused(get(&[rate, "--max-connections=3"]), "--max-connections");

    Running::spawn(get(&[rate])).end().success();
    song.matches_file(place.out("tune")).unwrap();
    assert_eq!(origin.requests_to("/song")[0].header("x-token"), Some("s3cr3t"));
    for command in [&["list"][..], &["show", "b"], &["show", "b", "--json"]] {
        let shown = place.run(command);
        assert!(!shown.success().iter().any(|line| line.contains("s3cr3t")), "{shown:#?}");
    }
    gate.open();
    owner.end().success();
    film.matches_file(place.out("film")).unwrap();
}

#[test]
fn an_insecure_owner_takes_no_fetch_that_did_not_ask_for_it() {
    let origin = Origin::start_tls();
    let (film, gate) = held_film(9);
    origin.serve("/film", film.clone().hold_at(MIB, &gate));
    let song = Resource::new(10, 1000);
    origin.serve("/song", song.clone());
    let place = Place::new();
    let url = |path| origin.url(path).to_string();
    let owner = Running::spawn(place.get([&url("/film"), "--insecure"]));
    gate.blocking_reached();
    let ended = Running::spawn(place.get([&url("/song")])).end();
    assert!(ended.refusal(1).starts_with("--insecure is not the same"), "{ended:#?}");
    assert!(origin.requests_to("/song").is_empty());
    let ended = Running::spawn(place.get([&url("/song"), "--insecure"])).end();
    assert_eq!((ended.code, ended.stderr.len()), (Some(0), 1), "{ended:#?}");
    song.matches_file(place.out("song")).unwrap();
    gate.open();
    assert_eq!(owner.end().code, Some(0));
    film.matches_file(place.out("film")).unwrap();
}

#[test]
fn a_fetch_that_ended_between_two_owners_is_told_and_not_fetched_again() {
    let (pair, owner, hand) = Pair::start();
    let accepted = ask(&pair.place, &get_of(&pair, &json!({}))).next().unwrap();
    let key = &accepted["accepted"]["fetch"];
    pair.second.gate.open();
    hand.end().success();
    let request = get_of(&pair, &json!({ "accepted": key }));
    let answers: Vec<_> = ask(&pair.place, &request).collect();
    assert_eq!(answers.len(), 1, "{answers:#?}");
    let over = &answers[0]["over"];
    assert_eq!((&over["id"], &over["display"]["result"]), (&"b".into(), &"success".into()));
    pair.place.run(&["dismiss", "b"]).success();
    let answers: Vec<_> = ask(&pair.place, &request).collect();
    assert_eq!(answers[0]["failed"], "b was removed");
    pair.first.gate.open();
    owner.end().success();
    pair.is_right();
    assert_eq!(pair.origin.requests().len(), 2);
}

#[test]
fn watch_shows_all_fetches_until_they_end_whoever_owns_the_store() {
    let (pair, owner, hand) = Pair::start();
    let watch = |arguments: &[&str]| Running::spawn(pair.place.command(arguments));
    let (plain, json) = (watch(&["watch"]), watch(&["watch", "--json"]));
    for id in ["a", "b"] {
        plain.line(|line| line.starts_with(&format!("{id}: running, ")));
    }
    json.event("watching");
    owner.kill();
    pair.second.gate.open();
    pair.first.gate.open();
    hand.end().success();
    // The hand resumed both fetches, and may have ended before the first one was saved.
    Running::spawn(pair.place.get([&pair.first.url, "--id", "a"])).end().success();
    let plain = plain.end();
    let ended = |id: &str| plain.stdout.contains(&format!("{id}: success, 2.00 MiB"));
    assert!(ended("b"), "{plain:#?}");
    json.end();
    pair.is_right();
}

#[test]
fn watch_ends_with_the_fetches_and_fails_as_they_do() {
    let (pair, owner, hand) = Pair::start();
    let watch = Running::spawn(pair.place.command(&["watch"]));
    watch.line(|line| line.starts_with("b: running"));
    pair.place.run(&["pause", "a"]).success();
    watch.line(|line| line == "a: paused; to continue, run bgfetch resume");
    pair.place.run(&["abort", "b"]).success();
    watch.line(|line| line == "b was aborted");
    hand.end();
    pair.place.run(&["resume", "a"]).success();
    owner.end().success();
    let ended = watch.end();
    assert_eq!(ended.stdout.last().unwrap(), "a: success, 2.00 MiB");
    assert_eq!((ended.code, ended.stderr.len()), (Some(1), 0), "{ended:#?}");
}

#[test]
fn watch_tells_when_there_is_nothing_to_watch_or_nobody_at_work() {
    let place = Place::new();
    let nothing = |ended: &Ended| {
        let line = format!("no background fetch is active in {}", place.store().display());
        assert_eq!(ended.success(), [line]);
    };
    nothing(&place.run(&["watch"]));
    assert!(!place.store().exists(), "looking makes nothing");
    let origin = Origin::start();
    let (film, gate) = held_film(6);
    origin.serve("/film", film.clone().hold_at(MIB, &gate).then(film.clone()));
    let get = || Running::spawn(place.get([origin.url("/film").as_str(), "--id", "x"]));
    let owner = get();
    gate.blocking_reached();
    owner.kill();
    let expected = "no process is at work on x; run the same command again to resume";
    assert_eq!(place.run(&["watch"]).refusal(1), expected);
    get().end().success();
    nothing(&place.run(&["watch"]));
}

#[test]
fn many_at_once_end_with_right_bytes_whichever_is_killed() {
    let seed = std::env::var("BGFETCH_SEED").map_or(1, |seed| seed.parse().unwrap());
    eprintln!("BGFETCH_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (origin, place) = (Origin::start(), Place::new());
    let files: Vec<_> = (0..6).map(|number| Resource::new(number, MIB / 2)).collect();
    let get = |number: usize| {
        let path = format!("/{number}");
        let film = files[number].clone().etag("\"1\"");
        // Each is interrupted once, so that they take some time.
        origin.serve(&path, film.clone().cut_after(MIB / 4).then(film));
        place.get([origin.url(&path).as_str(), "--id", &number.to_string()])
    };
    let mut running: Vec<_> =
        (0..files.len()).map(|number| (number, Running::spawn(get(number)))).collect();
    let mut killed = Vec::new();
    for _ in 0..3 {
        // Some moment in the life of all.
        let (number, victim) = running.swap_remove(random.usize(..running.len()));
        if random.bool() {
            victim.event("registered");
        }
        victim.kill();
        killed.push(number);
    }
    for (_, running) in running {
        running.end().success();
    }
    for number in killed {
        Running::spawn(get(number)).end().success();
    }
    for (number, film) in files.iter().enumerate() {
        film.matches_file(place.out(&number.to_string())).unwrap();
    }
    assert_eq!(place.names().len(), files.len());
}
