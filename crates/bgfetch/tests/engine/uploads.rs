//! Uploads through the engine: each record has its own, and what a page may learn about them.

use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{
    FailureReason, FaultKind, FetchError, FetchOptions, FetchRequest, MatchOptions, PolicySnapshot,
    Principal, RequestInfo, What,
};
use bgfetch_testkit::{Gate, Origin, Reply, Resource, Serve};
use futures_util::TryStreamExt;

use crate::common::{Agent, Network, bodies_of, ok, until};

#[tokio::test]
async fn identical_posts_are_sent_each_and_told_apart() {
    let (origin, agent) = (Origin::start(), Agent::start());
    let replies = [1, 2, 3].map(|seed| Resource::new(seed, 100));
    let [first, second, third] = replies.clone();
    origin.serve("/photos", first.then(second).then(third));
    let engine = agent.open(ScriptedHost::new([Behaviour::NeverSettle]));
    let manager = agent.manager(&engine).await;
    let post = |body| RequestInfo::new("POST", origin.url("/photos")).body(body);
    let requests = [post("one"), post("two"), post("two")];
    let fetch = manager.fetch("photos", requests, FetchOptions::default()).await.unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    assert_eq!((fetch.uploaded(), fetch.upload_total()), (9, 9));

    // The origin answered in order of arrival.
    let sent = origin.requests_to("/photos");
    let sent: Vec<_> = sent.iter().map(|request| request.body.bytes().unwrap()).collect();
    assert_eq!(sent.len(), 3);
    let bodies = bodies_of(&fetch).await;
    let mut answered: Vec<_> = replies
        .iter()
        .map(|reply| bodies.iter().position(|body| *body == reply.bytes()).unwrap())
        .collect();
    let uploads: Vec<_> = answered.iter().map(|&record| [b"one", b"two", b"two"][record]).collect();
    assert_eq!(uploads, sent, "each record has the answer to its own body");
    answered.sort_unstable();
    assert_eq!(answered, [0, 1, 2]);

    let all = fetch.match_all(post(""), MatchOptions::default()).await.unwrap();
    let keys: Vec<_> = all.iter().map(|record| record.key().index.0).collect();
    assert_eq!(keys, [0, 1, 2], "matches come in the order of the requests");
    let one = fetch.match_first(post(""), MatchOptions::default()).await.unwrap().unwrap();
    assert_eq!(one.key(), all[0].key());
    let none = fetch.match_first(origin.url("/photos"), MatchOptions::default()).await;
    assert!(none.unwrap().is_none(), "a GET matches no POST");
}

#[tokio::test]
async fn the_body_of_a_request_can_be_read_until_the_fetch_is_gone() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/photos", Resource::new(1, 1).hold_head(&Gate::new()));
    let engine = agent.open(ScriptedHost::new([Behaviour::Succeed]));
    let manager = agent.manager(&engine).await;
    let photo = Resource::new(5, 1 << 20);
    let post = RequestInfo::new("POST", origin.url("/photos")).body(photo.bytes());
    let requests = [post, origin.url("/photos").into()];
    let fetch = manager.fetch("photos", requests, FetchOptions::default()).await.unwrap();
    let records = fetch.records().await.unwrap();
    let chunks: Vec<_> = records[0].request_body().unwrap().try_collect().await.unwrap();
    assert!(chunks.concat() == photo.bytes());
    assert!(records[1].request_body().is_none());

    fetch.abort().await.unwrap();
    let mut updates = fetch.updates().await.unwrap();
    while updates.next().await.is_some_and(|update| update.update.records_available) {}
    let read: Result<Vec<_>, _> = records[0].request_body().unwrap().try_collect().await;
    assert!(read.is_err());
}

#[tokio::test]
async fn an_upload_that_is_cut_off_or_refused_is_sent_once() {
    let (origin, agent) = (Origin::start(), Agent::start());
    let body = Resource::new(1, 3 << 20).bytes();
    let engine = agent.open(ScriptedHost::new([Behaviour::NeverSettle]));
    let manager = agent.manager(&engine).await;
    let answer = || Resource::new(2, 1000);
    for (path, reply, reason) in [
        ("/before", Reply::hang_up(), FailureReason::FetchError),
        ("/during", Reply::status(200).reset_upload_after(1 << 20), FailureReason::FetchError),
        ("/after", answer().cut_after(10), FailureReason::FetchError),
        ("/reset", answer().reset_after(10), FailureReason::FetchError),
        ("/408", Reply::status(408), FailureReason::BadStatus),
        ("/421", Reply::status(421), FailureReason::BadStatus),
        ("/503", Reply::status(503), FailureReason::BadStatus),
    ] {
        origin.serve(path, reply.then(Reply::status(200)));
        let request = RequestInfo::new("POST", origin.url(path)).body(body.clone());
        let fetch = manager.fetch(path, [request], FetchOptions::default()).await.unwrap();
        assert_eq!(fetch.settled().await.unwrap(), Err(reason), "{path}");
        assert_eq!(origin.requests_to(path).len(), 1, "{path}");
    }
}

#[tokio::test]
async fn a_page_sees_no_progress_of_an_upload_that_another_origin_did_not_approve() {
    let agent = Agent::start();
    let network = Network(|request: FetchRequest| async move {
        request.uploaded.advance_to(5);
        // Long enough for a report, if there were one.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        match request.request.url.path() {
            "/refused" => Err(FetchError::new(FaultKind::Blocked, true, "CORS")),
            _ => Ok(ok(&request, "thanks")),
        }
    });
    let builder = agent.builder(ScriptedHost::new([Behaviour::NeverSettle])).fetcher(network);
    let engine = agent.open_with(builder);
    tokio::time::pause();
    let mut observer = engine.observe().await.unwrap();
    let page = PolicySnapshot::of(&"https://app.test/page".parse().unwrap());
    let manager = agent.manager(&engine).await.acting_for(Principal::Page(page));
    for (url, expected, early) in [
        ("https://other.test/refused", 0, false),
        ("https://other.test/approved", 5, false),
        ("https://app.test/refused", 5, true),
    ] {
        let request = RequestInfo::new("POST", url.parse().unwrap()).body("photo");
        let fetch = manager.fetch(url, [request], FetchOptions::default()).await.unwrap();
        let fails = url.ends_with("refused");
        let mut seen = false;
        loop {
            let event = until(&mut observer, |_| true).await;
            match event.what {
                What::Settled(_) => break,
                What::Progress => seen |= event.uploaded > 0 && fails,
                _ => {}
            }
        }
        assert_eq!(fetch.settled().await.unwrap().is_err(), fails, "{url}");
        assert_eq!(fetch.uploaded(), expected, "{url}");
        assert_eq!(seen, early, "{url}");
    }
}
