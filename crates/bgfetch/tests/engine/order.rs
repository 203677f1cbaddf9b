//! D18: the order of notifications.

use std::time::Duration;

use bgfetch::mock::ScriptedHost;
use bgfetch::{Builder, Client, ClientUpdate, EventKind, FailureReason, FetchOptions, What};
use bgfetch_testkit::{MIB, Origin, Resource, Serve};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::common::{Agent, Network, ok, records_of, site, until};

const HOUR: Duration = Duration::from_secs(3600);

/// An engine in which a client that never acknowledges would be noticed.
fn patient(builder: Builder) -> Builder {
    builder.configure(|config| config.clients_apply_within = HOUR)
}

async fn settling_update(client: &mut Client) -> ClientUpdate {
    loop {
        let update = client.next().await.unwrap();
        if update.update.result.is_some() {
            return update;
        }
    }
}

#[tokio::test]
async fn the_worker_hears_nothing_before_the_page_applied_the_result() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, MIB));
    let host = ScriptedHost::new([]);
    let mut events = host.events();
    let engine = agent.open_with(patient(agent.builder(host.clone())));
    let mut page = engine.client(site()).await.unwrap();
    let manager = agent.manager(&engine).await;
    let url = origin.url("/film");
    let fetch = manager.fetch("film", [url], FetchOptions::default()).await;
    let fetch = fetch.unwrap();

    let update = settling_update(&mut page).await;
    // When the engine answers a later call, it has done everything it was about to do.
    engine.ui().jobs().await.unwrap();
    assert!(host.received().is_empty());
    assert!(fetch.apply(&update), "the page fires `progress`");
    assert_eq!((fetch.result(), fetch.downloaded()), (Some(Ok(())), MIB));
    assert!(!fetch.apply(&update), "nothing is told after the result");

    // Asking for the next update acknowledges this one.
    let (next, event) = tokio::join!(page.next(), events.next());
    assert_eq!(event.kind, EventKind::Success);
    let last = next.unwrap();
    assert!(!last.update.records_available);
    assert!(!fetch.apply(&last) && !fetch.records_available());
}

#[tokio::test]
async fn a_page_that_goes_away_with_the_result_unapplied_holds_nothing_up() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 10));
    for taken in [true, false] {
        let host = ScriptedHost::new([]);
        let mut events = host.events();
        let engine = agent.open_with(patient(agent.builder(host)));
        let mut page = engine.client(site()).await.unwrap();
        let mut observer = engine.observe().await.unwrap();
        let manager = agent.manager(&engine).await;
        let url = origin.url("/film");
        let fetch = manager.fetch("film", [url], FetchOptions::default());
        fetch.await.unwrap();
        until(&mut observer, |what| matches!(what, What::Settled(_))).await;
        let held = match taken {
            true => Some(settling_update(&mut page).await),
            false => None,
        };
        drop(page);
        assert_eq!(events.next().await.kind, EventKind::Success);
        drop(held);
        engine.shutdown().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_hangs_delays_the_worker_by_one_second() {
    let agent = Agent::start();
    let host = ScriptedHost::new([]);
    let mut events = host.events();
    let network = Network(|request| async move { Ok(ok(&request, "film")) });
    let builder = agent.builder(host).runtime(Handle::current());
    let engine = agent.open_with(builder.fetcher(network));
    let _page = engine.client(site()).await.unwrap();
    let mut observer = engine.observe().await.unwrap();
    let manager = agent.manager(&engine).await;
    let urls = ["https://app.test/film"];
    let fetch = manager.fetch("film", urls, FetchOptions::default()).await;
    until(&mut observer, |what| matches!(what, What::Settled(_))).await;
    let settled = Instant::now();
    events.next().await;
    // Virtual time, which only this wait advances; tokio's timers are exact to 1 ms.
    let waited = settled.elapsed();
    assert_eq!(waited.as_millis() / 10, 100, "{waited:?}");
    drop(fetch);
    engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn records_can_be_matched_before_anything_fails() {
    let agent = Agent::start();
    let engine = agent.open(ScriptedHost::new([]));
    let manager = agent.manager(&engine).await;
    // Fails without any network: the scheme is checked by the record.
    let urls = ["files://app.test/film"];
    let (fetch, hold) = manager.fetch_held("film", urls, FetchOptions::default()).await.unwrap();
    let records = records_of(&fetch).await;
    assert_eq!((records.len(), records[0].result()), (1, None));
    assert_eq!(manager.get_ids().await.unwrap(), ["film"]);
    drop(hold);
    let failed = Err(FailureReason::FetchError);
    assert_eq!(fetch.settled().await.unwrap(), failed);
    assert!(records[0].response_ready().await.is_err());
}

#[tokio::test]
async fn progress_only_grows_and_is_exact_in_the_end() {
    let (origin, agent) = (Origin::start(), Agent::start());
    let film = Resource::new(1, 4 * MIB).etag("\"a\"");
    origin.serve("/film", film.clone().cut_after(MIB + 5).then(film));
    let builder = agent.builder(ScriptedHost::new([]));
    let engine = agent.open_with(builder.configure(|config| {
        config.progress_interval = Duration::ZERO;
    }));
    let mut page = engine.client(site()).await.unwrap();
    let manager = agent.manager(&engine).await;
    let url = origin.url("/film");
    let fetch = manager.fetch("film", [url], FetchOptions::default()).await;
    fetch.unwrap();
    let mut downloaded = Vec::new();
    loop {
        let update = page.next().await.unwrap().update;
        downloaded.push(update.downloaded);
        if update.result.is_some() {
            break;
        }
    }
    assert!(downloaded.is_sorted(), "{downloaded:?}");
    assert_eq!(downloaded.last(), Some(&(4 * MIB)));
}
