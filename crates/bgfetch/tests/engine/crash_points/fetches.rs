//! The life of a fetch: registered, paused, aborted, settled, delivered, dismissed.

use std::sync::Arc;
use std::time::Duration;

use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{
    BackgroundFetchRegistration, Engine, FailureReason, FaultKind, FetchError, FetchKey,
    FetchOptions, FetchRequest, FetchResponse, RecordIndex, RecordKey, RequestInfo, What,
};
use bgfetch_store::recording::Loss;
use bgfetch_testkit::{Gate, KIB, Reply, Resource, Serve};
use tokio::sync::Notify;
use url::Url;

use super::lab::Lab;
use super::left::Left;
use crate::common::{Network, offline, stored, until};
use crate::integrity::asking;

pub(super) fn delivered(what: &What) -> bool {
    matches!(what, What::EventEnded { .. })
}

/// A film, a picture and a line of text.
pub(super) fn files() -> [Resource; 3] {
    [film(), Resource::new(2, 70_000), Resource::new(3, 10)]
}

fn film() -> Resource {
    Resource::new(1, 200 * KIB).etag("\"a\"")
}

/// Serves the [`files`]. The film is cut once.
fn serve_files(lab: &Lab) -> [Url; 3] {
    let [film, art, text] = files();
    let cut = film.clone().cut_after(100_000).then(film.clone());
    [
        lab.serve("/film", &film, cut),
        lab.serve("/art", &art, art.clone()),
        lab.serve("/text", &text, text.clone()),
    ]
}

/// Serves a film that stops after 100 000 bytes.
pub(super) fn serve_held_film(lab: &Lab) -> Url {
    lab.serve("/film", &film(), film().hold_at(100_000, &lab.net.gate))
}

/// Fetches the [`files`], and reports the registration and the result.
pub(super) async fn fetch_three(lab: &Lab, engine: &Engine) -> BackgroundFetchRegistration {
    settle(lab, engine, serve_files(lab), files().into()).await
}

async fn settle(
    lab: &Lab,
    engine: &Engine,
    requests: impl IntoIterator<Item = impl Into<RequestInfo>>,
    files: Vec<Resource>,
) -> BackgroundFetchRegistration {
    let manager = lab.agent.manager(engine).await;
    let fetch = manager.fetch("files", requests, FetchOptions::default()).await.unwrap();
    lab.tell("registered", |left| left.fetch().is_some());
    report_success(lab, &fetch, files).await;
    fetch
}

/// Waits until the fetch has succeeded with these files, and reports it.
async fn report_success(lab: &Lab, fetch: &BackgroundFetchRegistration, files: Vec<Resource>) {
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    let files: Vec<_> = files.iter().map(Resource::bytes).collect();
    lab.tell("settled", move |left| {
        left.fetch().is_some_and(|fetch| fetch.result == Some(Ok(())))
            && files.iter().enumerate().all(|(index, bytes)| left.has(index, bytes))
    });
    lab.reported.notify_one();
}

#[tokio::test]
async fn a_fetch_of_three_files_is_left() {
    let lab = Lab::new();
    let engine = lab.open(lab.worker());
    let mut observer = engine.observe().await.unwrap();
    fetch_three(&lab, &engine).await;
    until(&mut observer, delivered).await;
    lab.tell("delivered", |left| left.is_delivered());
    lab.agent.close(engine).await;
    lab.check("three files", &[]).await;
}

#[tokio::test]
async fn more_files_than_are_synced_one_by_one_are_left() {
    let lab = Lab::new();
    let engine = lab.open(ScriptedHost::new([Behaviour::NeverSettle]));
    let files: Vec<Resource> = (0..20).map(|seed| Resource::new(seed, 100)).collect();
    let numbered = files.iter().enumerate();
    let urls: Vec<Url> = numbered
        .map(|(number, file)| lab.serve(&format!("/{number}"), file, file.clone()))
        .collect();
    settle(&lab, &engine, urls, files).await;
    lab.agent.take_back();
    engine.kill().await;
    lab.check("twenty files", &["new/folder/store"]).await;
}

#[tokio::test]
async fn verified_files_are_left() {
    let lab = Lab::new();
    let engine = lab.open(ScriptedHost::new([Behaviour::NeverSettle]));
    let requests = serve_files(&lab).into_iter().zip(files());
    let requests: Vec<RequestInfo> = requests.map(|(url, file)| asking(url, &file)).collect();
    settle(&lab, &engine, requests, files().into()).await;
    lab.agent.take_back();
    engine.kill().await;
    lab.check("integrity", &[]).await;
}

