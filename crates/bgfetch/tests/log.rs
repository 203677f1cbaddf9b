//! What is logged about fetches. Alone in its process: whether a place in the code logs at all is
//! remembered for all threads, and would depend on other tests.

// A panic in a helper is a failed test, as intended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{Engine, FetchOptions, Principal, StorageKey, UiUpdate, What};
use bgfetch_testkit::{MIB, Origin, Resource, Serve};
use tracing::Level;

/// The lines that were logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_tells_the_story_of_a_fetch_by_numbers() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::DEBUG)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let origin = Origin::start();
    let film = Resource::new(1, MIB).etag("\"v1\"");
    origin.serve("/secret-film", film.clone().cut_after(1000).then(film));
    let update = UiUpdate::default().with(|it| it.title = Some("A secret title".into()));
    let host = ScriptedHost::new([Behaviour::UpdateUi(update)]);
    let builder = Engine::builder().ephemeral().worker_host(host);
    let engine = builder.configure(|config| config.retry.interrupted.base = Duration::ZERO);
    let engine = engine.open().unwrap();
    let mut observer = engine.observe().await.unwrap();
    let site = StorageKey("secret-site".into());
    let registration = engine.register(site, origin.url("/")).await.unwrap();
    let manager = registration.background_fetch().acting_for(Principal::User);
    let urls = [origin.url("/secret-film")];
    let fetch = manager.fetch("secret-id", urls, FetchOptions::default()).await.unwrap();
    while !matches!(observer.next().await.unwrap().what, What::EventEnded { .. }) {}
    engine.ui().dismiss(fetch.key()).await.unwrap();
    engine.shutdown().await.unwrap();

    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let mut rest = &*log;
    for line in [
        "fetch{fetch=0}: bgfetch::log: registered",
        "attempt{fetch=0 record=0 attempt=0}: bgfetch::log: attempt started\n",
        "attempt failed stored=1000 fault=Interrupted sent=true",
        "fetch{fetch=0}: bgfetch::log: an attempt is retried record=0 attempt=1 delay=0ns",
        "attempt{fetch=0 record=0 attempt=1}: bgfetch::log: attempt started resume=1000",
        "attempt complete stored=1048576",
        "a record settled record=0 result=\"success\" status=200 stored=1048576",
        "fetch{fetch=0}: bgfetch::log: settled result=\"success\"",
        "event fired event=\"backgroundfetchsuccess\" attempt=1",
        "the title or the icons changed",
        "event ended handled=true rejected=false",
        "fetch{fetch=0}: bgfetch::log: removed",
    ] {
        let found = rest.find(line).unwrap_or_else(|| panic!("{line:?} is missing in\n{rest}"));
        rest = &rest[found + line.len()..];
    }
    // Libraries have targets of their own.
    let ours = log.lines().filter(|line| line.contains(" bgfetch"));
    let tells = |line: &str| ["secret", "127.0.0.1"].iter().any(|what| line.contains(what));
    assert_eq!(ours.filter(|line| tells(line)).collect::<Vec<_>>(), [""; 0]);
}
