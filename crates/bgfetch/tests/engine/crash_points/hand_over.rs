//! Files that are handed over, by links and by copies.

use std::path::PathBuf;

use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{BackgroundFetchRegistration, FetchOptions, Handover};
use bgfetch_store::file_system::{FileSystem as _, Open};
use bgfetch_store::recording::Recorder;

use super::fetches::{delivered, fetch_three, files, serve_held_film};
use super::lab::{Lab, OUT};
use crate::common::{records_of, until};

impl Lab {
    /// Exports all bodies of a fetch to [`OUT`], each under its number.
    async fn export(&self, fetch: &BackgroundFetchRegistration, how: Handover) {
        for record in records_of(fetch).await {
            let to = self.out(record.key().index.0);
            record.export(&to, how).await.unwrap();
        }
    }

    fn out(&self, index: u32) -> PathBuf {
        self.agent.path().join(OUT).join(index.to_string())
    }

    fn tell_saved(&self, what: &str) {
        for (index, file) in files().into_iter().enumerate() {
            let name = format!("{OUT}/{index}");
            self.tell(format!("{what}: {name}"), move |left| left.has_file(&name, &file));
        }
    }
}

/// The worker exports the bodies. It also syncs them, or leaves that to the store.
async fn hand_over(scenario: &str, lab: Lab, how: Handover, synced: bool) {
    let exporter = lab.clone();
    let host = ScriptedHost::new([Behaviour::run(move |event| {
        let lab = exporter.clone();
        async move {
            lab.reported.notified().await;
            let fetch = lab.agent.fetch(event.fetch()).await.unwrap();
            lab.export(&fetch, how).await;
            if synced {
                fetch.sync_exports().await.unwrap();
                lab.tell_saved("saved");
            }
            Ok(())
        }
    })]);
    let engine = lab.open(host);
    let mut observer = engine.observe().await.unwrap();
    fetch_three(&lab, &engine).await;
    until(&mut observer, delivered).await;
    lab.tell_saved("the store's own is gone");
    lab.agent.close(engine).await;
    lab.check(scenario, &[]).await;
}

#[tokio::test]
async fn files_that_were_linked_are_left() {
    hand_over("links", Lab::new(), Handover::Link, true).await;
}

#[tokio::test]
async fn files_that_were_copied_to_another_file_system_are_left() {
    hand_over("copies", Lab::with(Recorder::without_links), Handover::Link, true).await;
}

#[tokio::test]
async fn linked_files_of_a_worker_that_did_not_ask_are_left_when_the_store_deletes_its_own() {
    hand_over("links without a sync", Lab::new(), Handover::Link, false).await;
}

#[tokio::test]
async fn copied_files_of_a_worker_that_did_not_ask_are_left_when_the_store_deletes_its_own() {
    hand_over("copies without a sync", Lab::new(), Handover::Copy, false).await;
}

/// The art of a fetch that goes on is linked, before any of its bytes is synced.
#[tokio::test]
async fn a_file_of_an_active_fetch_is_left() {
    let lab = Lab::new();
    let engine = lab.open(ScriptedHost::new([Behaviour::Succeed]));
    let [_, art, _] = files();
    let urls = [lab.serve("/art", &art, art.clone()), serve_held_film(&lab)];
    let manager = lab.agent.manager(&engine).await;
    let fetch = manager.fetch("two", urls, FetchOptions::default()).await.unwrap();
    lab.tell("registered", |left| left.fetch().is_some());
    let record = records_of(&fetch).await.remove(0);
    let response = record.response_ready().await.unwrap();
    assert!(response.body.bytes().await.unwrap() == art.bytes());
    record.export(&lab.out(0), Handover::Link).await.unwrap();
    fetch.sync_exports().await.unwrap();
    lab.tell("saved", move |left| left.has_file("out/0", &art));
    lab.agent.take_back();
    engine.kill().await;
    lab.check("a file of an active fetch", &["new/folder/store"]).await;
}

/// Another program wrote the same bytes, and did not sync them.
#[tokio::test]
async fn a_file_that_was_found_is_left() {
    let lab = Lab::new();
    let finder = lab.clone();
    let host = ScriptedHost::new([Behaviour::run(move |event| {
        let lab = finder.clone();
        async move {
            lab.reported.notified().await;
            let fetch = lab.agent.fetch(event.fetch()).await.unwrap();
            let art = records_of(&fetch).await.remove(1);
            assert!(art.is_exported_at(&lab.out(1)).await.unwrap());
            fetch.sync_exports().await.unwrap();
            let [_, file, _] = files();
            lab.tell("saved", move |left| left.has_file("out/1", &file));
            Ok(())
        }
    })]);
    let engine = lab.open(host);
    let mut observer = engine.observe().await.unwrap();
    let other = lab.recorder.open(&lab.out(1), Open::New).unwrap();
    let [_, art, _] = files();
    assert_eq!(lab.recorder.write_at(&other, &art.bytes(), 0).unwrap(), 70_000);
    fetch_three(&lab, &engine).await;
    until(&mut observer, delivered).await;
    lab.agent.close(engine).await;
    lab.check("a file that was found", &[]).await;
}
