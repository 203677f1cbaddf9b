//! What observers and lists of downloads are told.

use std::time::Duration;

use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{
    Event, EventKind, FailureReason, FetchKey, FetchOptions, ImageResource, Job, JobChange, Jobs,
    NotHandledReason, PauseReason, RecordIndex, RecordKey, RecordResult, Redelivery, Rejection,
    UiUpdate, What,
};
use bgfetch_testkit::{Origin, Resource};
use futures_util::StreamExt;
use serde_json::json;

use crate::common::{Agent, offline, registration_key, until};

/// The next change of a job that is like this.
async fn changed(jobs: &mut Jobs, like: impl Fn(&Job) -> bool) -> Job {
    loop {
        if let JobChange::Changed(job) = jobs.next().await.expect("the engine is open")
            && like(&job)
        {
            return *job;
        }
    }
}

#[tokio::test]
async fn a_list_of_downloads_follows_a_fetch_from_its_beginning_to_its_end() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 10));
    let icon = |path| ImageResource::new(origin.url(path));
    let ready = UiUpdate::default().with(|it| {
        it.title = Some("Ready".into());
        it.icons = Some(vec![icon("/ready.png")]);
    });
    let engine = agent.open(ScriptedHost::new([Behaviour::UpdateUi(ready)]));
    let mut jobs = engine.ui().watch().await.unwrap();
    let manager = agent.manager(&engine).await;
    let (title, icons) = ("Film".to_owned(), vec![icon("/film.png")]);
    let options = FetchOptions::default().with(|it| {
        it.title = title;
        it.icons = icons;
    });
    let call = manager.fetch_held("film", [origin.url("/film")], options);
    let (fetch, hold) = call.await.unwrap();

    let job = changed(&mut jobs, |_| true).await;
    assert_eq!((job.key, &job.registration), (fetch.key(), &registration_key()));
    assert_eq!((&*job.display.title, &job.display.icons), ("Film", &vec![icon("/film.png")]));
    drop(hold);
    let job = changed(&mut jobs, |job| job.display.over).await;
    assert_eq!((&*job.display.title, &job.display.icons), ("Ready", &vec![icon("/ready.png")]));
    assert_eq!((job.display.result, job.display.downloaded), (Some(Ok(())), 10));

    // A list that is opened later begins with what there is.
    let mut later = engine.ui().watch().await.unwrap();
    assert!(changed(&mut later, |_| true).await.display.over);
    engine.ui().dismiss(fetch.key()).await.unwrap();
    for jobs in [&mut jobs, &mut later] {
        loop {
            match jobs.next().await.unwrap() {
                JobChange::Removed(key) => break assert_eq!(key, fetch.key()),
                JobChange::Changed(job) => assert!(job.display.over),
                _ => unreachable!("there are no other changes"),
            }
        }
    }
    assert!(engine.ui().job(fetch.key()).await.unwrap().is_none());
    engine.shutdown().await.unwrap();
    assert!(jobs.next().await.is_none());
}

#[tokio::test]
async fn a_slow_list_is_never_behind() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 10));
    agent.connectivity.set(offline());
    let engine = agent.open(ScriptedHost::new([]));
    let manager = agent.manager(&engine).await;
    let fetch = manager.fetch("film", [origin.url("/film")], FetchOptions::default());
    let fetch = fetch.await.unwrap();
    let (mut jobs, mut observer) =
        (engine.ui().watch().await.unwrap(), engine.observe().await.unwrap());
    for _ in 0..100 {
        engine.ui().pause(fetch.key()).await.unwrap();
        engine.ui().resume(fetch.key()).await.unwrap();
    }
    until(&mut observer, |what| *what == What::Paused(PauseReason::Offline)).await;
    let job = changed(&mut jobs, |_| true).await;
    assert_eq!(job.display.pause_reason, Some(PauseReason::Offline));
    assert_eq!(engine.ui().job(fetch.key()).await.unwrap().unwrap().key, fetch.key());
}

