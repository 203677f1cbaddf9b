//! What a page and its servers make the engine keep besides bodies takes neither memory nor more of
//! the disk than the site's quota and a constant. The process of these tests has no others, because
//! they measure its peak memory.

// A panic in a test helper fails the test, as intended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(target_os = "linux")]

use std::future::ready;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use bgfetch::embedder::{BoxFuture, Quota};
use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{DomException, Engine, FailureReason, FetchOptions, ManualConnectivity, StorageKey};
use bgfetch_testkit::{MIB, peak_memory};
use tempfile::TempDir;
use url::Url;

/// The length of a response's head, which is just below the limit.
const HEAD: u64 = 240_000;

/// What the store takes besides what it counts: its log, its reserve, and the pages of an empty
/// database.
const CONSTANT: u64 = 8 * MIB;

struct Limit(u64);

impl Quota for Limit {
    fn limit(&self, _: &StorageKey) -> BoxFuture<'static, u64> {
        Box::pin(ready(self.0))
    }
}

/// Answers every request on every connection with a large head and no body.
fn serve_large_heads() -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let mut head = String::from("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
    for number in 0..30 {
        head.push_str(&format!("X-{number}: {}\r\n", "x".repeat(HEAD as usize / 30 - 10)));
    }
    head.push_str("\r\n");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let head = head.clone();
            std::thread::spawn(move || answer(stream.unwrap(), head.as_bytes()));
        }
    });
    url
}

fn answer(mut stream: TcpStream, head: &[u8]) {
    let (mut request, mut byte): (Vec<u8>, _) = (Vec::new(), [0; 4096]);
    // The engine closes the connection.
    while let Ok(length @ 1..) = stream.read(&mut byte) {
        request.extend(byte.iter().take(length));
        while let Some(end) = request.windows(4).position(|end| end == b"\r\n\r\n") {
            request.drain(..end + 4);
            if stream.write_all(head).is_err() {
                return;
            }
        }
    }
}

/// The bytes of all files below a folder.
fn disk(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => disk(&entry.path()),
            Ok(metadata) => metadata.len(),
            // It was deleted meanwhile.
            Err(_) => 0,
        })
        .sum()
}

fn open(store: &Path, quota: u64, host: ScriptedHost) -> Engine {
    Engine::builder()
        .directory(store)
        .worker_host(host)
        .connectivity(std::sync::Arc::new(ManualConnectivity::default()))
        .quota(Limit(quota))
        .open()
        .unwrap()
}

fn site() -> StorageKey {
    StorageKey(String::from("page"))
}

fn peak() -> u64 {
    peak_memory(std::process::id()).unwrap()
}

/// As many responses as `BGFETCH_HEADS` says; `make heads` has the number of an attack.
fn responses() -> u64 {
    std::env::var("BGFETCH_HEADS").map_or(400, |number| number.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_titles_nor_heads_fill_memory_or_disk() {
    let store = TempDir::new().unwrap();
    let engine = open(store.path(), 1 << 30, ScriptedHost::new([Behaviour::NeverSettle]));
    let url = serve_large_heads();
    let registration = engine.register(site(), url.clone()).await.unwrap();
    let manager = registration.background_fetch();

    // 75 titles of 16 MiB.
    for number in 0..75 {
        let title = "x".repeat(16 << 20);
        let options = FetchOptions::default().with(|it| it.title = title);
        let refused = manager.fetch(number.to_string(), [url.clone()], options).await;
        assert_eq!(refused.unwrap_err().dom_exception(), DomException::TypeError);
    }
    assert_eq!(engine.usage(site()).await.unwrap().total, 0);
    assert!(disk(store.path()) <= CONSTANT, "{}", disk(store.path()));

    // Thousands of empty responses with large heads.
    let responses = responses();
    let before = peak();
    let urls = (0..responses).map(|number| url.join(&number.to_string()).unwrap());
    let fetch = manager.fetch("heads", urls, FetchOptions::default()).await.unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    let usage = engine.usage(site()).await.unwrap();
    assert!(usage.metadata >= responses * HEAD, "{usage:?}");
    let (taken, most) = (disk(store.path()), usage.total + CONSTANT);
    assert!(taken <= most, "{taken} of {most} bytes");

    // A script has all records, and reads the responses one after another.
    let records = fetch.records().await.unwrap();
    for record in records.iter().step_by(10) {
        let head = record.response_ready().await.unwrap().head;
        assert_eq!(head.headers.len(), 30);
    }
    let peak = peak();
    assert!(peak < 200_000_000, "{peak} bytes");
    assert!(peak - before < responses * HEAD / 2, "{before} before, {peak} after");

    // The next start reads them one after another, too.
    drop((manager, registration, fetch, records));
    engine.shutdown().await.unwrap();
    let engine = open(store.path(), 1 << 30, ScriptedHost::new([Behaviour::NeverSettle]));
    assert_eq!(engine.usage(site()).await.unwrap().metadata, usage.metadata);
    assert!(self::peak() < 200_000_000);
    engine.shutdown().await.unwrap();

    // With less quota the fetch ends, and what was stored is deleted with it.
    let small = TempDir::new().unwrap();
    let quota = 20 * MIB;
    let engine = open(small.path(), quota, ScriptedHost::new([Behaviour::Succeed]));
    let mut observer = engine.observe().await.unwrap();
    let manager = engine.register(site(), url.clone()).await.unwrap().background_fetch();
    let urls = (0..100).map(|number| url.join(&number.to_string()).unwrap());
    let fetch = manager.fetch("heads", urls, FetchOptions::default()).await.unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Err(FailureReason::QuotaExceeded));
    while !matches!(observer.next().await.unwrap().what, bgfetch::What::EventEnded { .. }) {}
    assert!(engine.usage(site()).await.unwrap().total < MIB);
    engine.shutdown().await.unwrap();
    let taken = disk(small.path());
    assert!(taken <= CONSTANT, "{taken} bytes after everything was deleted");
}
