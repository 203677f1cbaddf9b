//! Spec issue 6, D26: `downloadTotal` and the quota, with several records at once.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bgfetch::embedder::{BoxFuture, Quota};
use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{
    CallError, EventKind, FailureReason, FetchOptions, FetchRequest, Limits, Priority,
    RecordResult, RequestInfo, StorageKey, What,
};
use bgfetch_testkit::{Gate, MIB, Origin, Resource, Serve};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use url::Url;

use crate::common::{Agent, Network, ok, records_of, registration_key, site, stored, total, until};

struct Limit(u64);

impl Quota for Limit {
    fn limit(&self, _: &StorageKey) -> BoxFuture<'static, u64> {
        Box::pin(std::future::ready(self.0))
    }
}

#[tokio::test]
async fn as_many_bytes_as_promised_are_fine_and_one_more_is_not() {
    const PARTS: u64 = 5;
    let (origin, agent) = (Origin::start(), Agent::start());
    let paths: Vec<String> = (0..PARTS).map(|part| format!("/{part}")).collect();
    for (seed, path) in (0..).zip(&paths) {
        // Without a length, nobody knows before the end whether the body fits.
        origin.serve(path, Resource::new(seed, MIB).chunked());
    }
    let host = ScriptedHost::new([Behaviour::NeverSettle]);
    let mut events = host.events();
    let engine = agent.open(host);
    let manager = agent.manager(&engine).await;
    let exceeded = Err(FailureReason::DownloadTotalExceeded);
    let expected =
        [(PARTS * MIB, Ok(()), EventKind::Success), (PARTS * MIB - 1, exceeded, EventKind::Fail)];
    for (download_total, result, event) in expected {
        let urls = paths.iter().map(|path| origin.url(path));
        let id = download_total.to_string();
        let fetch = manager.fetch(id, urls, total(download_total)).await.unwrap();
        assert_eq!(fetch.settled().await.unwrap(), result);
        assert!(fetch.downloaded() <= download_total);
        assert_eq!(events.next().await.kind, event);
        let records = records_of(&fetch).await;
        assert!(records.iter().all(|record| record.result().is_some()), "all have ended");
        let stored: u64 = records.iter().map(|record| record.stored()).sum();
        assert_eq!(stored, fetch.downloaded());
    }
}

#[tokio::test]
async fn the_siblings_of_a_record_that_exceeds_the_total_are_aborted() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/large", Resource::new(1, 101));
    origin.serve("/held", Resource::new(2, 50).hold_at(10, &Gate::new()));
    let engine = agent.open(ScriptedHost::new([Behaviour::NeverSettle]));
    let manager = agent.manager(&engine).await;
    let urls = [origin.url("/large"), origin.url("/held")];
    let fetch = manager.fetch("film", urls, total(100)).await.unwrap();
    let exceeded = FailureReason::DownloadTotalExceeded;
    assert_eq!(fetch.settled().await.unwrap(), Err(exceeded));
    let results: Vec<_> = records_of(&fetch)
        .await
        .iter()
        .map(|record| record.result().and_then(RecordResult::failure))
        .collect();
    assert_eq!(results, [Some(exceeded), Some(FailureReason::Aborted)]);
}

#[tokio::test]
async fn a_body_that_does_not_fit_the_quota_fails_the_fetch() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 2 * MIB).chunked());
    let host = ScriptedHost::new([]);
    let mut events = host.events();
    let engine = agent.open_with(agent.builder(host).quota(Limit(MIB)));
    let manager = agent.manager(&engine).await;
    let url = origin.url("/film");
    let fetch = manager.fetch("film", [url], FetchOptions::default()).await;
    let exceeded = Err(FailureReason::QuotaExceeded);
    assert_eq!(fetch.unwrap().settled().await.unwrap(), exceeded);
    assert_eq!(events.next().await.kind, EventKind::Fail);
}

/// Zeros in `zstd` format: four bytes for each 128 KiB.
fn bomb(length: u64) -> Vec<u8> {
    const BLOCK: u64 = 128 << 10;
    const REPEATED: u32 = 1 << 1;
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0, 0x68];
    let blocks = length / BLOCK;
    for block in 1..=blocks {
        let header = (BLOCK as u32) << 3 | REPEATED | u32::from(block == blocks);
        frame.extend(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

/// Serves the bomb on one connection after another; returns its URL.
async fn serve_bomb(length: u64) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/bomb", listener.local_addr().unwrap()).parse().unwrap();
    let body = bomb(length);
    assert!(body.len() < 10_000);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
            while !head.ends_with(b"\r\n\r\n") {
                let length = socket.read(&mut buffer).await.unwrap();
                head.extend_from_slice(&buffer[..length]);
            }
            let head = "HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nConnection: close\r\n\r\n";
            socket.write_all(head.as_bytes()).await.unwrap();
            socket.write_all(&body).await.unwrap();
        }
    });
    url
}

