//! How engines start and end.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bgfetch::embedder::WallClock;
use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{
    BackgroundFetchManager, BackgroundFetchRecord, BackgroundFetchRegistration, CallError, Client,
    DispatchError, Engine, EventKind, FetchOptions, Observer, Principal, RecordError, RequestInfo,
    ResponseBody, ServiceWorkerRegistration, Ui, UnixTime, WeakEngine, worker_fn,
};
use bgfetch_testkit::{Gate, MIB, Origin, Resource, Serve};
use bytes::Bytes;
use futures_util::{FutureExt, stream};
use tokio::runtime::Handle;

use crate::common::{Agent, bodies_of, records_of, site, stored};

#[test]
fn handles_are_send_sync_and_clone() {
    fn handle<T: Send + Sync + Clone>() {}
    fn sent<T: Send>(_: Option<T>) -> usize {
        size_of::<T>()
    }
    handle::<Engine>();
    handle::<ServiceWorkerRegistration>();
    handle::<BackgroundFetchManager>();
    handle::<BackgroundFetchRegistration>();
    handle::<BackgroundFetchRecord>();
    handle::<Ui>();
    assert!(sent::<Client>(None) > 0 && sent::<Observer>(None) > 0);
    assert!(sent::<ResponseBody>(None) > 0);
}

#[tokio::test]
async fn after_shutdown_every_call_fails_as_closed() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, MIB).stall_after(10));
    let engine = agent.open(ScriptedHost::new([]));
    let manager = agent.manager(&engine).await;
    let url = origin.url("/film");
    let fetch = manager.fetch("film", [url.clone()], FetchOptions::default());
    let fetch = fetch.await.unwrap();
    let mut page = engine.client(site()).await.unwrap();
    let mut observer = engine.observe().await.unwrap();
    let (ui, other) = (engine.ui(), engine.clone());
    engine.shutdown().await.unwrap();

    assert!(manager.get_ids().await.unwrap_err().is_closed());
    assert!(fetch.abort().await.unwrap_err().is_closed());
    assert!(fetch.settled().await.unwrap_err().is_closed());
    assert!(ui.jobs().await.unwrap_err().is_closed());
    let call = manager.fetch("b", [url], FetchOptions::default()).await;
    assert!(call.unwrap_err().is_closed());
    assert!(other.registrations().await.unwrap_err().is_closed());
    assert!(other.shutdown().await.unwrap_err().is_closed());
    while page.next().await.is_some() {}
    while observer.next().await.is_some() {}
}

#[tokio::test]
async fn calls_that_wait_end_with_the_engine() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, MIB).stall_after(10));
    for orderly in [true, false] {
        let engine = agent.open(ScriptedHost::new([]));
        let manager = agent.manager(&engine).await;
        let url = origin.url("/film");
        let id = format!("orderly: {orderly}");
        let fetch = manager.fetch(id, [url.clone()], FetchOptions::default());
        let fetch = fetch.await.unwrap();
        stored(&fetch, 10).await;
        let endless = stream::once(pending::<std::io::Result<Bytes>>());
        let request = RequestInfo::new("POST", url).body_stream(endless);
        let mut call = Box::pin(manager.fetch("endless", [request], FetchOptions::default()));
        let mut settled = Box::pin(fetch.settled());
        assert!((&mut call).now_or_never().is_none());
        assert!((&mut settled).now_or_never().is_none());
        let mut response = records_of(&fetch).await[0].response_ready().await.unwrap();
        response.body.chunk().await.unwrap().unwrap();
        if orderly {
            agent.close(engine).await;
        } else {
            agent.crash(engine);
        }
        assert!(call.await.unwrap_err().is_closed());
        assert!(settled.await.unwrap_err().is_closed());
        let cut = response.body.chunk().await.unwrap();
        assert!(matches!(cut, Err(RecordError::Aborted)), "{cut:?}");
    }
}