#[tokio::test]
async fn a_dismissal_is_left() {
    let lab = Lab::new();
    let engine = lab.open(lab.worker());
    let mut observer = engine.observe().await.unwrap();
    let fetch = fetch_three(&lab, &engine).await;
    until(&mut observer, delivered).await;
    lab.promises.take_back("registered");
    lab.promises.take_back("settled");
    engine.ui().dismiss(fetch.key()).await.unwrap();
    lab.tell("dismissed", |left| left.fetch().is_none());
    lab.agent.close(engine).await;
    lab.check("dismissal", &[]).await;
}

#[tokio::test]
async fn unregistering_is_left() {
    let lab = Lab::new();
    let engine = lab.open(ScriptedHost::new([]));
    held(&lab, &engine).await;
    lab.promises.take_back("registered");
    lab.agent.register(&engine).await.unregister().await.unwrap();
    lab.tell("unregistered", |left| left.registrations.is_empty() && left.fetches.is_empty());
    lab.agent.close(engine).await;
    lab.check("unregistering", &["new/folder/store"]).await;
}

#[tokio::test]
async fn held_bytes_are_left_before_while_and_after_another_fetch_adopts_them() {
    let lab = Lab::new();
    lab.net.origin.serve("/art", Reply::status(404));
    let holder = lab.clone();
    let host = ScriptedHost::new([Behaviour::run(move |event| {
        let lab = holder.clone();
        async move {
            lab.agent.fetch(event.fetch()).await.unwrap().hold_records().await.unwrap();
            Ok(())
        }
    })]);
    let engine = lab.open(host);
    let mut observer = engine.observe().await.unwrap();
    let manager = lab.agent.manager(&engine).await;
    let urls = [lab.serve("/film", &film(), film()), lab.net.origin.url("/art")];
    for fetches in [1, 2] {
        let fetch = manager.fetch("two", urls.clone(), FetchOptions::default()).await.unwrap();
        assert!(fetch.settled().await.unwrap().is_err());
        until(&mut observer, delivered).await;
        lab.tell("kept, by one fetch", |left| left.holders(&film()) == 1);
        lab.tell("held", move |left| {
            left.fetches.len() == fetches
                && left.fetches.iter().all(|fetch| !fetch.records_available)
        });
        // More is committed while the promise holds.
        lab.agent.register(&engine).await;
        lab.promises.take_back("held");
    }
    assert_eq!(lab.net.origin.requests_to("/film").len(), 1);
    lab.agent.close(engine).await;
    lab.check("held records", &[]).await;
}

/// A fetch that has stored 100 000 bytes of its film, and waits.
async fn held(lab: &Lab, engine: &Engine) -> BackgroundFetchRegistration {
    let manager = lab.agent.manager(engine).await;
    let url = serve_held_film(lab);
    let fetch = manager.fetch("held", [url], FetchOptions::default()).await.unwrap();
    lab.tell("registered", |left| left.fetch().is_some());
    stored(&fetch, 100_000).await;
    fetch
}

#[tokio::test]
async fn progress_is_left_after_an_orderly_end() {
    let lab = Lab::new();
    let engine = lab.open(ScriptedHost::new([]));
    held(&lab, &engine).await;
    lab.agent.close(engine).await;
    lab.tell("closed", |left| left.record(0).is_some_and(|record| record.stored == 100_000));
    lab.check("an orderly end", &[]).await;
}

/// The next process ends what is there, and reports it.
async fn end(lab: &Lab, fetch: FetchKey) {
    lab.net.gate.open();
    let engine = lab.open(lab.worker());
    let mut observer = engine.observe().await.unwrap();
    let fetch = lab.agent.register(&engine).await.fetch(fetch).await.unwrap().unwrap();
    report_success(lab, &fetch, vec![film()]).await;
    until(&mut observer, delivered).await;
    lab.tell("delivered", |left| left.is_delivered());
    lab.agent.close(engine).await;
}

#[tokio::test]
async fn what_a_second_process_ended_is_left() {
    let lab = Lab::new();
    let engine = lab.open(ScriptedHost::new([]));
    let fetch = held(&lab, &engine).await.key();
    lab.agent.take_back();
    engine.kill().await;
    end(&lab, fetch).await;
    lab.check("two processes", &["new/folder/store"]).await;
}

#[tokio::test]
async fn what_was_ended_after_a_loss_of_power_is_left() {
    let before = Lab { boot: "an earlier boot", ..Lab::new() };
    let engine = before.open(ScriptedHost::new([]));
    let fetch = held(&before, &engine).await.key();
    before.agent.take_back();
    engine.kill().await;
    let lab = before.after(Loss::Torn { sector: 4096, seed: 1 });
    end(&lab, fetch).await;
    lab.check("a loss of power before", &["new/folder/store"]).await;
}