#[tokio::test]
async fn a_small_response_that_unpacks_to_a_large_one_meets_the_first_limit_in_its_way() {
    const UNPACKED: u64 = 80 * MIB;
    for (download_total, quota, reason, most) in [
        (MIB, None, FailureReason::DownloadTotalExceeded, MIB),
        (0, Some(MIB), FailureReason::QuotaExceeded, MIB),
        // Limited by the ratio of decoded to received bytes.
        (0, None, FailureReason::FetchError, 64 * MIB),
        (2 * UNPACKED, None, FailureReason::FetchError, 64 * MIB),
    ] {
        let agent = Agent::start();
        let mut builder = agent.builder(ScriptedHost::new([Behaviour::NeverSettle]));
        if let Some(quota) = quota {
            builder = builder.quota(Limit(quota));
        }
        let engine = agent.open_with(builder);
        let manager = agent.manager(&engine).await;
        let url = serve_bomb(UNPACKED).await;
        let fetch = manager.fetch("bomb", [url], total(download_total)).await.unwrap();
        assert_eq!(fetch.settled().await.unwrap(), Err(reason));
        let stored = records_of(&fetch).await[0].stored();
        assert!(stored <= most, "{reason:?}: {stored}");
        for file in agent.body_files() {
            assert!(std::fs::metadata(file).unwrap().len() <= most);
        }
    }
}

#[tokio::test]
async fn an_urgent_fetch_goes_before_one_that_waited_longer() {
    let (origin, agent, gate) = (Origin::start(), Agent::start(), Gate::new());
    origin.serve("/first", Resource::new(1, 100).hold_at(1, &gate));
    for path in ["/later", "/urgent"] {
        origin.serve(path, Resource::new(2, 100));
    }
    let urgent = |id: &str| if id == "urgent" { Priority::High } else { Priority::Normal };
    let builder = agent
        .builder(ScriptedHost::new([Behaviour::Succeed]))
        .limits(Limits::default().with(|it| it.total = 0))
        .prioritize(move |_, id| urgent(id));
    let engine = agent.open_with(builder);
    let manager = agent.manager(&engine).await;
    let mut fetches = Vec::new();
    for id in ["first", "later", "urgent"] {
        let url = origin.url(&format!("/{id}"));
        fetches.push(manager.fetch(id, [url], FetchOptions::default()).await.unwrap());
        origin.wait_for_requests(1).await;
    }
    gate.open();
    for fetch in fetches {
        assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    }
    let asked: Vec<_> = origin.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(asked, ["/first", "/urgent", "/later"]);
}

#[tokio::test]
async fn a_site_whose_responses_never_end_keeps_no_other_site_waiting() {
    let agent = Agent::start();
    let network = Network(|request: FetchRequest| {
        let mut response = ok(&request, "film");
        if request.request.url.path() == "/drip" {
            response.body = stream::pending().boxed();
        }
        ready(Ok(response))
    });
    let engine = agent.open_with(agent.builder(ScriptedHost::new([])).fetcher(network));
    let greedy = agent.register(&engine).await.background_fetch();
    let drips = (0..100).map(|host| format!("https://cdn{}.test/drip", host / 6));
    greedy.fetch("drips", drips, FetchOptions::default()).await.unwrap();
    let other = engine
        .register(StorageKey("https://other.test".into()), "https://other.test/".parse().unwrap());
    let other = other.await.unwrap().background_fetch();
    let films = ["https://cdn0.test/film", "https://cdn1.test/film"];
    let fetch = other.fetch("films", films, FetchOptions::default()).await.unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    agent.close(engine).await;
}

