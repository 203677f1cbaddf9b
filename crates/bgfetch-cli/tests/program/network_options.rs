//! The options of `get` for the network: they hold for a process, and are not stored.

use std::fs;

use bgfetch_testkit::{ForwardProxy, Gate, KIB, MIB, Origin, ProxyProtocol, Resource, Serve as _};

use crate::fixture::{Place, Running, held_film, wait_until};

#[test]
fn no_more_connections_are_used_than_the_user_allows() {
    let origin = Origin::start();
    let place = Place::new();
    let gates: Vec<Gate> = (0..6).map(|_| Gate::new()).collect();
    let mut arguments = vec![String::from("--max-connections=2")];
    for (number, gate) in gates.iter().enumerate() {
        let path = format!("/{number}");
        origin.serve(&path, Resource::new(number as u64, KIB).hold_head(gate));
        arguments.push(origin.url(&path).to_string());
    }
    let running = Running::spawn(place.get(&arguments));
    for (number, gate) in gates.iter().enumerate() {
        gate.blocking_reached();
        let begun = origin.requests();
        let waiting = begun.iter().filter(|request| request.ended.is_none()).count();
        assert!(waiting <= 2, "{number}: {begun:#?}");
        gate.open();
    }
    running.end().success();
    assert!(origin.requests().iter().all(|request| request.connection < 2));
    let refused = Running::spawn(place.get(["http://a.test/", "--max-connections", "0"])).end();
    let line = refused.refusal(2);
    assert!(line.contains("a number of connections is 1 or more"), "{line}");
}

#[test]
fn bytes_come_no_faster_than_the_user_allows() {
    let origin = Origin::start();
    let film = Resource::new(1, 8 * MIB).etag("\"1\"");
    origin.serve("/film", film.clone());
    let place = Place::new();
    let url = origin.url("/film").to_string();
    let running = Running::spawn(place.get([&url, "--limit-rate", "1"]));
    running.downloading();
    // Without the limit, it would have ended by now.
    let list = place.run(&["list"]);
    assert!(list.success()[1].contains("running"), "{list:#?}");
    running.signal("INT");
    assert_eq!(running.end().code, Some(130));
    Running::spawn(place.get([&url, "--limit-rate=1G"])).end().success();
    film.matches_file(place.out("film")).unwrap();
    for (rate, expected) in [
        ("fast", "a rate is a number of bytes per second, with k, M or G after it"),
        ("0", "with no bytes per second, it would never end"),
    ] {
        let refused = Running::spawn(place.get([&url, "--limit-rate", rate])).end();
        let line = refused.refusal(2);
        assert!(line.contains(expected), "{line}");
    }
}