#[tokio::test]
async fn a_pause_and_its_end_are_left() {
    let lab = Lab::new();
    let engine = lab.open(ScriptedHost::new([Behaviour::Succeed]));
    let fetch = held(&lab, &engine).await;
    for paused in [true, false, true] {
        match paused {
            true => engine.ui().pause(fetch.key()).await.unwrap(),
            false => engine.ui().resume(fetch.key()).await.unwrap(),
        }
        let what = format!("paused: {paused}");
        lab.tell(&what, move |left| left.fetch().is_some_and(|fetch| fetch.paused == paused));
        // More is committed while the promise holds.
        lab.agent.register(&engine).await;
        lab.promises.take_back(&what);
    }
    lab.agent.take_back();
    engine.kill().await;
    lab.check("pause", &["new/folder/store"]).await;
}

#[tokio::test]
async fn an_abort_is_left() {
    let lab = Lab::new();
    let engine = lab.open(ScriptedHost::new([Behaviour::NeverSettle]));
    let fetch = held(&lab, &engine).await;
    assert!(fetch.abort().await.unwrap());
    let is_aborted = |left: &Left| {
        left.fetch().is_some_and(|fetch| {
            fetch.abort_all || fetch.result == Some(Err(FailureReason::Aborted))
        })
    };
    lab.tell("aborted", is_aborted);
    assert_eq!(fetch.settled().await.unwrap(), Err(FailureReason::Aborted));
    let downloaded = fetch.downloaded();
    lab.tell("settled", move |left| {
        left.fetch().is_some_and(|fetch| fetch.result == Some(Err(FailureReason::Aborted)))
            && left.record(0).is_some_and(|record| record.stored == downloaded)
    });
    lab.agent.take_back();
    engine.kill().await;
    lab.check("abort", &[]).await;
}

#[tokio::test]
async fn an_upload_is_left_with_its_mark_its_result_and_the_answer_to_it() {
    let lab = Lab::new();
    let engine = lab.open(ScriptedHost::new([Behaviour::Succeed]));
    let mut observer = engine.observe().await.unwrap();
    let (answer, photo, gate) = (Resource::new(4, 90_000), vec![7; 50_000], Gate::new());
    let post = lab.serve("/photos", &answer, answer.clone().hold_head(&gate));
    let post = RequestInfo::new("POST", post).body(photo.clone());
    // It keeps the fetch active, so that only the upload's result is reported.
    let requests = [post, serve_held_film(&lab).into()];
    let manager = lab.agent.manager(&engine).await;
    let fetch = manager.fetch("photos", requests, FetchOptions::default()).await.unwrap();
    let record = RecordKey { fetch: fetch.key(), index: RecordIndex(0) };
    lab.tell("registered", move |left| left.has_request(record, &photo));
    gate.reached().await;
    lab.tell("sent", |left| left.record(0).is_some_and(|upload| upload.upload_begun));
    gate.open();
    until(&mut observer, |what| matches!(what, What::RecordSettled { .. })).await;
    let answer = answer.bytes();
    lab.tell("uploaded", move |left| left.has(0, &answer));
    // A crash, so that nothing else syncs it.
    lab.agent.take_back();
    engine.kill().await;
    lab.check("upload", &[]).await;
}

#[tokio::test]
async fn an_upload_that_never_left_is_left_without_its_mark() {
    let lab = Lab::new();
    let (called, fail) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (calls, fails) = (Arc::clone(&called), Arc::clone(&fail));
    let network = Network(move |_: FetchRequest| {
        let (called, fail) = (Arc::clone(&calls), Arc::clone(&fails));
        async move {
            called.notify_one();
            fail.notified().await;
            Err::<FetchResponse, _>(FetchError::new(FaultKind::Unreachable, false, "no way"))
        }
    });
    let builder = lab.builder(ScriptedHost::new([Behaviour::Succeed])).fetcher(network);
    let engine = lab.agent.open_with(builder.configure(|config| {
        config.retry.never_reached.retries = u32::MAX;
        config.retry.never_reached.budget = Duration::MAX;
    }));
    let mut observer = engine.observe().await.unwrap();
    let answer = Resource::new(4, 1000);
    let post = lab.serve("/photos", &answer, answer.clone());
    let post = RequestInfo::new("POST", post).body("photo");
    let manager = lab.agent.manager(&engine).await;
    manager.fetch("photos", [post], FetchOptions::default()).await.unwrap();
    lab.tell("registered", |left| left.fetch().is_some());
    called.notified().await;
    lab.agent.connectivity.set(offline());
    fail.notify_one();
    until(&mut observer, |what| matches!(what, What::Paused(_))).await;
    // What was committed before is on disk, too.
    lab.agent.register(&engine).await;
    lab.tell("waits", |left| left.record(0).is_some_and(|upload| !upload.upload_begun));
    lab.agent.take_back();
    engine.kill().await;
    lab.check("an upload that never left", &[]).await;
}