#[tokio::test]
async fn a_host_has_many_requests_only_where_its_own_answers_multiplex() {
    const HOST: &str = "https://films.test/";
    const CDN: &str = "https://cdn.test/";
    // The server at the end of a redirect says nothing about the server that redirects.
    for (answered_by, at_once) in [(HOST, 100), (CDN, 6)] {
        let (agent, asked) = (Agent::start(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        let network = Network(move |request: FetchRequest| {
            let number = count.fetch_add(1, Ordering::Relaxed);
            async move {
                if number > 0 {
                    return std::future::pending().await;
                }
                let mut response = ok(&request, "film");
                response.head.url_list.push(answered_by.parse().unwrap());
                response.multiplexed = true;
                Ok(response)
            }
        });
        let builder = agent.builder(ScriptedHost::new([])).fetcher(network);
        let engine = agent.open_with(builder.runtime(Handle::current()));
        let mut observer = engine.observe().await.unwrap();
        let urls = (0..200).map(|film| format!("{HOST}{film}"));
        let manager = agent.manager(&engine).await;
        manager.fetch("films", urls, FetchOptions::default()).await.unwrap();
        until(&mut observer, |what| matches!(what, What::RecordSettled { .. })).await;
        // Time advances only when every task waits.
        tokio::time::pause();
        tokio::time::sleep(Duration::from_millis(1)).await;
        tokio::time::resume();
        assert_eq!(asked.load(Ordering::Relaxed), 1 + at_once, "{answered_by}");
        agent.close(engine).await;
    }
}

#[tokio::test]
async fn an_endless_body_ends_at_the_quota_after_a_restart_too() {
    const FILM: &str = "https://app.test/film";
    /// Half of the quota and then silence, or an endless body.
    fn endless(pieces: usize) -> Network<impl Fn(FetchRequest) -> Ready<Fetched> + Send + Sync> {
        Network(move |request: FetchRequest| {
            let mut response = ok(&request, "");
            let piece = Bytes::from_static(&[0; 64 << 10]);
            let body = stream::repeat_with(move || Ok(piece.clone())).take(pieces);
            response.body = body.chain(stream::pending()).boxed();
            ready(Ok(response))
        })
    }
    type Fetched = Result<bgfetch::FetchResponse, bgfetch::FetchError>;

    let agent = Agent::start();
    let builder = agent.builder(ScriptedHost::new([])).quota(Limit(MIB));
    let engine = agent.open_with(builder.fetcher(endless(8)));
    let manager = agent.manager(&engine).await;
    let fetch = manager.fetch("film", [FILM], FetchOptions::default()).await.unwrap();
    stored(&fetch, MIB / 2).await;
    let key = fetch.key();
    drop((manager, fetch));
    agent.crash(engine);

    let builder = agent.builder(ScriptedHost::new([Behaviour::NeverSettle])).quota(Limit(MIB));
    let engine = agent.open_with(builder.fetcher(endless(usize::MAX)));
    let fetch = engine.registration(registration_key()).fetch(key).await.unwrap().unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Err(FailureReason::QuotaExceeded));
    for file in agent.body_files() {
        assert!(std::fs::metadata(file).unwrap().len() <= MIB);
    }
    let usage = engine.usage(site()).await.unwrap();
    assert_eq!((usage.quota, usage.set_aside), (Some(MIB), 0));
}

#[tokio::test]
async fn the_request_bodies_of_two_calls_never_pass_the_quota_together() {
    const PIECE: u64 = 64 << 10;
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/upload", Resource::new(1, 10));
    let builder = agent.builder(ScriptedHost::new([Behaviour::Succeed])).quota(Limit(MIB));
    let engine = agent.open_with(builder);
    let manager = agent.manager(&engine).await;
    let most = Arc::new(AtomicU64::new(0));
    let call = |id: &'static str| {
        let (agent, most) = (agent.clone(), Arc::clone(&most));
        // Three quarters of the quota.
        let body = stream::unfold(0, move |sent| {
            let (agent, most) = (agent.clone(), Arc::clone(&most));
            async move {
                // The other call stores a piece too.
                tokio::task::yield_now().await;
                let files = agent.body_files().into_iter();
                let stored =
                    files.map(|file| std::fs::metadata(file).map_or(0, |it| it.len())).sum();
                most.fetch_max(stored, Ordering::Relaxed);
                (sent < 12 * PIECE).then(|| {
                    (Ok::<_, std::io::Error>(Bytes::from(vec![0; PIECE as usize])), sent + PIECE)
                })
            }
        });
        let upload = RequestInfo::new("POST", origin.url("/upload")).body_stream(body);
        manager.fetch(id, [upload], FetchOptions::default())
    };
    let (first, second) = tokio::join!(call("first"), call("second"));
    let refused = [&first, &second].map(|call| {
        call.as_ref().err().map(|error| error.call_error() == Some(CallError::QuotaExceeded))
    });
    assert!(refused.contains(&Some(true)) && refused.contains(&None), "{refused:?}");
    let most = most.load(Ordering::Relaxed);
    assert!(most > MIB / 2 && most <= MIB, "{most}");
    for fetch in [first, second].into_iter().flatten() {
        assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    }
}