#[test]
fn requests_go_through_the_proxy_that_the_user_names() {
    let origin = Origin::start();
    let proxy = ForwardProxy::start(ProxyProtocol::Http, Some("me:s3cr3t"));
    let film = Resource::new(1, 2 * MIB);
    let gate = Gate::new();
    origin.serve("/film", film.clone().hold_at(MIB, &gate));
    let place = Place::new();
    let url = origin.url("/film").to_string();
    let running = Running::spawn(place.get([&url, "--proxy", &proxy.url()]));
    gate.blocking_reached();
    #[cfg(target_os = "linux")]
    {
        let arguments = fs::read(format!("/proc/{}/cmdline", running.pid())).unwrap();
        let arguments = String::from_utf8(arguments).unwrap();
        let shown = format!("http://***@{}", proxy.address());
        assert!(arguments.contains(&shown) && !arguments.contains("s3cr3t"), "{arguments}");
    }
    gate.open();
    running.end().success();
    film.matches_file(place.out("film")).unwrap();
    assert_eq!(proxy.targets(), [origin.address().to_string()]);

    let wrong = proxy.url_with(Some("me:wrong-s3cr3t"));
    let ended = Running::spawn(place.get([&url, "--proxy", &wrong, "--id", "x"])).end();
    assert_eq!(ended.code, Some(1));
    let advice = "; check --proxy and the variables like http_proxy";
    assert!(ended.stderr[0].ends_with(advice), "{ended:#?}");
    assert!(!ended.stderr.concat().contains("s3cr3t"), "{ended:#?}");
    let nobody = proxy.url_with(None);
    let ended = Running::spawn(place.get([&url, "--proxy", &nobody, "--id", "y"])).end();
    let advice = "asks for a user and password; use --proxy http://USER:PASSWORD@HOST";
    assert!(ended.stderr[0].ends_with(advice), "{ended:#?}");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn the_proxies_of_the_environment_are_used_unless_the_user_says_otherwise() {
    let origin = Origin::start();
    let proxy = ForwardProxy::start(ProxyProtocol::Socks5, None);
    origin.serve("/film", Resource::new(1, KIB));
    let place = Place::new();
    let url = origin.url("/film").to_string();
    let get = |arguments: &[&str], variable: &str, value: &str| {
        let mut command = place.get([&url]);
        command.args(arguments).env(variable, value);
        Running::spawn(command).end()
    };
    get(&["--id=1"], "http_proxy", &proxy.url()).success();
    assert_eq!(proxy.targets().len(), 1);
    get(&["--id=2", "--no-proxy"], "http_proxy", &proxy.url()).success();
    get(&["--id=3"], "https_proxy", &proxy.url()).success();
    assert_eq!(proxy.targets().len(), 1);
    let refused = get(&["--id=4"], "all_proxy", "ftp://me:s3cr3t@a.test");
    assert_eq!(refused.refusal(1), "all_proxy: the scheme is not http, https or socks5");
}

#[test]
fn certificates_are_verified_against_the_users_own() {
    let origin = Origin::start_tls();
    let film = Resource::new(1, KIB);
    origin.serve("/film", film.clone());
    let place = Place::new();
    let url = origin.url("/film").to_string();
    let untrusted = Running::spawn(place.get([&url])).end();
    assert_eq!(untrusted.code, Some(1));
    let advice = "is not trusted: its issuer is unknown; if it is yours, use --cacert";
    assert!(untrusted.stderr[0].ends_with(advice), "{untrusted:#?}");

    let root = place.path("root.pem");
    let root = root.to_str().unwrap();
    for (text, expected) in [
        (None, format!("--cacert {root}: ")),
        (Some("# nothing\n"), format!("--cacert {root}: no certificate in it (PEM)")),
        (
            Some("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"),
            format!("--cacert {root}: not a PEM file"),
        ),
    ] {
        if let Some(text) = text {
            fs::write(root, text).unwrap();
        }
        let refused = Running::spawn(place.get([&url, "--cacert", root])).end();
        let line = refused.refusal(1);
        assert!(line.starts_with(&expected), "{line}");
    }
    fs::write(root, origin.certificates().root_pem()).unwrap();
    Running::spawn(place.get([&url, "--cacert", root])).end().success();
    film.matches_file(place.out("film")).unwrap();
}

#[test]
fn certificates_of_what_others_left_are_verified_although_this_command_does_not() {
    let origin = Origin::start_tls();
    let (film, gate) = held_film(1);
    origin.serve("/film", film.clone().hold_at(MIB, &gate).then(film.clone()));
    let song = Resource::new(2, KIB);
    origin.serve("/song", song.clone());
    let place = Place::new();
    let root = place.path("root.pem");
    fs::write(&root, origin.certificates().root_pem()).unwrap();
    let film_url = origin.url("/film").to_string();
    let trusting = [&film_url, "--cacert", root.to_str().unwrap()];
    let first = Running::spawn(place.get(trusting));
    first.downloading();
    gate.blocking_reached();
    first.kill();

    let song_url = origin.url("/song").to_string();
    let ended = Running::spawn(place.get([&song_url, "--insecure"])).end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let warning = "bgfetch: warning: certificates are not verified";
    assert!(ended.stderr[0].starts_with(warning), "{ended:#?}");
    song.matches_file(place.out("song")).unwrap();
    assert_eq!(origin.requests_to("/film").len(), 1, "the film is not asked for");
    gate.open();
    let ended = Running::spawn(place.get(trusting)).end();
    ended.success();
    assert_eq!(ended.events("registered").len(), 0, "it is the same fetch: {ended:#?}");
    film.matches_file(place.out("film")).unwrap();
    assert!(origin.requests_to("/film")[1].range_start().is_some());
}

#[test]
fn what_another_command_left_waits_for_the_certificates_that_it_began_with() {
    let origin = Origin::start_tls();
    let (film, gate) = held_film(3);
    origin.serve("/film", film.clone().hold_at(MIB, &gate).then(film.clone()));
    let plain = Origin::start();
    let (song, song_gate) = held_film(4);
    plain.serve("/song", song.hold_at(MIB, &song_gate));
    let place = Place::new();
    let root = place.path("root.pem");
    fs::write(&root, origin.certificates().root_pem()).unwrap();
    let (film_url, song_url) = (origin.url("/film").to_string(), plain.url("/song").to_string());
    let trusting = [&film_url, "--id", "film", "--cacert", root.to_str().unwrap()];
    let first = Running::spawn(place.get(trusting));
    first.downloading();
    gate.blocking_reached();
    first.kill();

    let song = Running::spawn(place.get([&song_url, "--id", "song"]));
    song_gate.blocking_reached();
    let state = |name: &str| {
        let shown = place.run(&["show", "film"]);
        shown.success().iter().any(|line| *line == format!("state   {name}"))
    };
    wait_until(|| state("paused"));
    song_gate.open();
    let ended = song.end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let line = "bgfetch: film waits: the server's certificate is not trusted: its issuer is unknown; \
                if that is right, run its own command again, with its --cacert or --insecure";
    assert_eq!(ended.stderr, [line]);
    assert!(state("stopped"), "the next process does not find it paused");

    gate.open();
    let ended = Running::spawn(place.get(trusting)).end();
    ended.success();
    assert!(ended.events("registered").is_empty() && ended.events("paused").is_empty());
    film.matches_file(place.out("film")).unwrap();
    let requests = origin.requests_to("/film");
    assert_eq!((requests.len(), requests[1].range_start()), (2, Some(MIB)));
}

#[test]
fn what_was_set_aside_fails_only_for_who_asks_for_it_without_its_certificates() {
    let origin = Origin::start_tls();
    let (film, gate) = held_film(5);
    origin.serve("/film", film.clone().hold_at(MIB, &gate).then(film.clone()));
    let plain = Origin::start();
    let (song, song_gate) = held_film(6);
    plain.serve("/song", song.hold_at(MIB, &song_gate));
    let place = Place::new();
    let root = place.path("root.pem");
    fs::write(&root, origin.certificates().root_pem()).unwrap();
    let film_url = origin.url("/film").to_string();
    let untrusting = [&film_url, "--id", "film"];
    let trusting = [&film_url, "--id", "film", "--cacert", root.to_str().unwrap()];
    let first = Running::spawn(place.get(trusting));
    first.downloading();
    gate.blocking_reached();
    first.signal("INT");
    first.end();

    let song = Running::spawn(place.get([plain.url("/song").as_str(), "--id", "song"]));
    song_gate.blocking_reached();
    let is_paused = || {
        let shown = place.run(&["show", "film"]);
        shown.success().iter().any(|line| line == "state   paused")
    };
    wait_until(is_paused);
    let ended = Running::spawn(place.get(untrusting)).end();
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr[0].ends_with("; if it is yours, use --cacert"), "{ended:#?}");
    song_gate.open();
    assert_eq!(song.end().code, Some(0));

    gate.open();
    Running::spawn(place.get(trusting)).end().success();
    film.matches_file(place.out("film")).unwrap();
    assert_eq!(origin.requests_to("/film")[1].range_start(), Some(MIB), "its bytes were held");
}