#[tokio::test]
async fn engines_do_not_know_of_each_other_but_share_no_directory() {
    let origin = Origin::start();
    origin.serve("/film", Resource::new(1, MIB));
    let (one, two) = (Agent::start(), Agent::start());
    let first = one.open(ScriptedHost::new([]));
    let second = two.open(ScriptedHost::new([]));
    for (agent, engine) in [(&one, &first), (&two, &second)] {
        let manager = agent.manager(engine).await;
        let url = origin.url("/film");
        let fetch = manager.fetch("film", [url], FetchOptions::default()).await;
        assert_eq!(fetch.unwrap().settled().await.unwrap(), Ok(()));
    }
    let refused = one.builder(ScriptedHost::new([])).open().unwrap_err();
    assert!(refused.store_error().unwrap().is_in_use(), "{refused}");
    one.crash(first);
    one.open(ScriptedHost::new([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_runs_on_the_embedders_runtime_as_on_its_own_thread() {
    let (origin, agent) = (Origin::start(), Agent::start());
    let film = Resource::new(1, 3 * MIB);
    origin.serve("/film", film.clone());
    for embedders in [true, false] {
        let mut builder = agent.builder(ScriptedHost::new([Behaviour::NeverSettle]));
        if embedders {
            builder = builder.runtime(Handle::current());
        }
        let engine = agent.open_with(builder);
        let manager = agent.manager(&engine).await;
        let url = origin.url("/film");
        let id = format!("embedder's: {embedders}");
        let fetch = manager.fetch(id, [url], FetchOptions::default()).await;
        let fetch = fetch.unwrap();
        assert_eq!(fetch.settled().await.unwrap(), Ok(()));
        assert!(bodies_of(&fetch).await == [film.bytes()]);
        // The store can be opened again at once.
        agent.close(engine).await;
    }
}

#[tokio::test]
async fn the_end_of_an_engine_is_told_with_its_reason() {
    let agent = Agent::start();
    let host = || ScriptedHost::new([]);
    let engine = agent.builder(host()).open().unwrap();
    let stopped = tokio::spawn(engine.stopped());
    engine.shutdown().await.unwrap();
    assert!(stopped.await.unwrap().is_ok());

    // The future does not keep it alive, and its store is free.
    let engine = agent.builder(host()).open().unwrap();
    let stopped = engine.stopped();
    drop(engine);
    assert!(stopped.await.is_ok());

    let broken = Arc::new(AtomicBool::new(false));
    let engine = agent.builder(host()).wall_clock(Clock(Arc::clone(&broken))).open().unwrap();
    let ui = engine.ui();
    assert!(ui.jobs().await.unwrap().is_empty());
    broken.store(true, Ordering::Relaxed);
    let _register = engine.register(site(), "https://app.test/".parse().unwrap()).await;
    let reason = engine.stopped().await.unwrap_err();
    assert!(reason.is_closed() && reason.code() == "stopped");
    assert_eq!(reason.to_string(), "the background fetch engine stopped: it panicked");
    assert_eq!(ui.jobs().await.unwrap_err().to_string(), reason.to_string());
    drop(engine);
    agent.builder(host()).open().unwrap();
}

/// Panics when it is broken.
struct Clock(Arc<AtomicBool>);

impl WallClock for Clock {
    fn now(&self) -> UnixTime {
        assert!(!self.0.load(Ordering::Relaxed), "the clock is broken");
        UnixTime(0)
    }
}

#[tokio::test]
async fn a_host_reads_the_fetch_of_its_event_and_does_not_keep_the_engine() {
    let (origin, agent) = (Origin::start(), Agent::start());
    let film = Resource::new(1, 5000);
    origin.serve("/film", film.clone());
    let (sender, mut read) = tokio::sync::mpsc::unbounded_channel();
    let weak = Arc::new(Mutex::new(None));
    let known = Arc::clone(&weak);
    let builder = agent.builder(ScriptedHost::new([])).worker_host_with(move |engine| {
        *known.lock().unwrap() = Some(engine.clone());
        ScriptedHost::new([Behaviour::run(move |event| {
            let (engine, sender) = (engine.clone(), sender.clone());
            async move {
                let fetch = engine.background_fetch(&event).await.unwrap();
                sender.send(bodies_of(&fetch).await).unwrap();
                Ok(())
            }
        })])
    });
    let engine = builder.open().unwrap();
    let manager = agent.manager(&engine).await;
    manager.fetch("film", [origin.url("/film")], FetchOptions::default()).await.unwrap();
    assert!(read.recv().await.unwrap() == [film.bytes()]);
    let weak: WeakEngine = weak.lock().unwrap().take().unwrap();
    assert!(weak.upgrade().is_some_and(|engine| !engine.is_closed()));
    let again = engine.downgrade();
    drop(engine);
    assert!(weak.upgrade().is_none() && again.upgrade().is_none());
}

#[test]
fn the_end_of_the_embedders_runtime_is_the_end_of_the_engine() {
    let agent = Agent::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let builder = agent.builder(ScriptedHost::new([]));
    let engine = builder.runtime(runtime.handle().clone()).open().unwrap();
    let ui = engine.ui();
    assert!(runtime.block_on(ui.jobs()).unwrap().is_empty());
    drop(runtime);
    let another = tokio::runtime::Runtime::new().unwrap();
    assert!(another.block_on(ui.jobs()).unwrap_err().is_closed());
    agent.open(ScriptedHost::new([]));
}

#[tokio::test]
async fn a_private_engine_keeps_nothing_on_disk_by_name() {
    let origin = Origin::start();
    let film = Resource::new(1, MIB);
    origin.serve("/film", film.clone());
    let host = ScriptedHost::new([Behaviour::NeverSettle]);
    let engine = Engine::builder().ephemeral().worker_host(host).open().unwrap();
    let agent = Agent::start();
    let manager = agent.manager(&engine).await;
    let url = origin.url("/film");
    let fetch = manager.fetch("film", [url], FetchOptions::default()).await;
    let fetch = fetch.unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    assert!(bodies_of(&fetch).await == [film.bytes()]);
    engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn unregistering_deletes_every_byte_and_fires_nothing() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, MIB).hold_at(1000, &Gate::new()));
    let host = ScriptedHost::new([]);
    let engine = agent.open(host.clone());
    let registration = agent.register(&engine).await;
    let manager = registration.background_fetch().acting_for(Principal::User);
    let photo = RequestInfo::new("POST", origin.url("/film")).body("photo");
    let requests = [origin.url("/film").into(), photo];
    let fetch = manager.fetch("film", requests, FetchOptions::default()).await;
    let fetch = fetch.unwrap();
    stored(&fetch, 1000).await;
    let record = records_of(&fetch).await.remove(0);
    let settled = tokio::spawn({
        let fetch = fetch.clone();
        async move { fetch.settled().await }
    });
    registration.unregister().await.unwrap();

    let gone = settled.await.unwrap().unwrap_err();
    assert_eq!(gone.call_error(), Some(CallError::NotFound));
    let gone = record.response_ready().await;
    assert!(matches!(gone, Err(RecordError::Aborted)), "{gone:?}");
    assert!(!fetch.abort().await.unwrap());
    assert!(engine.ui().jobs().await.unwrap().is_empty());
    assert!(engine.registrations().await.unwrap().is_empty());
    let refused = manager.fetch("film", [origin.url("/film")], FetchOptions::default());
    let refused = refused.await.unwrap_err().call_error();
    assert_eq!(refused, Some(CallError::NoActiveWorker));
    agent.close(engine).await;
    assert!(host.received().is_empty());
    assert!(agent.body_files().is_empty(), "{:?}", agent.body_files());
}

/// If the last handle of an engine is dropped by the engine's own task or by a blocking task of its
/// runtime, it must not wait for itself.
#[tokio::test]
async fn a_worker_may_drop_the_last_engine() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 10));
    for blocking in [true, false] {
        let last = Arc::new(Mutex::new(None::<Engine>));
        let held = Arc::clone(&last);
        let (tell, mut dropped) = tokio::sync::mpsc::unbounded_channel();
        let host = ScriptedHost::new([Behaviour::run(move |_| {
            let (last, tell) = (held.lock().unwrap().take(), tell.clone());
            let drop_it = move || {
                drop(last);
                tell.send(()).unwrap();
            };
            async move {
                if blocking {
                    tokio::task::spawn_blocking(drop_it).await.unwrap();
                } else {
                    drop_it();
                }
                pending().await
            }
        })]);
        let engine = agent.builder(host.clone()).open().unwrap();
        let manager = agent.manager(&engine).await;
        let (_, hold) = manager
            .fetch_held("film", [origin.url("/film")], FetchOptions::default())
            .await
            .unwrap();
        *last.lock().unwrap() = Some(engine);
        drop(hold);
        assert_eq!(host.events().next().await.kind, EventKind::Success);
        dropped.recv().await.unwrap();
        // Answered with an error once the engine is gone.
        while manager.get_ids().await.is_ok() {}
        let engine = agent.open(ScriptedHost::new([]));
        let registration = agent.register(&engine).await;
        registration.unregister().await.unwrap();
        agent.close(engine).await;
    }
}

/// What a worker said before `shutdown()` counts, although the task that waits for it runs later.
#[tokio::test]
async fn an_event_that_ended_before_the_engine_is_not_fired_again() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 10));
    let builder = agent.builder(ScriptedHost::new([])).worker_host_with(|engine| {
        worker_fn(move |event| {
            let engine = engine.upgrade().unwrap();
            async move {
                // This is the task that waits.
                event.end_dispatch();
                assert!(engine.shutdown().now_or_never().is_none());
                pending::<Result<(), DispatchError>>().await
            }
        })
    });
    let engine = builder.open().unwrap();
    let manager = agent.manager(&engine).await;
    let url = origin.url("/film");
    manager.fetch("film", [url], FetchOptions::default()).await.unwrap();
    engine.stopped().await.unwrap();
    drop(engine);

    let engine = agent.open(ScriptedHost::new([]));
    let jobs = engine.ui().jobs().await.unwrap();
    assert!(jobs[0].records.is_empty(), "the event is still to be fired: {jobs:?}");
    agent.close(engine).await;
}
