//! Rulings 7, 19 and 20: the worker's event comes at least once, and the records wait for it.

use bgfetch::mock::{Behaviour, Received, ScriptedHost};
use bgfetch::{
    DomException, Engine, EventKind, FetchOptions, MatchOptions, NotActive, RecordError, UiUpdate,
    UpdateUiError, What,
};
use bgfetch_testkit::{MIB, Origin, Resource};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::common::{Agent, Network, ok, record_bodies, records_of, until};

/// A fetch of one film, of which the worker's events meet `script`; what came of them when
/// delivery was over.
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
    until(&mut observer, |what| matches!(what, What::EventEnded)).await;
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
        (Behaviour::Absent, false),
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
    assert_eq!(ran(&deliver([Behaviour::Absent]).await), [false; 3]);
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
    until(&mut observer, |what| matches!(what, What::EventEnded)).await;
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
    let engine = agent.open(host);
    assert_eq!(events.next().await.kind, EventKind::Success);
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
    until(&mut observer, |what| matches!(what, What::EventEnded)).await;
    let refused = fetch.match_all(None, MatchOptions::default()).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.dom_exception(), DomException::InvalidStateError);
    assert!(agent.body_files().is_empty());
    let late = record.response_ready().await;
    assert!(matches!(late, Err(RecordError::Aborted)), "{late:?}");
    assert!(agent.body_files().is_empty(), "looking leaves nothing behind");
    assert!(response.body.bytes().await.unwrap() == film.bytes());
}

fn title(title: &str) -> UiUpdate {
    UiUpdate { title: Some(title.into()), icons: None }
}

/// What the calls of `updateUI()` came to, and the title after a restart.
async fn update_ui(behaviour: Behaviour) -> (Vec<Result<(), UpdateUiError>>, String) {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 10));
    let host = ScriptedHost::new([behaviour.clone()]);
    let engine = agent.open(host.clone());
    let mut observer = engine.observe().await.unwrap();
    let manager = agent.manager(&engine).await;
    let url = origin.url("/film");
    let options = FetchOptions { title: "before".into(), ..FetchOptions::default() };
    manager.fetch("film", [url], options).await.unwrap();
    until(&mut observer, |what| matches!(what, What::EventEnded)).await;
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
    until(&mut observer, |what| matches!(what, What::EventEnded)).await;
    assert_eq!(events.next().await.kind, EventKind::Success);
    let ui = engine.ui();
    let newest = ui.newest(manager.registration().clone(), "film".into()).await;
    ui.click(newest.unwrap()).await.unwrap();
    assert_eq!(events.next().await.kind, EventKind::Click);
    ui.dismiss(fetch.key()).await.unwrap();
    assert!(ui.jobs().await.unwrap().is_empty());
}
