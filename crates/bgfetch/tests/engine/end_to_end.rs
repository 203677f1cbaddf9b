//! The whole engine against a real server: from `fetch()` to the worker's event.

use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{
    EventKind, FailureReason, FetchOptions, Handover, MatchOptions, RecordError, RequestInfo,
};
use bgfetch_testkit::{Gate, MIB, Origin, Reply, Resource, Serve};

use crate::common::{Agent, bodies_of, record_bodies, records_of};

#[tokio::test]
async fn a_fetch_of_two_files_reaches_the_worker_with_their_bytes() {
    let origin = Origin::start();
    let (film, art) = (Resource::new(1, 3 * MIB).etag("\"a\""), Resource::new(2, 10_000));
    origin.serve("/film.mp4", film.clone());
    origin.serve("/art.jpg", art.clone());
    let agent = Agent::start();
    let host = ScriptedHost::new([record_bodies(&agent)]);
    let mut events = host.events();
    let engine = agent.open(host);
    let manager = agent.manager(&engine).await;
    let options = FetchOptions::default().with(|it| {
        it.title = "A film".into();
        it.download_total = film.length() + art.length();
    });
    let urls = [origin.url("/film.mp4"), origin.url("/art.jpg")];
    let fetch = manager.fetch("film", urls, options).await.unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    assert_eq!(fetch.downloaded(), film.length() + art.length());

    let received = events.next().await;
    assert_eq!((received.kind, received.id.as_str()), (EventKind::Success, "film"));
    let bodies = agent.bodies().await;
    film.verify(0, &bodies[0]).unwrap();
    art.verify(0, &bodies[1]).unwrap();
    engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn one_bad_status_fails_the_fetch_and_keeps_the_good_bodies() {
    let origin = Origin::start();
    let good = Resource::new(3, 50_000);
    origin.serve("/good", good.clone());
    origin.serve("/missing", Reply::status(404));
    let agent = Agent::start();
    let host = ScriptedHost::new([record_bodies(&agent)]);
    let mut events = host.events();
    let engine = agent.open(host);
    let manager = agent.manager(&engine).await;
    let urls = [origin.url("/missing"), origin.url("/good")];
    let fetch = manager.fetch("mixed", urls, FetchOptions::default()).await.unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Err(FailureReason::BadStatus));
    assert_eq!(events.next().await.kind, EventKind::Fail);
    let bodies = agent.bodies().await;
    assert!(bodies[0].is_empty(), "D10: the body of a bad status is empty");
    good.verify(0, &bodies[1]).unwrap();
}

#[tokio::test]
async fn a_record_streams_while_it_downloads() {
    let origin = Origin::start();
    let gate = Gate::new();
    let film = Resource::new(4, 2 * MIB);
    origin.serve("/film", film.clone().hold_at(MIB, &gate));
    let agent = Agent::start();
    let engine = agent.open(ScriptedHost::new([Behaviour::Succeed]));
    let manager = agent.manager(&engine).await;
    let url = origin.url("/film");
    let fetch = manager.fetch("film", [url.clone()], FetchOptions::default()).await.unwrap();
    let query = RequestInfo::from(url);
    let record = fetch.match_first(query, MatchOptions::default()).await.unwrap().unwrap();
    // D20: the response is ready once its head has arrived, while the body is still coming.
    let mut response = record.response_ready().await.unwrap();
    assert_eq!(response.head.status, 200);
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < MIB {
        bytes.extend_from_slice(&response.body.chunk().await.unwrap().unwrap());
    }
    gate.open();
    while let Some(chunk) = response.body.chunk().await {
        bytes.extend_from_slice(&chunk.unwrap());
    }
    film.verify(0, &bytes).unwrap();
    assert_eq!(bytes.len() as u64, film.length());
}

#[tokio::test]
async fn an_upload_is_stored_sent_and_counted_once() {
    let origin = Origin::start();
    let photo = Resource::new(5, MIB);
    origin.serve("/photos", Reply::status(201));
    let agent = Agent::start();
    let engine = agent.open(ScriptedHost::new([Behaviour::Succeed]));
    let manager = agent.manager(&engine).await;
    let request = RequestInfo::new("POST", origin.url("/photos")).body(photo.bytes());
    let fetch = manager.fetch("photos", [request], FetchOptions::default()).await.unwrap();
    assert_eq!(fetch.upload_total(), photo.length());
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    assert_eq!(fetch.uploaded(), photo.length());
    let requests = origin.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].body.is(&photo));
}

#[tokio::test]
async fn a_record_can_be_taken_over_as_a_file() {
    let origin = Origin::start();
    let model = Resource::new(6, 2 * MIB);
    origin.serve("/model.bin", model.clone());
    let agent = Agent::start();
    let engine = agent.open(ScriptedHost::new([Behaviour::NeverSettle]));
    let manager = agent.manager(&engine).await;
    let url = origin.url("/model.bin");
    let fetch = manager.fetch("model", [url], FetchOptions::default()).await;
    let fetch = fetch.unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    let record = records_of(&fetch).await.remove(0);
    let folder = tempfile::TempDir::new().unwrap();
    for how in [Handover::Copy, Handover::Link] {
        let file = folder.path().join(format!("{how:?}"));
        record.export(&file, how).await.unwrap();
        model.matches_file(&file).unwrap();
    }
    // The store keeps its own copy until the event has ended.
    assert!(bodies_of(&fetch).await == [model.bytes()]);
}

#[tokio::test]
async fn a_body_can_be_taken_over_before_it_is_whole() {
    let origin = Origin::start();
    let gate = Gate::new();
    let film = Resource::new(7, 2 * MIB);
    origin.serve("/film", film.clone().hold_at(MIB, &gate));
    let agent = Agent::start();
    let engine = agent.open(ScriptedHost::new([Behaviour::NeverSettle]));
    let manager = agent.manager(&engine).await;
    let fetch = manager.fetch("film", [origin.url("/film")], FetchOptions::default()).await;
    let fetch = fetch.unwrap();
    let record = records_of(&fetch).await.remove(0);
    let mut body = record.response_ready().await.unwrap().body;
    body.chunk().await.unwrap().unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("film");
    let mut export = Box::pin(body.export(&file, Handover::Link));
    assert!(futures_util::poll!(&mut export).is_pending());
    gate.open();
    export.await.unwrap();
    film.matches_file(&file).unwrap();
    engine.shutdown().await.unwrap();
    let gone = folder.path().join("gone");
    assert!(matches!(body.export(&gone, Handover::Link).await, Err(RecordError::Aborted)));
    assert!(!gone.exists());
}
