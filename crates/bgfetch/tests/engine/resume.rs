//! Spec issue 1, D6, D4, D7, D8, D9: a download resumes where it ended, and never with the bytes of
//! another representation.

use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{EventKind, FailureReason, FetchOptions};
use bgfetch_testkit::{Coding, Gate, MIB, Origin, Reply, Resource, Script, Serve};

use crate::common::{Agent, bodies_of, record_bodies, stored};

/// The process dies after 1 MiB of `/film`, whose first reply is held there; `after` gives the
/// later replies. Returns the origin, and the bytes that the worker read in the end.
async fn crash_in_mid_body(film: &Resource, after: impl Into<Script>) -> (Origin, Vec<u8>) {
    let (origin, gate) = (Origin::start(), Gate::new());
    origin.serve("/film", film.clone().hold_at(MIB, &gate).then(after));
    let agent = Agent::start();
    let engine = agent.open(ScriptedHost::new([]));
    let manager = agent.manager(&engine).await;
    let url = origin.url("/film");
    let fetch = manager.fetch("film", [url], FetchOptions::default()).await;
    stored(&fetch.unwrap(), MIB).await;
    agent.crash(engine);

    let host = ScriptedHost::new([record_bodies(&agent)]);
    let mut events = host.events();
    let engine = agent.open(host);
    agent.register(&engine).await;
    assert_eq!(events.next().await.kind, EventKind::Success);
    let bytes = agent.bodies().await.remove(0);
    engine.shutdown().await.unwrap();
    (origin, bytes)
}

#[tokio::test]
async fn after_a_crash_the_range_starts_where_the_file_ended() {
    let film = Resource::new(1, 3 * MIB).etag("\"a\"");
    let (origin, bytes) = crash_in_mid_body(&film, film.clone()).await;
    assert_eq!(bytes, film.bytes());
    let requests = origin.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].range_start(), Some(MIB));
    assert_eq!(requests[1].header("if-range"), Some("\"a\""));
    assert_eq!(requests[1].sent, 2 * MIB, "nothing is fetched twice");
}

#[tokio::test]
async fn after_a_crash_another_representation_replaces_the_first() {
    let film = Resource::new(1, 3 * MIB).etag("\"a\"");
    let other = Resource::new(2, 2 * MIB).etag("\"b\"");
    let (origin, bytes) = crash_in_mid_body(&film, other.clone()).await;
    assert_eq!(bytes, other.bytes());
    assert_eq!(origin.requests()[1].range_start(), Some(MIB));
}

#[tokio::test]
async fn after_a_crash_a_body_without_a_validator_begins_again() {
    let film = Resource::new(1, 3 * MIB);
    let (origin, bytes) = crash_in_mid_body(&film, film.clone()).await;
    assert_eq!(bytes, film.bytes());
    assert_eq!(origin.requests()[1].range(), None);
}

#[tokio::test]
async fn thirteen_faults_of_servers_end_with_the_right_bytes() {
    const CUT: u64 = 300_000;
    let plain = Resource::new(1, MIB);
    let film = plain.clone().etag("\"a\"");
    let other = Resource::new(2, MIB + 7).etag("\"b\"");
    let cut = || film.clone().cut_after(CUT);
    let weak = plain.clone().etag("W/\"a\"");
    // The name, the server's behaviour, the expected body, and the start of the last range.
    let faults: [(&str, Script, &Resource, Option<u64>); 13] = [
        ("cut", cut().then(film.clone()), &film, Some(CUT)),
        ("cut twice", cut().then(cut()).then(film.clone()), &film, Some(2 * CUT)),
        ("reset", film.clone().reset_after(CUT).then(film.clone()), &film, None),
        ("no validator", plain.clone().cut_after(CUT).then(plain.clone()), &plain, None),
        ("weak validator", weak.clone().cut_after(CUT).then(weak), &plain, None),
        ("changed", cut().then(other.clone()), &other, Some(CUT)),
        (
            "changed, and If-Range ignored",
            cut().then(other.clone().ignoring_if_range()).then(other.clone()),
            &other,
            None,
        ),
        ("range ignored", cut().then(film.clone().ignoring_range()), &film, Some(CUT)),
        (
            "wrong first byte",
            cut().then(film.clone().shifting_range(1)).then(film.clone()),
            &film,
            None,
        ),
        ("length *", cut().then(film.clone().hiding_complete_length()), &film, None),
        ("short 206", cut().then(film.clone().at_most_per_range(CUT)), &film, Some(3 * CUT)),
        (
            "gzip, then identity",
            film.clone().coded(Coding::Gzip).cut_after(CUT).then(film.clone()),
            &film,
            None,
        ),
        (
            "503 and 500 on the resume",
            cut().then(Reply::status(503)).then(Reply::status(500)).then(film.clone()),
            &film,
            Some(CUT),
        ),
    ];
    let origin = Origin::start();
    let agent = Agent::start();
    // The event stays open, so that the records stay readable.
    let engine = agent.open(ScriptedHost::new([Behaviour::NeverSettle]));
    let manager = agent.manager(&engine).await;
    for (number, (name, script, expected, range)) in faults.into_iter().enumerate() {
        let path = format!("/{number}");
        origin.serve(&path, script);
        let url = origin.url(&path);
        let fetch = manager.fetch(name, [url], FetchOptions::default()).await;
        let fetch = fetch.unwrap();
        assert_eq!(fetch.settled().await.unwrap(), Ok(()), "{name}");
        assert_eq!(fetch.downloaded(), expected.length(), "{name}");
        assert!(bodies_of(&fetch).await == [expected.bytes()], "{name}: wrong bytes");
        if let Some(range) = range {
            let requests = origin.requests_to(&path);
            let last = requests.last().unwrap();
            assert_eq!(last.range_start(), Some(range), "{name}");
        }
    }
}

#[tokio::test]
async fn a_page_of_another_site_does_not_replace_what_the_user_downloads() {
    const CUT: u64 = 300_000;
    let (origin, portal) = (Origin::start(), Origin::start());
    portal.serve("/login", Reply::text("text/html; charset=utf-8", "please log in"));
    let film = Resource::new(1, MIB).etag("\"a\"").cut_after(CUT);
    let login = portal.url("/login");
    origin.serve("/film", film.then(Reply::redirect(302, login)));
    let agent = Agent::start();
    // The event stays open, so that the records stay readable.
    let engine = agent.open(ScriptedHost::new([Behaviour::NeverSettle]));
    let manager = agent.manager(&engine).await;
    let url = origin.url("/film");
    let fetch = manager.fetch("film", [url], FetchOptions::default()).await.unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Err(FailureReason::FetchError));
    assert_eq!(portal.requests().len(), 1);
    assert_eq!(fetch.downloaded(), CUT, "what is there is kept");
}
