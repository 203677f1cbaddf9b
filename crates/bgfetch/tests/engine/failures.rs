//! Failing parts: the store, and the embedder's parts.

use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{EventKind, FailureReason, FetchOptions};
use bgfetch_testkit::{Gate, MIB, Origin, Resource, Serve};

use crate::common::{Agent, Network, record_bodies, stored};
use crate::mortal::{Fate, Moment, Mortal};

#[tokio::test]
async fn a_commit_that_fails_stops_the_engine_with_its_reason_and_loses_nothing() {
    let (origin, agent, gate) = (Origin::start(), Agent::start(), Gate::new());
    let film = Resource::new(1, 2 * MIB).etag("\"a\"");
    origin.serve("/film", film.clone().hold_at(MIB, &gate).then(film.clone()));
    // The commits are those of the registration, the fetch and its first head; the fourth fails.
    let fate = Fate::new(Moment::BeforeCommit(3));
    let store = Mortal::open(agent.path(), &fate);
    let engine = agent.open_with(agent.builder(ScriptedHost::new([])).store(store));
    let mut observer = engine.observe().await.unwrap();
    let manager = agent.manager(&engine).await;
    let url = origin.url("/film");
    let fetch = manager.fetch("film", [url], FetchOptions::default()).await;
    let fetch = fetch.unwrap();
    stored(&fetch, MIB).await;
    gate.open();

    let error = fetch.settled().await.unwrap_err();
    assert!(error.is_closed());
    assert!(error.to_string().contains("the disk is full"), "{error}");
    let error = manager.get_ids().await.unwrap_err();
    assert!(error.is_closed());
    while observer.next().await.is_some() {}
    let error = engine.shutdown().await.unwrap_err();
    assert!(error.to_string().contains("the disk is full"), "{error}");

    let host = ScriptedHost::new([record_bodies(&agent)]);
    let mut events = host.events();
    let engine = agent.open(host);
    agent.register(&engine).await;
    assert_eq!(events.next().await.kind, EventKind::Success);
    assert!(agent.bodies().await == [film.bytes()]);
    assert_eq!(origin.requests().len(), 1, "every byte was there");
    engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_fetcher_that_panics_fails_the_record() {
    let agent = Agent::start();
    let host = ScriptedHost::new([Behaviour::Succeed]);
    let mut events = host.events();
    let network = Network(|_| async { panic!("the network stack is broken") });
    let builder = agent.builder(host).fetcher(network);
    let engine = agent.open_with(builder.configure(|config| {
        config.retry.interrupted.retries = 1;
    }));
    let manager = agent.manager(&engine).await;
    let urls = ["https://app.test/film"];
    let fetch = manager.fetch("film", urls, FetchOptions::default()).await;
    let failed = Err(FailureReason::FetchError);
    assert_eq!(fetch.unwrap().settled().await.unwrap(), failed);
    assert_eq!(events.next().await.kind, EventKind::Fail);
}
