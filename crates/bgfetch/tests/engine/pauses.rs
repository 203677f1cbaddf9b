//! Offline, and pauses by the user: what stops, what resumes, and from where.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use bgfetch::embedder::{BoxFuture, Permissions};
use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{
    BackgroundFetchRegistration, CallError, Connectivity, Engine, EventKind, FailureReason,
    FetchOptions, HyperFetcher, PauseReason, Permission, PermissionRequest, Reachable, RequestInfo,
    Resolve, What,
};
use bgfetch_testkit::{Ending, Gate, MIB, Origin, Reply, Resource, Serve};

use crate::common::{Agent, bodies_of, offline, stored, until};

/// A fetch of a film of 3 MiB, of which 1 MiB is stored and the rest is held back once.
async fn half_way(
    origin: &Origin,
    agent: &Agent,
    engine: &Engine,
) -> (BackgroundFetchRegistration, Resource) {
    let film = Resource::new(1, 3 * MIB).etag("\"a\"");
    let held = film.clone().hold_at(MIB, &Gate::new());
    origin.serve("/film", held.then(film.clone()));
    let manager = agent.manager(engine).await;
    let url = origin.url("/film");
    let fetch = manager.fetch("film", [url], FetchOptions::default()).await;
    let fetch = fetch.unwrap();
    stored(&fetch, MIB).await;
    (fetch, film)
}

async fn abandoned(origin: &Origin) {
    origin.wait_until(|requests| requests[0].ended == Some(Ending::Abandoned)).await;
}

#[tokio::test]
async fn the_user_pauses_in_mid_body_and_goes_on_from_there() {
    let (origin, agent) = (Origin::start(), Agent::start());
    let engine = agent.open(ScriptedHost::new([Behaviour::NeverSettle]));
    let (fetch, film) = half_way(&origin, &agent, &engine).await;
    let ui = engine.ui();
    ui.pause(fetch.key()).await.unwrap();
    abandoned(&origin).await;
    let job = ui.jobs().await.unwrap().remove(0);
    assert_eq!(job.display.pause_reason, Some(PauseReason::User));
    assert!(!job.display.uses_bandwidth && job.display.pausable);

    ui.resume(fetch.key()).await.unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    assert_eq!(origin.requests()[1].range_start(), Some(MIB));
    assert!(bodies_of(&fetch).await == [film.bytes()]);
}

#[tokio::test]
async fn a_fetch_that_the_user_paused_is_still_paused_after_a_crash() {
    let (origin, agent) = (Origin::start(), Agent::start());
    let engine = agent.open(ScriptedHost::new([]));
    let (fetch, _) = half_way(&origin, &agent, &engine).await;
    engine.ui().pause(fetch.key()).await.unwrap();
    agent.crash(engine);

    let host = ScriptedHost::new([]);
    let mut events = host.events();
    let engine = agent.open(host);
    let job = engine.ui().jobs().await.unwrap().remove(0);
    assert_eq!(job.display.pause_reason, Some(PauseReason::User));
    assert_eq!(origin.requests().len(), 1);
    engine.ui().resume(job.key).await.unwrap();
    agent.register(&engine).await;
    assert_eq!(events.next().await.kind, EventKind::Success);
    assert_eq!(origin.requests()[1].range_start(), Some(MIB));
}

#[tokio::test]
async fn a_fetch_that_starts_offline_begins_when_the_network_is_there() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, MIB));
    agent.connectivity.set(offline());
    let engine = agent.open(ScriptedHost::new([]));
    let mut observer = engine.observe().await.unwrap();
    let manager = agent.manager(&engine).await;
    let url = origin.url("/film");
    let fetch = manager.fetch("film", [url], FetchOptions::default()).await;
    let paused = |what: &What| matches!(what, What::Paused(PauseReason::Offline));
    until(&mut observer, paused).await;
    assert!(origin.requests().is_empty());
    agent.connectivity.set(Connectivity::Online);
    until(&mut observer, |what| matches!(what, What::Resumed)).await;
    assert_eq!(fetch.unwrap().settled().await.unwrap(), Ok(()));
}

#[tokio::test]
async fn offline_in_between_pauses_without_failing() {
    let (origin, agent) = (Origin::start(), Agent::start());
    let engine = agent.open(ScriptedHost::new([Behaviour::NeverSettle]));
    let (fetch, film) = half_way(&origin, &agent, &engine).await;
    let mut observer = engine.observe().await.unwrap();
    agent.connectivity.set(offline());
    let paused = |what: &What| matches!(what, What::Paused(PauseReason::Offline));
    until(&mut observer, paused).await;
    abandoned(&origin).await;
    agent.connectivity.set(Connectivity::Online);
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    assert_eq!(origin.requests()[1].range_start(), Some(MIB));
    assert!(bodies_of(&fetch).await == [film.bytes()]);
}

