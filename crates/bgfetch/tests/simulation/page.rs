//! Pages: they come and go, call `fetch()`, and read bodies while they arrive.

use std::future::pending;
use std::time::Duration;

use bgfetch::{
    BackgroundFetchRecord, BackgroundFetchRegistration, CallError, Engine, FetchOptions, Principal,
    RecordResult, RequestInfo,
};
use bytes::Bytes;
use futures_util::stream::{self, FuturesUnordered, StreamExt as _};
use tokio::time::{sleep, timeout};

use super::network::RECORD;
use super::plan::{Call, Integrity, Line, Wanted};
use super::server::url_of;
use super::world::World;

/// Within this time, a site that has no connection gets one.
const STARTS: Duration = Duration::from_secs(3);

/// A page that is open for a while, or as long as the process. Unless it is prompt, it applies
/// updates late.
pub(crate) async fn live(
    world: World,
    engine: Engine,
    site: usize,
    prompt: bool,
    stays: Option<Duration>,
) {
    let storage_key = world.plan().sites[site].registration.storage_key.clone();
    let Ok(mut client) = engine.client(storage_key).await else { return };
    drop(engine);
    let name = {
        let mut state = world.state();
        state.pages += 1;
        format!("page {} of {site}", state.pages)
    };
    if prompt {
        world.state().prompt_pages[site].push(name.clone());
    }
    let live = async {
        while let Some(update) = client.next().await {
            // A prompt page may have several updates to apply within a second.
            sleep(world.time(if prompt { 60 } else { 3000 })).await;
            world.note(|oracle| oracle.updated(&name, &update));
        }
    };
    match stays {
        Some(stays) => drop(timeout(stays, live).await),
        None => live.await,
    }
    world.state().prompt_pages[site].retain(|page| *page != name);
    world.oracle().forget_viewer(&name);
}

/// A page calls `fetch()`.
pub(crate) async fn call(world: World, engine: Engine, call: Call) {
    let number = world.oracle().called(call.clone());
    let site = &world.plan().sites[call.site];
    let registration = engine.registration(site.registration.clone());
    let mut manager = registration.background_fetch();
    if site.for_user {
        manager = manager.acting_for(Principal::User);
    }
    let wanted = call.records.iter().enumerate();
    let requests: Vec<_> =
        wanted.map(|(index, wanted)| request(&world, &call, index, wanted)).collect();
    let options = FetchOptions::default().with(|it| it.download_total = call.download_total);
    world.state().open_calls += 1;
    let adopts = world.oracle().adopts(number);
    let fetching = manager.fetch(call.id.clone(), requests, options);
    let fetched = match call.patience {
        Some(patience) => timeout(patience, fetching).await.ok(),
        None => Some(fetching.await),
    };
    world.state().open_calls -= 1;
    world.trace(|| match &fetched {
        Some(Ok(_)) => format!("{} is registered", call.id),
        Some(Err(error)) => format!("{} is refused: {error}", call.id),
        None => format!("the page of {} is closed", call.id),
    });
    match fetched {
        Some(Ok(fetch)) => {
            world.learn(|oracle| oracle.exists(number, fetch.key()));
            let downloaded = fetch.downloaded();
            let adopts = world.oracle().still_held(&adopts);
            if downloaded < adopts && call.download_total == 0 {
                let adopted = format!("{} adopted {downloaded} of {adopts} bytes", call.id);
                world.violate(adopted);
            }
            world.spawn(starts(world.clone(), number));
            if call.gives_up {
                world.spawn(give_up(world.clone(), fetch.clone(), number));
            }
            if call.reads {
                world.spawn(read(world.clone(), fetch, call));
            }
        }
        Some(Err(error)) => {
            let refusals = [CallError::QuotaExceeded, CallError::NoActiveWorker];
            let refused = error.call_error();
            if refused.is_some_and(|refused| !refusals.contains(&refused)) {
                world.violate(format!("{} was refused: {error}", call.id));
            }
            world.learn(|oracle| oracle.refused(number, &error));
        }
        None => {}
    }
}

