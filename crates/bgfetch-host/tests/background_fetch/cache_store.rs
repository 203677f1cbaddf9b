//! The caches on disk, and the bodies that they take over from background fetches.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use bgfetch::What;
use bgfetch_host::CacheStore;
use bgfetch_testkit::{Gate, Resource, Serve};
use serde_json::json;
use tempfile::TempDir;

use crate::agent::{Agent, hold, run};

/// An agent that keeps everything in a folder.
async fn in_folder(folder: &TempDir) -> Agent {
    let caches = CacheStore::open(&folder.path().join("caches")).unwrap();
    let store = folder.path().join("store");
    Agent::with_caches(caches, |builder| builder.directory(store)).await
}

/// The files of cached bodies.
fn bodies(folder: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.path().join("caches/bodies")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The only file of a cached body.
fn body(folder: &TempDir) -> PathBuf {
    let [path] = <[PathBuf; 1]>::try_from(bodies(folder)).unwrap();
    path
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

const COUNT: &str = "return (await (await caches.open('c')).keys()).length;";

#[tokio::test]
async fn caches_are_private_and_no_name_in_them_leads_out() {
    let folder = tempfile::tempdir().unwrap();
    let caches = folder.path().join("caches");
    fs::create_dir(&caches).unwrap();
    fs::set_permissions(&caches, fs::Permissions::from_mode(0o755)).unwrap();
    let agent = in_folder(&folder).await;
    run(
        &agent.window(),
        "await (await caches.open('c')).put('/a', new Response('x')); return null;",
    )
    .await;
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&caches), mode(&caches.join("bodies"))), (0o700, 0o700));
    for file in [body(&folder), caches.join("caches.sqlite"), caches.join("caches.sqlite-wal")] {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    drop(agent);

    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    for name in ["caches.sqlite", "caches.sqlite-wal"] {
        let planted = caches.join(name);
        fs::remove_file(&planted).ok();
        symlink(&victim, &planted).unwrap();
        let refused = CacheStore::open(&caches).unwrap_err().to_string();
        assert!(refused.contains(&format!("{name} is a symbolic link")), "{refused}");
        fs::remove_file(&planted).unwrap();
    }
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

#[tokio::test]
async fn caches_are_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let agent = in_folder(&folder).await;
    run(
        &agent.window(),
        "const cache = await caches.open('c');
         for (const path of ['/a', '/b', '/gone', '/cut']) await cache.put(path, new Response(path));
         await caches.open('deleted').then((deleted) => deleted.put('/a', new Response('x')));
         self.kept = await caches.open('deleted');
         await caches.delete('deleted');
         return null;",
    )
    .await;
    assert_eq!(bodies(&folder).len(), 4);
    // Nothing else may write there in the meantime.
    CacheStore::open(&folder.path().join("caches")).unwrap_err();
    drop(agent);
    // What a crash, or a user, may leave behind.
    let [_, _, gone, cut] = <[PathBuf; 4]>::try_from(bodies(&folder)).unwrap();
    fs::remove_file(gone).unwrap();
    fs::write(cut, "/").unwrap();
    fs::write(folder.path().join("caches/bodies/77"), "half a body").unwrap();
    fs::write(folder.path().join("caches/bodies/.bgfetch-x"), "half a link").unwrap();
    let agent = in_folder(&folder).await;
    let window = agent.window();
    let seen = run(
        &window,
        "const cache = await caches.open('c');
         const texts = (await cache.matchAll()).map((found) => found.text());
         return [await Promise.all(texts), await caches.keys()];",
    );
    assert_eq!(seen.await, json!([["/a", "/b"], ["c"]]));
    assert_eq!(bodies(&folder).len(), 2);
}

#[tokio::test]
async fn a_put_that_does_not_end_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let agent = in_folder(&folder).await;
    let window = agent.window();
    let begun = run(
        &window,
        "const cache = await caches.open('c');
         await cache.put('/a', new Response('old'));
         const begun = Promise.withResolvers();
         let pulls = 0;
         cache.put('/a', new Response(new ReadableStream({
             pull(controller) {
                 if (++pulls === 10) begun.resolve();
                 else if (pulls < 10) controller.enqueue(new Uint8Array(100000));
             },
         })));
         await begun.promise;
         return (await (await cache.match('/a')).text());",
    );
    assert_eq!(begun.await, json!("old"));
    assert_eq!(bodies(&folder).len(), 2);
    drop(window);
    assert_eq!(bodies(&folder).len(), 1);
    assert_eq!(fs::read(body(&folder)).unwrap(), b"old");
    assert_eq!(run(&agent.window(), COUNT).await, json!(1));
}

#[tokio::test]
async fn a_large_body_goes_to_its_file_and_back_in_chunks() {
    let folder = tempfile::tempdir().unwrap();
    let agent = in_folder(&folder).await;
    let window = agent.window();
    let seen = run(
        &window,
        "const cache = await caches.open('c');
         const chunks = 256;
         let pulled = 0;
         const body = new ReadableStream({
             pull(controller) {
                 if (pulled === chunks) return controller.close();
                 controller.enqueue(new Uint8Array(100000).fill(pulled++));
             },
         }, { highWaterMark: 0 });
         await cache.put('/large', new Response(body));
         const reader = (await cache.match('/large')).body.getReader();
         let [length, right, largest] = [0, true, 0];
         for (;;) {
             const { done, value } = await reader.read();
             if (done) return [length, right, largest <= 1 << 20];
             right &&= value[0] === Math.floor(length / 100000);
             largest = Math.max(largest, value.length);
             length += value.length;
         }",
    );
    assert_eq!(seen.await, json!([25_600_000, true, true]));
    assert_eq!(fs::metadata(body(&folder)).unwrap().len(), 25_600_000);
}

