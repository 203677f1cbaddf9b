//! [BackgroundFetchEvent](https://wicg.github.io/background-fetch/#background-fetch-event) and
//! [BackgroundFetchUpdateUIEvent](https://wicg.github.io/background-fetch/#background-fetch-update-ui-event):
//! what starts the worker, and `updateUI()`.

use bgfetch::mock::Behaviour;
use bgfetch::{
    EventInterface, EventKind, FetchOptions, ImageResource, UiUpdate, UpdateUiError, What,
};
use bgfetch_testkit::{Reply, Resource};

use crate::agent::Agent;

#[tokio::test]
async fn each_end_has_its_event() {
    let mut agent = Agent::start().await;
    agent.origin.serve("/good", Resource::new(1, 10));
    agent.origin.serve("/gone", Reply::status(410));
    agent.fetch("good", &["/good"]).await;
    let success = agent.events.next().await;
    assert_eq!((success.kind.name(), success.id.as_str()), ("backgroundfetchsuccess", "good"));
    assert_eq!(success.registration, *agent.manager.registration());

    agent.fetch("bad", &["/good", "/gone"]).await;
    let fail = agent.events.next().await;
    assert_eq!((fail.kind.name(), fail.id.as_str()), ("backgroundfetchfail", "bad"));

    agent.offline();
    let fetch = agent.fetch("aborted", &["/good"]).await;
    assert!(fetch.abort().await.unwrap());
    let abort = agent.events.next().await;
    assert_eq!((abort.kind.name(), abort.id.as_str()), ("backgroundfetchabort", "aborted"));
    assert_eq!(abort.kind.interface(), EventInterface::BackgroundFetchEvent);

    let waiting = agent.fetch("waiting", &["/good"]).await;
    agent.engine.ui().click(waiting.key()).await.unwrap();
    let click = agent.events.next().await;
    assert_eq!((click.kind.name(), click.id.as_str()), ("backgroundfetchclick", "waiting"));
}

fn update() -> UiUpdate {
    UiUpdate::default().with(|it| {
        it.title = Some("Episode 5 is ready".into());
        it.icons = Some(vec![ImageResource::new("https://app.test/ready.png".parse().unwrap())]);
    })
}

/// Runs one fetch whose events meet `behaviour`; returns the results of `updateUI()`, and the title
/// afterwards.
async fn update_ui(behaviour: Behaviour, abort: bool) -> (Vec<Result<(), UpdateUiError>>, String) {
    let mut agent = Agent::with_worker([behaviour]).await;
    agent.origin.serve("/a", Resource::new(1, 10));
    if abort {
        agent.offline();
    }
    let options = FetchOptions::default().with(|it| it.title = "Episode 5".into());
    let fetch = agent.fetch_with("a", &["/a"], options).await;
    if abort {
        assert!(fetch.abort().await.unwrap());
    }
    agent.until(|what| matches!(what, What::EventEnded { .. })).await;
    let results = agent.host.received()[0].update_ui_results.clone();
    let job = agent.engine.ui().jobs().await.unwrap().remove(0);
    (results, job.display.title)
}

#[tokio::test]
async fn update_ui_changes_the_title_once() {
    let (results, title) = update_ui(Behaviour::UpdateUi(update()), false).await;
    assert_eq!((results, title.as_str()), (vec![Ok(())], "Episode 5 is ready"));

    let (results, _) = update_ui(Behaviour::UpdateUiTwice(update()), false).await;
    assert_eq!(results, [Ok(()), Err(UpdateUiError::AlreadyUpdated)]);

    let (results, title) = update_ui(Behaviour::UpdateUi(UiUpdate::default()), false).await;
    assert_eq!((results, title.as_str()), (vec![Ok(())], "Episode 5"));
}

#[tokio::test]
async fn an_abort_event_has_no_update_ui() {
    let (results, title) = update_ui(Behaviour::UpdateUi(update()), true).await;
    assert_eq!(results, [Err(UpdateUiError::NotUpdateUiEvent)]);
    assert_eq!(title, "Episode 5");
}

/// D5: a worker that crashed gets its event again, and the records wait for it.
#[tokio::test]
async fn an_event_is_told_until_a_worker_handled_it() {
    let script = [Behaviour::CrashAfterListeners, Behaviour::Succeed];
    let mut agent = Agent::with_worker(script).await;
    agent.origin.serve("/a", Resource::new(1, 10));
    let fetch = agent.fetch("a", &["/a"]).await;
    let first = agent.events.next().await;
    let second = agent.events.next().await;
    assert_eq!((first.kind, first.fetch), (EventKind::Success, fetch.key()));
    assert_eq!((second.kind, second.fetch), (EventKind::Success, fetch.key()));
    agent.until(|what| matches!(what, What::EventEnded { .. })).await;
    assert_eq!(agent.host.received().len(), 2);
}