/// Resolves one name to this machine, and another to an address without a route.
struct Names;

impl Resolve for Names {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let addresses = match host {
            "nas.test" => Ok(vec![Ipv4Addr::LOCALHOST.into()]),
            _ => Err(io::Error::other("no such name")),
        };
        Box::pin(std::future::ready(addresses))
    }
}

#[tokio::test]
async fn without_a_default_route_a_name_of_this_machine_is_reached_and_another_waits() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, MIB));
    let own = Reachable::default().with(|it| it.loopback = true);
    agent.connectivity.set(Connectivity::Offline(own));
    let fetcher = HyperFetcher::builder().resolver(Names).build().unwrap();
    let engine = agent.open_with(agent.builder(ScriptedHost::new([])).fetcher(fetcher));
    let mut observer = engine.observe().await.unwrap();
    let manager = agent.manager(&engine).await;
    let url = |host| {
        let mut url = origin.url("/film");
        url.set_host(Some(host)).unwrap();
        url
    };
    let near = manager.fetch("near", [url("nas.test")], FetchOptions::default()).await.unwrap();
    assert_eq!(near.settled().await.unwrap(), Ok(()));
    let far = manager.fetch("far", [url("far.test")], FetchOptions::default()).await.unwrap();
    let paused = |what: &What| matches!(what, What::Paused(PauseReason::Offline));
    until(&mut observer, paused).await;
    // Online, a name that does not resolve fails soon.
    agent.connectivity.set(Connectivity::Online);
    assert_eq!(far.settled().await.unwrap(), Err(FailureReason::FetchError));
}

#[tokio::test]
async fn abort_while_paused_or_offline_does_not_wait() {
    for by_user in [true, false] {
        let (origin, agent) = (Origin::start(), Agent::start());
        let host = ScriptedHost::new([]);
        let mut events = host.events();
        let engine = agent.open(host);
        let (fetch, _) = half_way(&origin, &agent, &engine).await;
        if by_user {
            engine.ui().pause(fetch.key()).await.unwrap();
        } else {
            agent.connectivity.set(offline());
        }
        abandoned(&origin).await;
        assert!(fetch.abort().await.unwrap());
        assert!(!fetch.abort().await.unwrap(), "true only once");
        let aborted = Err(FailureReason::Aborted);
        assert_eq!(fetch.settled().await.unwrap(), aborted);
        assert_eq!(events.next().await.kind, EventKind::Abort);
        assert_eq!(origin.requests().len(), 1);
    }
}

#[tokio::test]
async fn an_upload_in_flight_is_not_interrupted_by_offline_and_not_by_the_user() {
    let (origin, agent, gate) = (Origin::start(), Agent::start(), Gate::new());
    let photo = Resource::new(2, MIB);
    origin.serve("/photos", Reply::status(201).hold_upload_at(1, &gate));
    let engine = agent.open(ScriptedHost::new([]));
    let manager = agent.manager(&engine).await;
    let request = RequestInfo::new("POST", origin.url("/photos")).body(photo.bytes());
    let fetch = manager.fetch("photos", [request], FetchOptions::default()).await.unwrap();
    gate.reached().await;
    let refused = engine.ui().pause(fetch.key()).await.unwrap_err();
    assert_eq!(refused.call_error(), Some(CallError::NotPausable));
    agent.connectivity.set(offline());
    // When the engine answers a later call, it has processed the change.
    engine.ui().jobs().await.unwrap();
    gate.open();
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    let requests = origin.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].body.is(&photo));
}

#[tokio::test]
async fn a_fetch_that_the_user_has_not_accepted_waits() {
    struct Undecided;
    impl Permissions for Undecided {
        fn query(&self, _: &PermissionRequest) -> BoxFuture<'static, Permission> {
            Box::pin(std::future::ready(Permission::StartPaused))
        }
    }
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 10));
    let builder = agent.builder(ScriptedHost::new([])).permissions(Undecided);
    let engine = agent.open_with(builder);
    let manager = agent.manager(&engine).await;
    let url = origin.url("/film");
    let fetch = manager.fetch("film", [url], FetchOptions::default()).await;
    let fetch = fetch.unwrap();
    let job = engine.ui().jobs().await.unwrap().remove(0);
    assert_eq!(job.display.pause_reason, Some(PauseReason::User));
    assert!(origin.requests().is_empty());
    engine.ui().resume(fetch.key()).await.unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
}
