//! D5, D22, D23: the worker gets its event at least once, and the records wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bgfetch::embedder::WallClock;
use bgfetch::mock::{Behaviour, Received, ScriptedHost};
use bgfetch::{
    CallError, DomException, Engine, EventKind, FetchOptions, NotActive, NotHandledReason,
    Principal, RecordError, Redelivery, RegistrationKey, UiUpdate, UnixTime, UpdateUiError, What,
};
use bgfetch_testkit::{MIB, Origin, Reply, Resource, Serve};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::common::{Agent, Network, ok, record_bodies, records_of, site, until};

/// A fetch of one film whose events the worker handles according to `script`. Returns the attempts
/// after delivery was over.
async fn deliver(script: impl IntoIterator<Item = Behaviour>) -> Vec<Received> {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 10));
    let host = ScriptedHost::new(script);
    let builder = agent.builder(host.clone());
    let engine = agent.open_with(builder.configure(|config| config.delivery.max_attempts = 3));
    let mut observer = engine.observe().await.unwrap();
    let manager = agent.manager(&engine).await;
    let url = origin.url("/film");
    let fetch = manager.fetch("film", [url], FetchOptions::default()).await;
    fetch.unwrap();
    until(&mut observer, |what| matches!(what, What::EventEnded { .. })).await;
    engine.shutdown().await.unwrap();
    host.received()
}

fn ran(received: &[Received]) -> Vec<bool> {
    let success = |event: &&Received| event.kind == EventKind::Success && event.id == "film";
    assert_eq!(received.iter().filter(success).count(), received.len());
    received.iter().map(|event| event.listeners_ran).collect()
}

#[tokio::test]
async fn an_event_that_no_worker_handled_is_fired_again() {
    for (behaviour, listeners_ran) in [
        (Behaviour::FailToStart, false),
        (Behaviour::CrashBeforeListeners, false),
        (Behaviour::CrashAfterListeners, true),
        (Behaviour::run(|_| async { panic!("a worker written in Rust") }), true),
    ] {
        let script = [behaviour.clone(), Behaviour::Succeed];
        let received = deliver(script).await;
        assert_eq!(ran(&received), [listeners_ran, true], "{behaviour:?}");
    }
}

#[tokio::test]
async fn a_handler_that_threw_or_rejected_has_handled_the_event() {
    for behaviour in [Behaviour::Throw, Behaviour::Reject] {
        assert_eq!(ran(&deliver([behaviour]).await), [true]);
    }
}