#[tokio::test]
async fn files_go_when_nobody_reads_them_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let agent = in_folder(&folder).await;
    let window = agent.window();
    let put = "const cache = self.cache = await caches.open('c');
               await cache.put('/a', new Response('a'));
               await cache.put('/a', new Response('b'));
               self.found = await cache.match('/a');
               await caches.delete('c');
               return null;";
    run(&window, put).await;
    assert_eq!(fs::read(body(&folder)).unwrap(), b"b");
    let read = "await cache.delete('/a');
                return [await found.text(), (await cache.keys()).length];";
    assert_eq!(run(&window, read).await, json!(["b", 0]));
    drop(window);
    assert_eq!(bodies(&folder), [] as [PathBuf; 0]);
}

/// Puts a record of the fetch into a cache.
const PUT_RECORD: &str = "
    const putRecord = async (registration) => {
        const record = await registration.match('/film');
        const cache = await caches.open('c');
        await cache.put(record.request, await record.responseReady);
    };";

#[tokio::test]
async fn a_record_s_body_is_taken_over_without_a_copy_and_stays_when_the_fetch_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let agent = in_folder(&folder).await;
    let film = Resource::new(1, 3 << 20);
    agent.origin.serve("/film", film.clone().header("Content-Type", "video/x"));
    let mut observer = agent.engine().observe().await.unwrap();
    let worker = agent
        .service_worker(&format!(
            "{PUT_RECORD}
             const ending = Promise.withResolvers();
             const put = new Promise((resolve) => onbackgroundfetchsuccess = (event) => {{
                 event.waitUntil(putRecord(event.registration).then(() => {{
                     resolve();
                     return ending.promise;
                 }}));
             }});"
        ))
        .await;
    let window = agent.window();
    run(&window, "await backgroundFetch.fetch('film', '/film'); return null;").await;
    run(&worker, "await put; return null;").await;
    let stored = folder.path().join("store/bodies/0/0.1");
    assert_eq!(inode(&body(&folder)), inode(&stored));
    run(&worker, "ending.resolve(); return null;").await;
    while observer.next().await.is_some_and(|event| !matches!(event.what, What::EventEnded { .. }))
    {
    }
    agent.engine().shutdown().await.unwrap();
    assert!(!stored.exists());
    assert_eq!(fs::metadata(body(&folder)).unwrap().nlink(), 1);
    film.matches_file(body(&folder)).unwrap();
    let seen = run(
        &window,
        "const found = await caches.match('/film');
         return [new URL(found.url).pathname, found.type, found.headers.get('content-type'),
             (await found.arrayBuffer()).byteLength];",
    );
    assert_eq!(seen.await, json!(["/film", "basic", "video/x", 3 << 20]));
}

#[tokio::test]
async fn a_record_s_body_that_still_arrives_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let agent = in_folder(&folder).await;
    let (film, gate) = (Resource::new(1, 200_000), Gate::new());
    agent.origin.serve("/film", film.clone().hold_at(100_000, &gate));
    let window = agent.window();
    let begin = format!(
        "{PUT_RECORD}
         self.put = putRecord(await backgroundFetch.fetch('film', '/film'));
         return null;"
    );
    run(&window, begin).await;
    gate.reached().await;
    assert_eq!(run(&window, COUNT).await, json!(0));
    gate.open();
    run(&window, "await put; return null;").await;
    assert_eq!(run(&window, COUNT).await, json!(1));
    film.matches_file(body(&folder)).unwrap();
    assert_eq!(inode(&body(&folder)), inode(&folder.path().join("store/bodies/0/0.1")));
}

#[tokio::test]
async fn a_record_without_a_whole_body_is_not_put() {
    let folder = tempfile::tempdir().unwrap();
    let agent = in_folder(&folder).await;
    let gate = Gate::new();
    agent.origin.serve("/film", Resource::new(1, 200_000).hold_at(100_000, &gate));
    let window = agent.window();
    let seen = format!(
        "{PUT_RECORD}
         const registration = await backgroundFetch.fetch('film', '/film');
         await (await registration.match('/film')).responseReady;
         const put = putRecord(registration).catch((error) => error.name);
         await registration.abort();
         return await put;"
    );
    assert_eq!(run(&window, seen).await, json!("AbortError"));
    assert_eq!(run(&window, COUNT).await, json!(0));
    assert_eq!(bodies(&folder), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn a_record_s_body_is_copied_where_it_has_no_file_of_its_own_or_was_cloned() {
    let agent = Agent::start().await;
    let film = Resource::new(1, 300_000);
    agent.origin.serve("/film", film.clone());
    agent.origin.serve("/held", hold());
    let seen = format!(
        "{PUT_RECORD}
         const registration = await backgroundFetch.fetch('film', ['/film', '/held']);
         await putRecord(registration);
         const record = await registration.match('/film');
         const response = await record.responseReady;
         const cache = await caches.open('c');
         await cache.put('/clone', response.clone());
         await cache.put('/again', await cache.match('/clone'));
         const bytes = async (response) => [...new Uint8Array(await response.arrayBuffer())];
         const expected = String(await bytes(response));
         return await Promise.all((await cache.matchAll()).map(
             async (found) => String(await bytes(found)) === expected));"
    );
    assert_eq!(run(&agent.window(), seen).await, json!([true, true, true]));
}
