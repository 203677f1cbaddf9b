//! [BackgroundFetchRegistration](https://wicg.github.io/background-fetch/#background-fetch-registration):
//! its attributes, `progress`, `abort()`, `match()`, `matchAll()`.

use bgfetch::mock::Behaviour;
use bgfetch::{
    DomException, EventKind, FailureReason, FetchOptions, MatchOptions, RequestInfo, What,
};
use bgfetch_testkit::{Gate, MIB, Reply, Resource, Serve};

use crate::agent::{Agent, bytes, records, settled};

#[tokio::test]
async fn every_window_sees_progress_and_then_the_result() {
    let agent = Agent::start().await;
    let gate = Gate::new();
    agent.origin.serve("/film", Resource::new(1, 2 * MIB).hold_at(MIB, &gate));
    let mut windows = [agent.window().await, agent.window().await];
    let fetch = agent.fetch("film", &["/film"]).await;
    assert_eq!((fetch.downloaded(), fetch.result()), (0, None));
    for window in &mut windows {
        let mine = agent.manager.get("film").await.unwrap().unwrap();
        while mine.downloaded() < MIB {
            let update = window.next().await.unwrap();
            mine.apply(&update);
        }
        assert_eq!((mine.downloaded(), mine.result()), (MIB, None));
    }
    gate.open();
    for mut window in windows {
        let mut told = 0;
        while fetch.result().is_none() || told == 0 {
            let update = window.next().await.unwrap();
            fetch.apply(&update);
            told += usize::from(update.update.result.is_some());
        }
    }
    assert_eq!((fetch.downloaded(), fetch.result()), (2 * MIB, Some(Ok(()))));
    assert!(fetch.records_available());
}

#[tokio::test]
async fn uploads_count_up_to_their_total() {
    let agent = Agent::start().await;
    agent.origin.serve("/photos", Reply::status(201));
    let photos = [Resource::new(1, MIB), Resource::new(2, 7)];
    let requests = photos
        .each_ref()
        .map(|photo| RequestInfo::new("POST", agent.origin.url("/photos")).body(photo.bytes()));
    let call = agent.manager.fetch("up", requests, FetchOptions::default());
    let fetch = call.await.unwrap();
    assert_eq!((fetch.upload_total(), fetch.uploaded()), (MIB + 7, 0));
    assert_eq!(settled(&fetch).await, Ok(()));
    assert_eq!((fetch.uploaded(), fetch.downloaded()), (MIB + 7, 0));
    assert_eq!(agent.origin.requests().len(), 2);
}

#[tokio::test]
async fn more_bytes_than_the_download_total_fail_the_fetch() {
    let mut agent = Agent::start().await;
    agent.origin.serve("/a", Resource::new(1, 100));
    for (total, result) in [(100, Ok(())), (99, Err(FailureReason::DownloadTotalExceeded))] {
        let options = FetchOptions::default().with(|it| it.download_total = total);
        let fetch = agent.fetch_with("a", &["/a"], options).await;
        assert_eq!(settled(&fetch).await, result);
        assert_eq!(agent.events.next().await.kind, EventKind::for_result(result));
    }
}

#[tokio::test]
async fn abort_ends_the_fetch_once() {
    let mut agent = Agent::start().await;
    let film = Resource::new(1, MIB).stall_after(10);
    agent.origin.serve("/film", film);
    agent.origin.serve("/gone", Reply::status(404));
    let fetch = agent.fetch("film", &["/film", "/gone"]).await;
    agent.until(|what| matches!(what, What::RecordSettled { .. })).await;
    // D15: an abort takes precedence over a record that failed before.
    let calls = tokio::join!(fetch.abort(), fetch.abort());
    assert_eq!((calls.0.unwrap(), calls.1.unwrap()), (true, false));
    assert_eq!(settled(&fetch).await, Err(FailureReason::Aborted));
    assert_eq!(agent.events.next().await.kind, EventKind::Abort);
    let error = records(&fetch).await[0].response_ready().await.unwrap_err();
    assert_eq!(error.dom_exception(), DomException::AbortError);
}

#[tokio::test]
async fn match_finds_records_by_their_requests() {
    let agent = Agent::start().await;
    for (path, seed) in [("/a", 1), ("/b", 2)] {
        agent.origin.serve(path, Resource::new(seed, 10));
    }
    let url = |path| agent.origin.url(path);
    let requests = [
        RequestInfo::from(url("/a")),
        RequestInfo::from(url("/a?q")),
        RequestInfo::new("POST", url("/a")),
        RequestInfo::from(url("/b")),
        RequestInfo::from(url("/a")),
    ];
    let call = agent.manager.fetch("all", requests, FetchOptions::default());
    let fetch = call.await.unwrap();
    let found = async |request: RequestInfo, options: MatchOptions| -> Vec<u32> {
        let found = fetch.match_all(request, options).await.unwrap();
        found.iter().map(|record| record.key().index.0).collect()
    };
    let default = MatchOptions::default();
    let search = default.with(|it| it.ignore_search = true);
    let method = default.with(|it| it.ignore_method = true);
    assert_eq!(found(url("/a").into(), default).await, [0, 4]);
    assert_eq!(found(url("/a#part").into(), default).await, [0, 4]);
    assert_eq!(found(url("/a").into(), search).await, [0, 1, 4]);
    assert_eq!(found(url("/a").into(), method).await, [0, 2, 4]);
    assert_eq!(found(RequestInfo::new("POST", url("/a")), default).await, [2]);
    assert!(found(url("/c").into(), default).await.is_empty());
    assert_eq!(records(&fetch).await.len(), 5);

    let first = fetch.match_first(url("/b"), default).await.unwrap().unwrap();
    assert_eq!(first.request().url, url("/b"));
    assert!(bytes(&first).await == Resource::new(2, 10).bytes());
    assert!(fetch.match_first(url("/c"), default).await.unwrap().is_none());
}

#[tokio::test]
async fn records_are_available_until_the_event_ended() {
    let mut agent = Agent::with_worker([Behaviour::Succeed]).await;
    agent.origin.serve("/a", Resource::new(1, 10));
    let fetch = agent.fetch("a", &["/a"]).await;
    let mut updates = fetch.updates().await.unwrap();
    agent.until(|what| matches!(what, What::EventEnded { .. })).await;
    let refused = fetch.records().await;
    let refused = refused.unwrap_err().dom_exception();
    assert_eq!(refused, DomException::InvalidStateError);
    while fetch.records_available() {
        fetch.apply(&updates.next().await.unwrap());
    }
    assert_eq!(fetch.result(), Some(Ok(())), "known results stay");
}
