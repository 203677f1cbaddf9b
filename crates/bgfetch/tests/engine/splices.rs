//! D3, D4: a download continues only with what the same user gets from the same URL, also where
//! validators are the same; and a signed URL is the same although its query changes.

use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{CookieJar, FailureReason, FetchOptions, HyperFetcher, RequestInfo};
use bgfetch_testkit::{MIB, Origin, Reply, Resource, Script, Serve};

use crate::common::{Agent, bodies_of};

const CUT: u64 = 100_000;

/// Fetches `/me` for the user with a cookie jar, and returns the body.
async fn body_of_me(origin: &Origin) -> Vec<u8> {
    body_of(RequestInfo::new("GET", origin.url("/me"))).await
}

async fn body_of(request: RequestInfo) -> Vec<u8> {
    let agent = Agent::start();
    let fetcher = HyperFetcher::builder().cookies(CookieJar::new()).build().unwrap();
    // The event stays open, so that the records stay readable.
    let host = ScriptedHost::new([Behaviour::NeverSettle]);
    let engine = agent.open_with(agent.builder(host).fetcher(fetcher));
    let manager = agent.manager(&engine).await;
    let fetch = manager.fetch("me", [request], FetchOptions::default()).await.unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    let body = bodies_of(&fetch).await.remove(0);
    engine.shutdown().await.unwrap();
    body
}

/// The files of two users, with one validator and one length.
fn files() -> [Resource; 2] {
    [1, 2].map(|seed| Resource::new(seed, MIB).etag("\"1\""))
}

/// The offsets from which a path was requested, or none for the whole.
fn starts(origin: &Origin, path: &str) -> Vec<Option<u64>> {
    origin.requests_to(path).iter().map(|request| request.range_start()).collect()
}

#[tokio::test]
async fn a_signed_url_that_changes_each_time_is_resumed_after_every_cut() {
    let (origin, cdn) = (Origin::start(), Origin::start());
    let [film, _] = files();
    let signed = |number| Reply::redirect(302, cdn.url(&format!("/film?sig={number}")));
    origin.serve("/me", (1..6).fold(Script::from(signed(0)), |it, number| it.then(signed(number))));
    cdn.serve("/film", film.clone().cut_after(CUT).times(5).then(film.clone()));
    assert!(body_of_me(&origin).await == film.bytes());
    let expected = [None, Some(CUT), Some(2 * CUT), Some(3 * CUT), Some(4 * CUT), Some(5 * CUT)];
    assert_eq!(starts(&cdn, "/film"), expected);
    assert_eq!(starts(&origin, "/me"), [None; 6], "it cannot be what continues the film");
    let sent: u64 = cdn.requests().iter().map(|request| request.sent).sum();
    assert_eq!(sent, MIB, "nothing is sent twice");
}

#[tokio::test]
async fn a_signed_url_whose_length_changes_is_another_file() {
    let origin = Origin::start();
    let [alice, _] = files();
    let bob = Resource::new(2, MIB + 1).etag("\"1\"");
    let signed = |number| Reply::redirect(302, format!("/film?sig={number}"));
    origin.serve("/me", signed(1).then(signed(2)));
    origin.serve("/film", alice.cut_after(CUT).then(bob.clone()));
    assert!(body_of_me(&origin).await == bob.bytes());
    assert_eq!(starts(&origin, "/film"), [None, Some(CUT), None]);
}

#[tokio::test]
async fn a_redirect_to_another_users_file_is_not_asked_for_the_rest() {
    let origin = Origin::start();
    let [alice, bob] = files();
    origin.serve("/me", Reply::redirect(302, "/alice").then(Reply::redirect(302, "/bob")));
    origin.serve("/alice", alice.cut_after(CUT));
    origin.serve("/bob", bob.clone());
    assert!(body_of_me(&origin).await == bob.bytes());
    assert_eq!(starts(&origin, "/bob"), [None]);
}

#[tokio::test]
async fn an_answer_to_a_request_without_range_is_not_asked_for_again() {
    let (origin, agent) = (Origin::start(), Agent::start());
    let [alice, _] = files();
    origin.serve("/me", Reply::redirect(302, "/alice").then(Reply::redirect(302, "/gone")));
    origin.serve("/alice", alice.cut_after(CUT));
    origin.serve("/gone", Reply::status(404));
    let engine = agent.open(ScriptedHost::new([Behaviour::NeverSettle]));
    let manager = agent.manager(&engine).await;
    let url = origin.url("/me");
    let fetch = manager.fetch("me", [url], FetchOptions::default()).await.unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Err(FailureReason::FetchError));
    assert_eq!(starts(&origin, "/gone"), [None]);
    assert_eq!(fetch.downloaded(), CUT, "what is there is kept");
    engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_download_restarts_when_another_user_asks() {
    for vary in ["Accept, Cookie", "*"] {
        let origin = Origin::start();
        let [alice, bob] = files();
        // Alice's response logs Bob in.
        let alice = alice.header("Vary", vary).header("Set-Cookie", "user=bob").cut_after(CUT);
        let bobs = || bob.clone().header("Vary", vary);
        origin.serve("/me", alice.then(bobs().cut_after(2 * CUT)).then(bobs()));
        assert!(body_of_me(&origin).await == bob.bytes());
        assert_eq!(starts(&origin, "/me"), [None, None, Some(2 * CUT)], "{vary}");
    }
}

#[tokio::test]
async fn the_credentials_that_count_are_those_of_the_last_request() {
    let (origin, elsewhere) = (Origin::start(), Origin::start());
    let [alice, nobody] = files();
    let vary = |file: &Resource| file.clone().header("Vary", "Authorization");
    // A redirect to another origin takes the header away, also on the way back.
    let away = Reply::redirect(302, elsewhere.url("/back"));
    origin.serve("/me", vary(&alice).cut_after(CUT).then(away).then(vary(&nobody)));
    elsewhere.serve("/back", Reply::redirect(302, origin.url("/me")));
    let request = RequestInfo::new("GET", origin.url("/me"));
    let body = body_of(request.header("Authorization", "alice").unwrap()).await;
    assert!(body == nobody.bytes());
    let requests = origin.requests_to("/me");
    let sent: Vec<_> =
        requests.iter().map(|it| (it.header("authorization"), it.range_start())).collect();
    // The first request of the second attempt could have been answered with the rest.
    assert_eq!(sent, [(Some("alice"), None), (Some("alice"), Some(CUT)), (None, None)]);
}

#[tokio::test]
async fn a_cookie_that_does_not_select_the_file_may_change() {
    let origin = Origin::start();
    let [film, _] = files();
    let first = film.clone().header("Set-Cookie", "visits=1").cut_after(CUT);
    origin.serve("/me", first.then(film.clone()));
    assert!(body_of_me(&origin).await == film.bytes());
    assert_eq!(starts(&origin, "/me"), [None, Some(CUT)]);
    assert_eq!(origin.requests()[1].header("cookie"), Some("visits=1"));
}

#[tokio::test]
async fn a_part_in_another_language_is_not_joined() {
    let origin = Origin::start();
    let [english, german] = files();
    let english = english.header("Content-Language", "en").cut_after(CUT);
    origin.serve("/me", english.then(german.clone().header("Content-Language", "de")));
    assert!(body_of_me(&origin).await == german.bytes());
    assert_eq!(starts(&origin, "/me"), [None, Some(CUT), None]);
}