#[tokio::test]
async fn delivery_is_given_up_after_so_many_attempts() {
    assert_eq!(ran(&deliver([Behaviour::FailToStart]).await), [false; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_hangs_is_given_up_and_gets_the_event_again() {
    let agent = Agent::start();
    let host =
        ScriptedHost::new([Behaviour::NeverStart, Behaviour::NeverSettle, Behaviour::Succeed]);
    let network = Network(|request| async move { Ok(ok(&request, "film")) });
    let builder = agent.builder(host.clone()).runtime(Handle::current());
    let engine = agent.open_with(builder.fetcher(network));
    let mut observer = engine.observe().await.unwrap();
    let manager = agent.manager(&engine).await;
    let urls = ["https://app.test/film"];
    let fetch = manager.fetch("film", urls, FetchOptions::default()).await;
    until(&mut observer, |what| matches!(what, What::EventEnded { .. })).await;
    assert_eq!(ran(&host.received()), [false, true, true]);
    drop(fetch);
    engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_event_that_a_crash_cut_short_comes_again_with_its_records() {
    let (origin, agent) = (Origin::start(), Agent::start());
    let film = Resource::new(1, MIB);
    origin.serve("/film", film.clone());
    let host = ScriptedHost::new([Behaviour::NeverSettle]);
    let mut events = host.events();
    let engine = agent.open(host);
    let manager = agent.manager(&engine).await;
    let url = origin.url("/film");
    let fetch = manager.fetch("film", [url], FetchOptions::default()).await;
    fetch.unwrap();
    let first = events.next().await;
    agent.crash(engine);

    let host = ScriptedHost::new([record_bodies(&agent)]);
    let mut events = host.events();
    let engine = agent.open(host);
    agent.register(&engine).await;
    let second = events.next().await;
    assert_eq!((second.kind, second.fetch), (first.kind, first.fetch));
    assert!(agent.bodies().await == [film.bytes()]);
    assert_eq!(origin.requests().len(), 1, "nothing is fetched again");
    engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn events_wait_for_an_engine_that_has_workers() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 10));
    let engine = Engine::builder().directory(agent.path()).open().unwrap();
    let manager = agent.manager(&engine).await;
    let url = origin.url("/film");
    let fetch = manager.fetch("film", [url], FetchOptions::default()).await;
    assert_eq!(fetch.unwrap().settled().await.unwrap(), Ok(()));
    engine.shutdown().await.unwrap();

    let host = ScriptedHost::new([]);
    let mut events = host.events();
    let engine = agent.open(host.clone());
    // The registration is only in the store so far, so its worker cannot be started.
    let jobs = engine.ui().jobs().await.unwrap();
    assert!(jobs[0].display.dismissible && !jobs[0].display.over);
    assert!(host.received().is_empty());
    agent.register(&engine).await;
    assert_eq!(events.next().await.kind, EventKind::Success);
    engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_host_that_says_not_yet_is_asked_again_when_somebody_says_so() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 10));
    let host = ScriptedHost::new([Behaviour::NotYet, Behaviour::Absent, Behaviour::Reject]);
    let engine = agent.open(host);
    let mut observer = engine.observe().await.unwrap();
    let registration = agent.register(&engine).await;
    let manager = registration.background_fetch().acting_for(Principal::User);
    manager.fetch("film", [origin.url("/film")], FetchOptions::default()).await.unwrap();
    let mut told = Vec::new();
    for asked in 0..3 {
        if asked > 0 {
            registration.deliver_pending().await.unwrap();
        }
        let about_the_event = |what: &What| match what {
            What::EventNotHandled { .. } | What::EventEnded { .. } => true,
            What::EventFired { kind, attempt } => {
                assert_eq!((*kind, *attempt), (EventKind::Success, 1), "nothing was tried yet");
                false
            }
            _ => false,
        };
        told.push(until(&mut observer, about_the_event).await.what);
    }
    let next = Redelivery::WhenAsked;
    let [
        What::EventNotHandled { reason: NotHandledReason::NotYet, next: first },
        What::EventNotHandled { reason: NotHandledReason::NoActiveWorker, next: second },
        What::EventEnded { handled: true, rejection: Some(rejection) },
    ] = told.as_slice()
    else {
        panic!("{told:?}");
    };
    assert_eq!((*first, *second), (next, next));
    assert_eq!(rejection.to_string(), "scripted");
    engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn held_events_wait_for_deliver_pending_or_the_word_that_the_worker_is_there() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 10));
    let host = ScriptedHost::new([]);
    let engine = agent.open_with(agent.builder(host.clone()).hold_events());
    let mut observer = engine.observe().await.unwrap();
    let registration = agent.register(&engine).await;
    let manager = registration.background_fetch().acting_for(Principal::User);
    for (id, by_worker) in [("one", false), ("two", true)] {
        let fetch = manager.fetch(id, [origin.url("/film")], FetchOptions::default()).await;
        let fetch = fetch.unwrap();
        let held = |what: &What| matches!(what, What::EventNotHandled { .. });
        until(&mut observer, held).await;
        assert!(fetch.records_available());
        if by_worker {
            registration.set_active_worker(true).await.unwrap();
        } else {
            registration.deliver_pending().await.unwrap();
        }
        let ended = |what: &What| matches!(what, What::EventEnded { handled: true, .. });
        assert_eq!(&*until(&mut observer, ended).await.id, id);
    }
    assert_eq!(host.received().len(), 2);
    let stranger = agent.path().join("nobody");
    let scope = url::Url::from_directory_path(stranger).unwrap();
    let stranger = engine.registration(RegistrationKey { storage_key: site(), scope });
    let refused = stranger.deliver_pending().await.unwrap_err();
    assert_eq!(refused.call_error(), Some(CallError::NoActiveWorker));
    engine.shutdown().await.unwrap();
}