fn request(world: &World, call: &Call, index: usize, wanted: &Wanted) -> RequestInfo {
    let url = url_of(wanted, call.site);
    let request = match wanted {
        Wanted::Upload { .. } => RequestInfo::new("POST", url),
        Wanted::Download { .. } => RequestInfo::from(url),
    };
    let request = request.header(RECORD, &call.tag(world.plan(), index)).unwrap();
    match (wanted, wanted.body()) {
        (_, Some(body)) if body.len() % 2 == 0 => request.body(body),
        (_, Some(body)) => {
            let (world, body) = (world.clone(), Bytes::from(body));
            let next = |(world, mut body): (World, Bytes)| async move {
                if body.is_empty() {
                    return None;
                }
                sleep(world.time(20)).await;
                let piece = body.split_to(body.len().min(5000));
                Some((Ok(piece), (world, body)))
            };
            request.body_stream(stream::unfold((world, body), next))
        }
        (Wanted::Download { resource, integrity, range }, None) => match (integrity, range) {
            (_, Some((first, last))) => {
                request.header("range", &format!("bytes={first}-{last}")).unwrap()
            }
            (Integrity::None, None) => request,
            (Integrity::Right, None) => request.integrity(world.resources().integrity(*resource)),
            (Integrity::Wrong, None) => request.integrity(format!("sha256-{}=", "A".repeat(43))),
        },
        (Wanted::Upload { .. }, None) => request,
    }
}

/// A site that has no connection gets one, whatever others do.
async fn starts(world: World, number: usize) {
    let site = world.oracle().fetch(number).call.site;
    let partition = world.partition(site);
    let look = || {
        let state = world.state();
        let idle = state.in_flight[partition] == 0;
        (state.starts[partition], state.line_changes, idle && state.line == Line::Online)
    };
    let before = look();
    sleep(STARTS).await;
    let faults = world.plan().faults;
    let is_held_back = {
        let mut oracle = world.oracle();
        let fetch = oracle.fetch(number);
        fetch.paused.is_some() || fetch.abort_asked || fetch.may_be_gone || fetch.result.is_some()
    };
    if look() == before && before.2 && !is_held_back && !faults.disk {
        world.violate(format!("site {site} waits for others"));
    }
}

/// A page aborts its fetch when the first of the records fails.
async fn give_up(world: World, fetch: BackgroundFetchRegistration, number: usize) {
    let Ok(records) = fetch.records().await else { return };
    let failure = async |record: BackgroundFetchRecord| {
        if let Ok(mut response) = record.response_ready().await {
            while let Some(chunk) = response.body.chunk().await {
                if chunk.is_err() {
                    return;
                }
            }
            pending().await
        }
    };
    let mut failures: FuturesUnordered<_> = records.into_iter().map(failure).collect();
    if failures.next().await.is_some() {
        world.oracle().fetch(number).abort_asked = true;
        if fetch.abort().await.is_ok_and(|aborted| aborted) {
            world.learn(|oracle| oracle.aborted(number));
        }
    }
}

/// A page reads all bodies while they arrive.
async fn read(world: World, fetch: BackgroundFetchRegistration, call: Call) {
    let Ok(records) = fetch.records().await else { return };
    drop(fetch);
    for (record, wanted) in records.into_iter().zip(&call.records) {
        let Ok(mut response) = record.response_ready().await else { continue };
        let is_ok = (200..300).contains(&response.head.status);
        let mut read = Vec::new();
        let whole = loop {
            match response.body.chunk().await {
                Some(Ok(bytes)) => read.extend_from_slice(&bytes),
                Some(Err(_)) => break false,
                None => break record.result() == Some(RecordResult::Success),
            }
        };
        let right = !is_ok || world.find(wanted, &read, whole);
        world.trace(|| format!("a page read {} bytes of {}", read.len(), call.id));
        if !right {
            world.violate(format!("a page read what no server has sent of {}", call.id));
        }
    }
}
