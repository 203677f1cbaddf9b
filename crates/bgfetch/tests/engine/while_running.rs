//! What an embedder changes while the engine runs: limits and rates.

use std::time::Duration;

use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{
    BackgroundFetchRegistration, Engine, FetchKey, FetchOptions, FetchRequest, FetchResponse,
    Limits, ManualConnectivity, Principal, RequestInfo, StorageKey,
};
use bgfetch_testkit::{Gate, Origin, Reply, Resource, Serve};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::common::{Agent, Network, ok};

const SECOND: Duration = Duration::from_secs(1);

/// A network with a megabyte in small pieces, as fast as it is read.
async fn megabyte(request: FetchRequest) -> Result<FetchResponse, bgfetch::FetchError> {
    if let Some(body) = &request.body {
        let mut stream = body.open();
        let mut sent = 0;
        while let Some(bytes) = stream.next().await {
            sent += bytes.unwrap().len() as u64;
            request.uploaded.advance_to(sent);
        }
    }
    let pieces = stream::repeat_with(|| Ok(Bytes::from_static(&[7; 1000]))).take(1000);
    Ok(ok(&request, "").with(|it| it.body = pieces.boxed()))
}

/// An engine in virtual time.
fn engine(rate: Option<u64>) -> Engine {
    let builder = Engine::builder()
        .ephemeral()
        .worker_host(ScriptedHost::new([Behaviour::NeverSettle]))
        .connectivity(ManualConnectivity::default())
        .fetcher(Network(megabyte))
        .runtime(Handle::current())
        .inline_io(|| Duration::ZERO)
        .rate(rate);
    builder.open().unwrap()
}

async fn fetch(engine: &Engine, id: &str, request: RequestInfo) -> BackgroundFetchRegistration {
    let scope = format!("https://{id}.test/").parse().unwrap();
    let worker = engine.register(StorageKey(id.into()), scope).await.unwrap();
    let manager = worker.background_fetch().acting_for(Principal::User);
    manager.fetch(id, [request], FetchOptions::default()).await.unwrap()
}

fn get() -> RequestInfo {
    RequestInfo::new("GET", "https://media.test/film".parse().unwrap())
}

/// How much a fetch has downloaded.
async fn downloaded(engine: &Engine, fetch: &BackgroundFetchRegistration) -> u64 {
    let jobs = engine.ui().jobs().await.unwrap();
    jobs.iter().find(|job| job.key == fetch.key()).unwrap().records[0].stored
}

#[track_caller]
fn assert_about(found: u64, expected: u64) {
    let range = expected * 95 / 100..=expected * 105 / 100;
    assert!(range.contains(&found), "{found} bytes instead of {expected}");
}

#[tokio::test(start_paused = true)]
async fn the_rate_of_all_and_of_one_fetch_change_while_they_run() {
    let engine = engine(Some(100_000));
    let (one, two) = (fetch(&engine, "one", get()).await, fetch(&engine, "two", get()).await);
    sleep(4 * SECOND).await;
    assert_about(downloaded(&engine, &one).await, 200_000);
    assert_about(downloaded(&engine, &two).await, 200_000);
    engine.ui().set_rate(one.key(), Some(10_000)).await.unwrap();
    sleep(4 * SECOND).await;
    assert_about(downloaded(&engine, &one).await, 240_000);
    assert_about(downloaded(&engine, &two).await, 560_000);
    engine.set_rate(None).await.unwrap();
    let now = Instant::now();
    assert_eq!(two.settled().await.unwrap(), Ok(()));
    assert!(now.elapsed() < SECOND);
    engine.ui().set_rate(one.key(), None).await.unwrap();
    assert_eq!(one.settled().await.unwrap(), Ok(()));
    assert!(now.elapsed() < SECOND);
    // A fetch that has ended has no rate any more, and one that does not exist never has.
    engine.ui().set_rate(one.key(), Some(1)).await.unwrap();
    assert!(engine.ui().set_rate(FetchKey(u64::MAX), Some(1)).await.is_err());
    engine.clone().kill().await;
    assert!(engine.set_rate(None).await.unwrap_err().is_closed());
    assert!(engine.ui().set_rate(one.key(), None).await.unwrap_err().is_closed());
    assert!(engine.set_limits(Limits::default()).await.unwrap_err().is_closed());
}

#[tokio::test(start_paused = true)]
async fn uploads_count_to_the_rate() {
    let engine = engine(Some(100_000));
    let began = Instant::now();
    let url = "https://media.test/photos".parse().unwrap();
    let photo = RequestInfo::new("POST", url).body(vec![1; 500_000]);
    let upload = fetch(&engine, "photos", photo).await;
    sleep(4 * SECOND).await;
    assert_eq!(downloaded(&engine, &upload).await, 0);
    assert_eq!(upload.settled().await.unwrap(), Ok(()));
    let seconds = began.elapsed().as_secs_f64();
    assert!((14.5..15.5).contains(&seconds), "{seconds} s for 1.5 MB");
}

#[tokio::test]
async fn higher_limits_start_what_waits_and_lower_ones_end_nothing() {
    let (origin, agent, gate) = (Origin::start(), Agent::start(), Gate::new());
    for path in ["/0", "/1", "/2", "/3"] {
        origin.serve(path, Resource::new(1, 1000).hold_at(10, &gate));
    }
    origin.serve("/last", Reply::status(200));
    let one = Limits::default().with(|it| it.per_host = 1);
    let engine =
        agent.open_with(agent.builder(ScriptedHost::new([Behaviour::NeverSettle])).limits(one));
    let manager = agent.manager(&engine).await;
    let urls = ["/0", "/1", "/2", "/3", "/last"].map(|path| origin.url(path));
    let fetch = manager.fetch("films", urls, FetchOptions::default()).await.unwrap();
    assert_eq!(origin.wait_for_requests(1).await.len(), 1, "the others wait");
    engine.set_limits(one.with(|it| it.per_host = 4)).await.unwrap();
    origin.wait_for_requests(4).await;
    engine.set_limits(one).await.unwrap();
    let in_flight = engine.ui().jobs().await.unwrap().remove(0).records;
    let in_flight: Vec<bool> = in_flight.iter().map(|record| record.in_flight).collect();
    assert_eq!(in_flight, [true, true, true, true, false]);
    gate.open();
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    assert_eq!(origin.requests().len(), 5, "none was repeated");
}