/// A wall clock that tests set.
#[derive(Clone, Default)]
struct SetClock(Arc<AtomicU64>);

impl WallClock for SetClock {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::Relaxed))
    }
}

#[tokio::test]
async fn a_download_outlasts_fifty_openings_without_a_host_and_a_month() {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let (origin, agent, clock) = (Origin::start(), Agent::start(), SetClock::default());
    let film = Resource::new(1, MIB);
    origin.serve("/film", film.clone());
    let open = || {
        let builder = Engine::builder().directory(agent.path()).wall_clock(clock.clone());
        builder.configure(|config| config.delivery.base_delay = Duration::ZERO).open().unwrap()
    };
    let engine = open();
    let manager = agent.manager(&engine).await;
    let fetch = manager.fetch("film", [origin.url("/film")], FetchOptions::default()).await;
    assert_eq!(fetch.unwrap().settled().await.unwrap(), Ok(()));
    engine.shutdown().await.unwrap();
    for _ in 0..50 {
        clock.0.fetch_add(DAY, Ordering::Relaxed);
        let engine = open();
        agent.register(&engine).await;
        engine.shutdown().await.unwrap();
    }

    let host = ScriptedHost::new([record_bodies(&agent)]);
    let engine = agent.open_with(agent.builder(host).wall_clock(clock.clone()));
    agent.register(&engine).await;
    assert!(agent.bodies().await == [film.bytes()]);
    engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn records_are_readable_until_the_event_ended_and_open_readers_keep_their_bytes() {
    let (origin, agent) = (Origin::start(), Agent::start());
    let film = Resource::new(1, MIB);
    origin.serve("/film", film.clone());
    let gate = watch::Sender::new(false);
    let closed = gate.clone();
    let host = ScriptedHost::new([Behaviour::run(move |_| {
        let mut gate = closed.subscribe();
        async move {
            gate.wait_for(|open| *open).await.unwrap();
            Ok(())
        }
    })]);
    let engine = agent.open(host);
    let mut observer = engine.observe().await.unwrap();
    let manager = agent.manager(&engine).await;
    let url = origin.url("/film");
    let fetch = manager.fetch("film", [url], FetchOptions::default()).await;
    let fetch = fetch.unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    let record = records_of(&fetch).await.remove(0);
    let response = record.response_ready().await.unwrap();
    assert_eq!(agent.body_files().len(), 1);

    gate.send_replace(true);
    until(&mut observer, |what| matches!(what, What::EventEnded { .. })).await;
    let refused = fetch.records().await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.dom_exception(), DomException::InvalidStateError);
    assert!(agent.body_files().is_empty());
    let late = record.response_ready().await;
    assert!(matches!(late, Err(RecordError::Aborted)), "{late:?}");
    assert!(agent.body_files().is_empty(), "looking leaves nothing behind");
    assert!(response.body.bytes().await.unwrap() == film.bytes());
}

#[tokio::test]
async fn held_records_are_adopted_by_the_next_fetch_of_the_user() {
    let (origin, agent) = (Origin::start(), Agent::start());
    let (film, song) = (Resource::new(1, MIB), Resource::new(2, MIB).etag("\"song\""));
    origin.serve("/film", film.clone());
    origin.serve("/song", song.clone().cut_after(1000).then(Reply::status(404)));
    let reads = agent.clone();
    let hold = Behaviour::run(move |event| {
        let agent = reads.clone();
        async move {
            let fetch = agent.fetch(event.fetch()).await.unwrap();
            if fetch.result() != Some(Ok(())) {
                fetch.hold_records().await.unwrap();
            }
            Ok(())
        }
    });
    let urls = ["/film", "/song"].map(|path| origin.url(path));
    let engine = agent.open(ScriptedHost::new([hold.clone()]));
    let mut observer = engine.observe().await.unwrap();
    let manager = agent.manager(&engine).await;
    let first = manager.fetch("all", urls.clone(), FetchOptions::default()).await.unwrap();
    until(&mut observer, |what| matches!(what, What::EventEnded { .. })).await;
    let refused = first.records().await.unwrap_err();
    assert_eq!(refused.dom_exception(), DomException::InvalidStateError);
    agent.close(engine).await;

    origin.serve("/song", song.clone());
    let (before, gate) = (origin.requests().len(), watch::Sender::new(None));
    let (reads, read) = (agent.clone(), gate.clone());
    let host = ScriptedHost::new([Behaviour::run(move |event| {
        let (agent, read) = (reads.clone(), read.clone());
        async move {
            read.send_replace(agent.read(event.fetch()).await);
            Ok(())
        }
    })]);
    let engine = agent.open(host);
    let manager = agent.manager(&engine).await;
    let second = manager.fetch("all", urls, FetchOptions::default()).await.unwrap();
    assert_eq!(second.settled().await.unwrap(), Ok(()));
    let mut bodies = gate.subscribe();
    let bodies = bodies.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    assert!(bodies == [film.bytes(), song.bytes()]);
    let asked = &origin.requests()[before..];
    assert_eq!(asked.len(), 1, "the film was whole");
    assert_eq!(asked[0].range_start(), Some(1000));
    engine.shutdown().await.unwrap();
}

