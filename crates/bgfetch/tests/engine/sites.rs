//! What an embedder does with a site as a whole, and how it may change when workers are started.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bgfetch::embedder::BoxFuture;
use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{
    DispatchError, Engine, EventKind, FetchOptions, FunctionalEvent, StorageKey, What, WorkerHost,
};
use bgfetch_testkit::{Gate, MIB, Origin, Resource, Serve};

use crate::common::{Agent, registration_key, site, until};

async fn usages(engine: &Engine) -> Vec<(String, bool)> {
    let usages = engine.usages().await.unwrap().into_iter();
    usages.map(|(key, usage)| (key.0, usage.total > 0)).collect()
}

#[tokio::test]
async fn a_site_is_cleared_with_all_that_it_stored() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, MIB).hold_at(1000, &Gate::new()));
    let engine = agent.open(ScriptedHost::new([]));
    let other = StorageKey("https://other.test".into());
    engine.register(other.clone(), "https://other.test/".parse().unwrap()).await.unwrap();
    let mut observer = engine.observe().await.unwrap();
    let manager = agent.manager(&engine).await;
    manager.fetch("film", [origin.url("/film")], FetchOptions::default()).await.unwrap();
    until(&mut observer, |what| *what == What::Progress).await;
    let (this, that) = (site().0, other.0.clone());
    assert_eq!(usages(&engine).await, [(this, true), (that.clone(), false)]);

    engine.clear(site()).await.unwrap();
    until(&mut observer, |what| *what == What::Removed).await;
    assert_eq!(usages(&engine).await, [(that.clone(), false)]);
    assert!(agent.body_files().is_empty());
    agent.close(engine).await;
    let engine = agent.open(ScriptedHost::new([]));
    assert_eq!(usages(&engine).await, [(that, false)]);
}

#[tokio::test]
async fn a_revoked_permission_aborts_what_is_in_flight() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, MIB).hold_at(1000, &Gate::new()));
    let host = ScriptedHost::new([Behaviour::Succeed]);
    let mut events = host.events();
    let engine = agent.open(host);
    let mut observer = engine.observe().await.unwrap();
    // A page of the server itself.
    let page = engine.register(site(), origin.url("/")).await.unwrap();
    let manager = page.background_fetch();
    manager.fetch("film", [origin.url("/film")], FetchOptions::default()).await.unwrap();
    until(&mut observer, |what| *what == What::Progress).await;
    engine.revoke_permission(site()).await.unwrap();
    assert_eq!(events.next().await.kind, EventKind::Abort);
}

/// Starts no worker for a settling event unless the site has a client (spec issue 145).
struct OnlyWithClients {
    host: ScriptedHost,
    has_client: Arc<AtomicBool>,
}

impl WorkerHost for OnlyWithClients {
    fn dispatch(&self, event: FunctionalEvent) -> BoxFuture<'static, Result<(), DispatchError>> {
        if event.kind() == EventKind::Click || self.has_client.load(Ordering::Relaxed) {
            self.host.dispatch(event)
        } else {
            Box::pin(std::future::ready(Err(DispatchError::NotYet)))
        }
    }
}

#[tokio::test]
async fn events_can_wait_for_a_client() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 10));
    let has_client = Arc::new(AtomicBool::new(false));
    let host = ScriptedHost::new([Behaviour::Succeed]);
    let engine = agent.open(OnlyWithClients { host, has_client: Arc::clone(&has_client) });
    let mut observer = engine.observe().await.unwrap();
    let registration = agent.register(&engine).await;
    let manager = agent.manager(&engine).await;
    manager.fetch("film", [origin.url("/film")], FetchOptions::default()).await.unwrap();
    until(&mut observer, |what| matches!(what, What::EventNotHandled { .. })).await;
    has_client.store(true, Ordering::Relaxed);
    registration.deliver_pending().await.unwrap();
    until(&mut observer, |what| matches!(what, What::EventEnded { handled: true, .. })).await;
}

#[tokio::test]
async fn a_click_that_no_worker_handles_is_reported() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 10));
    let engine = agent.open(ScriptedHost::new([Behaviour::Succeed]));
    let mut observer = engine.observe().await.unwrap();
    let manager = agent.manager(&engine).await;
    let fetch = manager.fetch("film", [origin.url("/film")], FetchOptions::default());
    let fetch = fetch.await.unwrap();
    until(&mut observer, |what| matches!(what, What::EventEnded { .. })).await;
    engine.ui().click(fetch.key()).await.unwrap();
    until(&mut observer, |what| *what == What::ClickEnded { handled: true }).await;

    // The next process has no workers.
    agent.close(engine).await;
    let engine = agent.builder(bgfetch::embedder::Defaults).open().unwrap();
    let mut observer = engine.observe().await.unwrap();
    engine.ui().click(fetch.key()).await.unwrap();
    let event = until(&mut observer, |what| matches!(what, What::ClickEnded { .. })).await;
    assert_eq!(
        (event.what, event.registration),
        (What::ClickEnded { handled: false }, registration_key())
    );
}
