//! Headers, cookies and passwords reach servers, and nobody else.

use std::fs;

use bgfetch_testkit::{Gate, KIB, MIB, Origin, Reply, Resource, Serve as _};

use crate::fixture::{Ended, Place, Running};

/// A part of every secret below.
const SECRET: &str = "s3cr3t";

/// Fails if a secret was printed.
fn tells_no_secret(ended: &Ended) {
    let all = ended.stdout.iter().chain(&ended.stderr);
    for line in all {
        assert!(!line.contains(SECRET), "{ended:#?}");
    }
}

/// Fails if another user can see a secret in the arguments of the process.
#[cfg(target_os = "linux")]
fn shows_no_secret(running: &Running, shown: &str) {
    let arguments = fs::read(format!("/proc/{}/cmdline", running.pid())).unwrap();
    let arguments = String::from_utf8(arguments).unwrap().replace('\0', " ");
    assert!(!arguments.contains(SECRET) && arguments.contains(shown), "{arguments}");
}

#[cfg(not(target_os = "linux"))]
fn shows_no_secret(_: &Running, _: &str) {}

#[test]
fn headers_reach_the_server_and_nobody_sees_their_values() {
    let origin = Origin::start();
    let (film, gate) = (Resource::new(1, 2 * MIB).etag("\"1\""), Gate::new());
    origin.serve("/film", film.clone().hold_at(MIB, &gate).then(film.clone()));
    let place = Place::new();
    let url = origin.url("/film").to_string();
    let arguments = [
        &url,
        "-H",
        "Authorization: Bearer s3cr3t-1",
        "-HX-Key:s3cr3t-2",
        "--header=Accept: audio/*",
        "--cookie",
        "session=s3cr3t-3; lang=en",
        "--user-agent",
        "me/1.0",
    ];
    let running = Running::spawn(place.get(arguments));
    running.downloading();
    gate.blocking_reached();
    shows_no_secret(&running, "-H Authorization: *** -HX-Key:***");
    let show = place.run(&["show"]);
    let json = place.run(&["show", "--json"]);
    tells_no_secret(&show);
    tells_no_secret(&json);
    tells_no_secret(&running.kill());

    // Another process continues with them, whatever it is told to fetch.
    origin.serve("/other", Resource::new(2, KIB).hold_head(&gate));
    let other = Running::spawn(place.get([origin.url("/other").as_str()]));
    let requests = origin.blocking_wait_until(|requests| {
        requests.iter().filter(|request| request.path == "/film").count() == 2
    });
    for request in requests.iter().filter(|request| request.path == "/film") {
        for (name, value) in [
            ("authorization", "Bearer s3cr3t-1"),
            ("x-key", "s3cr3t-2"),
            ("accept", "audio/*"),
            ("cookie", "session=s3cr3t-3; lang=en"),
            ("user-agent", "me/1.0"),
        ] {
            assert_eq!(request.header(name), Some(value));
        }
    }
    let without = &origin.requests_to("/other");
    assert!(without.iter().all(|request| request.header("x-key").is_none()));
    gate.open();
    tells_no_secret(&other.end());
    Running::spawn(place.get(arguments)).end();
    film.matches_file(place.out("film")).unwrap();
}

#[test]
fn credentials_for_one_server_are_not_sent_to_another() {
    let (origin, other) = (Origin::start(), Origin::start());
    let film = Resource::new(1, KIB);
    other.serve("/film", film.clone());
    origin.serve("/film", Reply::redirect(302, other.url("/film")));
    let place = Place::new();
    let url = origin.url("/film").to_string();
    let arguments =
        [&url, "-H", "Authorization: Bearer s3cr3t", "-b", "a=s3cr3t", "-H", "X-Wanted: yes"];
    Running::spawn(place.get(arguments)).end().success();
    let (first, second) = (&origin.requests()[0], &other.requests()[0]);
    assert_eq!(first.header("authorization"), Some("Bearer s3cr3t"));
    assert_eq!(first.header("cookie"), Some("a=s3cr3t"));
    assert_eq!((second.header("authorization"), second.header("cookie")), (None, None));
    assert_eq!(second.header("x-wanted"), Some("yes"));
}

#[test]
fn logins_come_from_the_users_netrc_file() {
    let origin = Origin::start();
    origin.serve("/film", Resource::new(1, KIB));
    let place = Place::new();
    let url = origin.url("/film").to_string();
    let get = |arguments: &[&str]| {
        let mut command = place.get([&url]);
        command.args(arguments).env("HOME", place.path(""));
        Running::spawn(command).end()
    };
    let missing = get(&["--netrc"]);
    let line = missing.refusal(1);
    assert!(line.starts_with("--netrc: ") && line.contains(".netrc: "), "{line}");
    fs::write(
        place.path(".netrc"),
        "machine a.test login you password other\nmachine 127.0.0.1 login me password s3cr3t\n",
    )
    .unwrap();
    let ended = get(&["--netrc"]);
    ended.success();
    tells_no_secret(&ended);
    // A header of the user's own is preferred, and without the option nothing is sent.
    get(&["-n", "-H", "Authorization: Bearer x", "--id", "2"]).success();
    get(&["--id", "3"]).success();
    let sent: Vec<_> = origin
        .requests()
        .into_iter()
        .map(|request| request.header("authorization").map(String::from))
        .collect();
    assert_eq!(sent, [Some("Basic bWU6czNjcjN0".into()), Some("Bearer x".into()), None]);
}

#[test]
fn a_command_that_is_refused_repeats_no_secret() {
    let place = Place::new();
    let url = "http://a.test/";
    for (arguments, code, expected) in [
        (&[url, "-H", "Authorization Bearer s3cr3t"][..], 1, "-H: a header is \"NAME: VALUE\""),
        (&[url, "-H", "Host: s3cr3t"], 1, "-H Host: bgfetch sets this header itself"),
        (&[url, "-H", "X: s3cr3t\u{7}"], 1, "-H X: not a name and a value that HTTP can send"),
        (&[url, "--cookie", "s3cr3t"], 1, "--cookie: cookies are \"NAME=VALUE; NAME=VALUE\""),
        (
            &[url, "--proxy", "ftp://u:s3cr3t@a.test"],
            1,
            "--proxy: the scheme is not http, https or",
        ),
        (&[url, "--proxy", "http://u:s3cr3t@"], 1, "--proxy: not a URL"),
        (&[url, "--cookei=s3cr3t"], 2, "unexpected argument '--cookei' found"),
        (&["http://u:s3cr3t@a.test/"], 1, "the URL for a.test includes credentials"),
        (&["https://u:s3cr3t@a.test:x/"], 1, ""),
        (&["u:s3cr3t@a.test/x"], 1, ""),
    ] {
        let ended = Running::spawn(place.get(arguments)).end();
        let line = ended.refusal(code);
        assert!(line.starts_with(expected), "{line}");
        tells_no_secret(&ended);
        assert!(!place.store().exists());
    }
}