#[tokio::test]
async fn observers_are_streams_and_tell_the_registration() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 10));
    let engine = agent.open(ScriptedHost::new([Behaviour::Succeed]));
    let mut observer = engine.observe().await.unwrap();
    assert!(observer.try_next().is_none());
    let manager = agent.manager(&engine).await;
    let url = origin.url("/film");
    let fetch = manager.fetch("film", [&url], FetchOptions::default()).await.unwrap();
    let first = observer.try_next().expect("it was told before the promise was resolved");
    assert_eq!((&first.what, first.fetch), (&What::Registered, fetch.key()));
    until(&mut observer, |what| matches!(what, What::EventEnded { .. })).await;
    agent.close(engine).await;

    let engine = agent.open(ScriptedHost::new([]));
    let registration = agent.register(&engine).await;
    let observer = engine.observe().await.unwrap();
    registration.unregister().await.unwrap();
    agent.close(engine).await;
    let told: Vec<_> = observer.collect().await;
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0].what, &told[0].registration), (&What::Removed, &registration_key()));
}

#[tokio::test]
async fn events_and_jobs_can_be_sent_as_json() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 10));
    let engine = agent.open(ScriptedHost::new([Behaviour::Succeed]));
    let mut observer = engine.observe().await.unwrap();
    let manager = agent.manager(&engine).await;
    let url = origin.url("/film");
    let fetch = manager.fetch("film", [url.as_str()], FetchOptions::default()).await.unwrap();
    let mut client = fetch.updates().await.unwrap();
    let settled = until(&mut observer, |what| matches!(what, What::Settled(_))).await;
    let registration = json!({ "storage_key": "https://app.test", "scope": "https://app.test/" });
    assert_eq!(
        serde_json::to_value(&settled).unwrap(),
        json!({
            "fetch": fetch.key().0,
            "registration": registration,
            "id": "film",
            "downloaded": 10,
            "uploaded": 0,
            "download_total": 0,
            "what": { "settled": "success" },
        })
    );
    let read: Event = read_again(&settled);
    assert_eq!((read.what, read.registration), (settled.what, settled.registration));
    let mut update = client.next().await.unwrap();
    while update.update.result.is_none() {
        update = client.next().await.unwrap();
    }
    let update = serde_json::to_value(&update).unwrap();
    assert_eq!(update["update"]["result"], "success");

    until(&mut observer, |what| matches!(what, What::EventEnded { .. })).await;
    let told = engine.ui().job(fetch.key()).await.unwrap().unwrap();
    let read: Job = read_again(&told);
    assert_eq!((&read.display, read.key, &read.id), (&told.display, told.key, &told.id));
    let job = serde_json::to_value(told).unwrap();
    assert_eq!(job["registration"], registration);
    assert_eq!(job["display"]["origin"], "https://app.test");
    assert_eq!(job["display"]["result"], "success");
}

/// What another process reads.
fn read_again<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

#[test]
fn another_process_reads_every_event_as_it_was() {
    let record = RecordKey { fetch: FetchKey(1), index: RecordIndex(2) };
    let url: bgfetch::url::Url = "https://a.test/x?y".parse().unwrap();
    let reason = NotHandledReason::Crashed("it threw".into());
    let not_handled = |next| What::EventNotHandled { reason: reason.clone(), next };
    let retry = |delay| {
        let (url, message) = (url.clone(), String::from("away"));
        What::Retry { record, url, attempt: 3, delay, message }
    };
    for what in [
        What::Registered,
        What::Progress,
        What::Paused(PauseReason::CaptivePortal),
        What::Resumed,
        retry(Duration::from_millis(1500)),
        retry(Duration::MAX),
        What::RecordSettled {
            record,
            url: url.clone(),
            result: RecordResult::Failure(FailureReason::BadStatus),
            status: Some(404),
            stored: 7,
            message: None,
        },
        What::Settled(Ok(())),
        What::Settled(Err(FailureReason::Aborted)),
        What::EventFired { kind: EventKind::Success, attempt: 1 },
        not_handled(Redelivery::After(Duration::from_secs(2))),
        not_handled(Redelivery::WhenAsked),
        What::EventEnded { handled: true, rejection: Some(Rejection("no".into())) },
        What::UiUpdated { title: "t".into(), icons: Vec::new() },
        What::ClickEnded { handled: false },
        What::Dismissed,
        What::Removed,
    ] {
        assert_eq!(read_again(&what), what);
    }
}
