//! [BackgroundFetchRecord](https://wicg.github.io/background-fetch/#background-fetch-record-interface):
//! `request` and `responseReady`.

use std::io;

use bgfetch::mock::Behaviour;
use bgfetch::{DomException, FailureReason, FetchOptions, RequestInfo};
use bgfetch_testkit::{Gate, MIB, Reply, Resource, Serve};
use std::sync::{Arc, Mutex};

use crate::agent::{Agent, bytes, records, settled};

#[tokio::test]
async fn response_ready_resolves_at_the_head_and_its_body_streams() {
    let agent = Agent::start().await;
    let (head, rest) = (Gate::new(), Gate::new());
    let film = Resource::new(1, 2 * MIB);
    let slow = film.clone().hold_head(&head).hold_at(MIB, &rest);
    agent.origin.serve("/film", slow.header("X-Studio", "a"));
    let fetch = agent.fetch("film", &["/film"]).await;
    // The record exists before anything has arrived.
    let record = records(&fetch).await.remove(0);
    assert_eq!((record.status(), record.stored()), (None, 0));
    let waiting = tokio::spawn({
        let record = record.clone();
        async move { record.response_ready().await }
    });
    head.reached().await;
    assert!(!waiting.is_finished());
    head.open();
    let mut response = waiting.await.unwrap().unwrap();
    assert_eq!(response.head.status, 200);
    assert_eq!(response.head.headers.get("x-studio").as_deref(), Some("a"));
    let mut read = Vec::new();
    while (read.len() as u64) < MIB {
        read.extend(response.body.chunk().await.unwrap().unwrap());
    }
    assert_eq!(record.result(), None, "it is still being received");
    rest.open();
    while let Some(chunk) = response.body.chunk().await {
        read.extend(chunk.unwrap());
    }
    assert!(read == film.bytes());
    assert_eq!(settled(&fetch).await, Ok(()));
}

#[tokio::test]
async fn the_request_is_the_one_that_was_made() {
    let agent = Agent::start().await;
    agent.origin.serve("/photos", Reply::status(200));
    let request = RequestInfo::new("put", agent.origin.url("/photos"))
        .header("X-Camera", "one")
        .unwrap()
        .body("photo");
    let call = agent.manager.fetch("photo", [request], FetchOptions::default());
    let fetch = call.await.unwrap();
    assert_eq!(settled(&fetch).await, Ok(()));
    let record = records(&fetch).await.remove(0);
    assert_eq!(record.request().method, "PUT");
    assert_eq!(record.request().headers.get("x-camera").as_deref(), Some("one"));
    assert_eq!(record.request().body_length, Some(5));
    let sent = agent.origin.requests().remove(0);
    assert_eq!(sent.header("x-camera"), Some("one"));
    assert_eq!(sent.body.bytes(), Some(&b"photo"[..]));
}

/// D45, D10.
#[tokio::test]
async fn one_bad_status_leaves_the_other_responses_readable() {
    let agent = Agent::start().await;
    let good = Resource::new(1, 1000);
    agent.origin.serve("/good", good.clone());
    agent.origin.serve("/gone", Resource::new(2, 9).with_status(404));
    let fetch = agent.fetch("mixed", &["/gone", "/good"]).await;
    assert_eq!(settled(&fetch).await, Err(FailureReason::BadStatus));
    let records = records(&fetch).await;
    let bad = records[0].response_ready().await.unwrap();
    assert_eq!(bad.head.status, 404);
    assert!(bad.body.bytes().await.unwrap().is_empty());
    assert!(bytes(&records[1]).await == good.bytes());
}

#[tokio::test]
async fn what_could_not_be_fetched_rejects_with_a_type_error() {
    let agent = Agent::start().await;
    let redirects = Reply::redirect(302, "/loop");
    agent.origin.serve("/loop", redirects);
    let fetch = agent.fetch("loop", &["/loop"]).await;
    assert_eq!(settled(&fetch).await, Err(FailureReason::FetchError));
    let error = records(&fetch).await[0].response_ready().await.unwrap_err();
    assert_eq!(error.dom_exception(), DomException::TypeError);
}

/// D22: an opened response keeps its bytes when the records are gone.
#[tokio::test]
async fn an_open_body_outlives_the_event() {
    let opened = Arc::new(Mutex::new(None));
    let handover = Arc::clone(&opened);
    let wait = Behaviour::run(move |_| {
        let handover = Arc::clone(&handover);
        async move {
            // The handler ends once the page has opened the body.
            let ready: tokio::sync::oneshot::Receiver<()> =
                handover.lock().unwrap().take().expect("set before the event");
            ready.await.map_err(|error| bgfetch::Rejection(error.to_string()))
        }
    });
    let mut agent = Agent::with_worker([wait]).await;
    let (go, ready) = tokio::sync::oneshot::channel();
    *opened.lock().unwrap() = Some(ready);
    let film = Resource::new(1, MIB);
    agent.origin.serve("/film", film.clone());
    let fetch = agent.fetch("film", &["/film"]).await;
    let record = records(&fetch).await.remove(0);
    let response = record.response_ready().await.unwrap();
    go.send(()).unwrap();
    agent.until(|what| matches!(what, bgfetch::What::EventEnded { .. })).await;
    assert!(response.body.bytes().await.unwrap() == film.bytes());
    let late = record.response_ready().await.unwrap_err();
    assert_eq!(late.dom_exception(), DomException::AbortError);
}

#[tokio::test]
async fn a_body_that_breaks_off_for_good_errors_its_readers() {
    let agent = Agent::start().await;
    // A wrong content coding fails permanently after the head.
    let lie = Resource::new(1, 5000).header("content-encoding", "gzip");
    agent.origin.serve("/lie", lie);
    let fetch = agent.fetch("lie", &["/lie"]).await;
    let record = records(&fetch).await.remove(0);
    let read: io::Result<Vec<u8>> = match record.response_ready().await {
        Ok(response) => response.body.bytes().await.map_err(io::Error::other),
        Err(error) => Err(io::Error::other(error)),
    };
    assert!(read.is_err());
    assert_eq!(settled(&fetch).await, Err(FailureReason::FetchError));
}