fn title(title: &str) -> UiUpdate {
    UiUpdate::default().with(|it| it.title = Some(title.into()))
}

/// The results of the calls to `updateUI()`, and the title after a restart.
async fn update_ui(behaviour: Behaviour) -> (Vec<Result<(), UpdateUiError>>, String) {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 10));
    let host = ScriptedHost::new([behaviour.clone()]);
    let engine = agent.open(host.clone());
    let mut observer = engine.observe().await.unwrap();
    let manager = agent.manager(&engine).await;
    let url = origin.url("/film");
    let options = FetchOptions::default().with(|it| it.title = "before".into());
    manager.fetch("film", [url], options).await.unwrap();
    until(&mut observer, |what| matches!(what, What::EventEnded { .. })).await;
    let calls = match behaviour {
        Behaviour::UpdateUiTwice(_) => 2,
        _ => 1,
    };
    let received = host.until(|received| received[0].update_ui_results.len() == calls).await;
    engine.shutdown().await.unwrap();
    let engine = agent.open(ScriptedHost::new([]));
    let job = engine.ui().jobs().await.unwrap().remove(0);
    (received[0].update_ui_results.clone(), job.display.title)
}

#[tokio::test]
async fn update_ui_is_allowed_once_while_the_event_is_active_and_its_title_stays() {
    let (results, shown) = update_ui(Behaviour::UpdateUi(title("after"))).await;
    assert_eq!((results, shown.as_str()), (vec![Ok(())], "after"));

    let (results, shown) = update_ui(Behaviour::UpdateUiTwice(title("after"))).await;
    let repeated = Err(UpdateUiError::AlreadyUpdated);
    assert_eq!((results, shown.as_str()), (vec![Ok(()), repeated], "after"));

    let (results, shown) = update_ui(Behaviour::UpdateUiLate(title("after"))).await;
    let late = Err(UpdateUiError::NotActive(NotActive));
    assert_eq!((results, shown.as_str()), (vec![late], "before"));
}

#[tokio::test]
async fn a_click_reaches_the_worker_also_after_the_end() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 10));
    let host = ScriptedHost::new([]);
    let mut events = host.events();
    let engine = agent.open(host);
    let mut observer = engine.observe().await.unwrap();
    let manager = agent.manager(&engine).await;
    let (fetch, hold) =
        manager.fetch_held("film", [origin.url("/film")], FetchOptions::default()).await.unwrap();
    engine.ui().click(fetch.key()).await.unwrap();
    assert_eq!(events.next().await.kind, EventKind::Click);
    drop(hold);
    until(&mut observer, |what| matches!(what, What::EventEnded { .. })).await;
    assert_eq!(events.next().await.kind, EventKind::Success);
    let ui = engine.ui();
    let newest = ui.newest(manager.registration(), "film").await;
    ui.click(newest.unwrap()).await.unwrap();
    assert_eq!(events.next().await.kind, EventKind::Click);
    ui.dismiss(fetch.key()).await.unwrap();
    assert!(ui.jobs().await.unwrap().is_empty());
}
