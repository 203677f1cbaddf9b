//! A user agent whose process is killed in the middle of a download.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bgfetch::{HyperFetcher, What};
use bgfetch_host::{PermissionState, UserAgent, UserAgentOptions};
use bgfetch_testkit::{Gate, Origin, Reply, Resource, Serve};
use serde_json::json;
use tokio::sync::mpsc;

use crate::agent::{html_reply, run, script_reply};

/// The parameters of the child: the folder, and the page that it opens.
const FOLDER: &str = "BGFETCH_HOST_TEST_FOLDER";
const PAGE: &str = "BGFETCH_HOST_TEST_PAGE";

const WORKER: &str = "
    onbackgroundfetchsuccess = (event) => event.waitUntil((async () => {
        const [record] = await event.registration.matchAll();
        const cache = await caches.open('films');
        await cache.put(record.request, await record.responseReady);
        console.log(`told of ${event.registration.id}`);
    })());";

const HTML: &str = "<!doctype html><script>
    navigator.serviceWorker.register('sw.js');
    navigator.serviceWorker.ready.then(async (registration) => {
        await registration.backgroundFetch.fetch('film', '/film');
        console.log('fetching');
    });
</script>";

async fn open(folder: &Path) -> (UserAgent, mpsc::UnboundedReceiver<String>) {
    let (sender, lines) = mpsc::unbounded_channel();
    let user_agent = UserAgent::open(UserAgentOptions {
        open_window: None,
        query_permission: Arc::new(|_, _| PermissionState::Granted),
        show_notification: Arc::new(|_, _| ()),
        folder: Some(folder.to_owned()),
        fetcher: Arc::new(HyperFetcher::new().unwrap()),
        console: Arc::new(move |_, _, message| drop(sender.send(message.to_owned()))),
        idle_limit: Duration::from_secs(3600),
        event_limit: Duration::from_secs(60),
        configure: Arc::new(|builder| builder),
        prelude: None,
    });
    (user_agent.await.unwrap(), lines)
}

/// Not a test of its own: the code of the killed process, which the test below runs.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_downloads_until_it_is_killed() {
    let (Some(folder), Ok(page)) = (env::var_os(FOLDER), env::var(PAGE)) else {
        return;
    };
    let (user_agent, mut lines) = open(&PathBuf::from(folder)).await;
    let _page = user_agent.open_page(page.parse().unwrap()).await.unwrap();
    while let Some(line) = lines.recv().await {
        println!("console: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_of_a_killed_process_ends_without_a_page_and_its_worker_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::start();
    let (gate, rest) = (Gate::new(), Gate::new());
    let film = Resource::new(1, 300_000).etag("\"1\"");
    origin.serve("/page.html", html_reply(HTML));
    origin.serve("/sw.js", script_reply(WORKER));
    origin.serve("/film", film.clone().hold_at(100_000, &gate).then(film.hold_head(&rest)));

    let mut child = Command::new(env::current_exe().unwrap())
        .args(["killed::child_that_downloads_until_it_is_killed", "--exact"])
        .args(["--nocapture", "--test-threads=1"])
        .env(FOLDER, folder.path())
        .env(PAGE, origin.url("/page.html").as_str())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = tokio::task::spawn_blocking(move || {
        said.map_while(Result::ok).any(|line| line.contains("console: fetching"))
    });
    assert!(told.await.unwrap(), "the child did not get to its fetch");
    gate.reached().await;
    child.kill().unwrap();
    child.wait().unwrap();
    // The next start finds nothing but the film.
    for path in ["/page.html", "/sw.js"] {
        origin.serve(path, Reply::status(404));
    }

    let (user_agent, mut lines) = open(folder.path()).await;
    let mut observer = user_agent.engine().unwrap().observe().await.unwrap();
    rest.open();
    assert_eq!(lines.recv().await.unwrap(), "told of film");
    while observer.next().await.is_some_and(|event| !matches!(event.what, What::EventEnded { .. }))
    {
    }
    user_agent.shutdown().await.unwrap();
    assert!(lines.recv().await.is_none());

    let (user_agent, mut lines) = open(folder.path()).await;
    origin.serve("/elsewhere", html_reply(""));
    let page = user_agent.open_page(origin.url("/elsewhere")).await.unwrap();
    let seen = "const film = await (await caches.match('/film')).arrayBuffer();
                const registration = await navigator.serviceWorker.ready;
                return [film.byteLength, await registration.backgroundFetch.getIds()];";
    assert_eq!(run(&page, seen).await, json!([300_000, []]));
    drop(page);
    user_agent.shutdown().await.unwrap();
    assert!(lines.recv().await.is_none(), "the worker was told again");
    assert_eq!(origin.requests_to("/film").len(), 2);
}
