//! What the API promises to users: a fetch continues without the page, waits for the network, shows
//! its progress and can be cancelled.

use bgfetch::mock::Behaviour;
use bgfetch::{EventKind, FailureReason, FetchOptions, PauseReason, What};
use bgfetch_testkit::{Ending, Gate, MIB, Resource, Serve};

use crate::agent::{Agent, bytes, records, settled};

#[tokio::test]
async fn it_goes_on_when_the_page_is_closed() {
    let mut agent = Agent::start().await;
    let gate = Gate::new();
    let film = Resource::new(1, 2 * MIB);
    agent.origin.serve("/film", film.clone().hold_at(MIB, &gate));
    let window = agent.window().await;
    let fetch = agent.fetch("film", &["/film"]).await;
    gate.reached().await;
    // Nothing of the page remains.
    drop((window, fetch));
    gate.open();
    let event = agent.events.next().await;
    assert_eq!(event.kind, EventKind::Success);
    let registration = agent.engine.registration(agent.manager.registration().clone());
    let fetch = registration.fetch(event.fetch).await.unwrap().unwrap();
    assert!(bytes(&records(&fetch).await[0]).await == film.bytes());
}

#[tokio::test]
async fn offline_at_the_start_it_begins_on_reconnection() {
    let mut agent = Agent::start().await;
    agent.origin.serve("/film", Resource::new(1, 10));
    agent.offline();
    let fetch = agent.fetch("film", &["/film"]).await;
    let offline = |what: &What| matches!(what, What::Paused(PauseReason::Offline));
    agent.until(offline).await;
    assert!(agent.origin.requests().is_empty());
    agent.online();
    assert_eq!(settled(&fetch).await, Ok(()));
}

#[tokio::test]
async fn offline_in_between_it_pauses_until_the_user_is_online() {
    let mut agent = Agent::start().await;
    let film = Resource::new(1, 2 * MIB).etag("\"a\"");
    let held = film.clone().hold_at(MIB, &Gate::new());
    agent.origin.serve("/film", held.then(film.clone()));
    let fetch = agent.fetch("film", &["/film"]).await;
    let record = records(&fetch).await.remove(0);
    let mut response = record.response_ready().await.unwrap();
    let mut read = Vec::new();
    while (read.len() as u64) < MIB {
        read.extend(response.body.chunk().await.unwrap().unwrap());
    }
    agent.offline();
    let abandoned = |request: &bgfetch_testkit::Logged| request.ended == Some(Ending::Abandoned);
    agent.origin.wait_until(move |log| log.iter().all(abandoned)).await;
    agent.until(|what| matches!(what, What::Paused(PauseReason::Offline))).await;
    assert_eq!(agent.engine.ui().jobs().await.unwrap()[0].display.result, None);
    agent.online();
    // A reader that was opened earlier continues as if nothing had happened.
    while let Some(chunk) = response.body.chunk().await {
        read.extend(chunk.unwrap());
    }
    assert!(read == film.bytes());
    assert_eq!(agent.origin.requests()[1].range_start(), Some(MIB));
    assert_eq!(settled(&fetch).await, Ok(()));
}

#[tokio::test]
async fn the_user_sees_progress_and_can_cancel() {
    let mut agent = Agent::with_worker([Behaviour::Succeed]).await;
    let gate = Gate::new();
    agent.origin.serve("/film", Resource::new(1, 2 * MIB).hold_at(MIB, &gate));
    let options = FetchOptions::default().with(|it| {
        it.title = "A film".into();
        it.download_total = 2 * MIB;
    });
    let fetch = agent.fetch_with("film", &["/film"], options).await;
    let ui = agent.engine.ui();
    let shown = loop {
        let display = ui.jobs().await.unwrap().remove(0).display;
        if display.downloaded == MIB {
            break display;
        }
        agent.until(|what| matches!(what, What::Progress)).await;
    };
    assert_eq!(shown.origin.serialize(), "https://app.test");
    assert_eq!((shown.title.as_str(), shown.download_total), ("A film", 2 * MIB));
    assert!(shown.uses_bandwidth && shown.pausable && !shown.dismissible);

    assert!(ui.abort(fetch.key()).await.unwrap());
    assert_eq!(settled(&fetch).await, Err(FailureReason::Aborted));
    assert_eq!(agent.events.next().await.kind, EventKind::Abort);
    // Once the worker received the event, dismissing the fetch loses nothing.
    agent.until(|what| matches!(what, What::EventEnded { .. })).await;
    let shown = ui.jobs().await.unwrap().remove(0).display;
    assert!(!shown.uses_bandwidth && !shown.pausable && shown.dismissible);
    ui.dismiss(fetch.key()).await.unwrap();
    assert!(ui.jobs().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_user_pauses_and_resumes() {
    let agent = Agent::start().await;
    let film = Resource::new(1, 2 * MIB).etag("\"a\"");
    let (gate, reached) = (Gate::new(), MIB);
    let held = film.clone().hold_at(reached, &gate);
    agent.origin.serve("/film", held.then(film));
    let fetch = agent.fetch("film", &["/film"]).await;
    gate.reached().await;
    let ui = agent.engine.ui();
    ui.pause(fetch.key()).await.unwrap();
    let shown = ui.jobs().await.unwrap().remove(0).display;
    assert_eq!(shown.pause_reason, Some(PauseReason::User));
    assert!(!shown.uses_bandwidth);
    ui.resume(fetch.key()).await.unwrap();
    assert_eq!(settled(&fetch).await, Ok(()));
    assert_eq!(fetch.downloaded(), 2 * MIB);
}
