//! Service workers whose scripts and events take too long.

use std::time::Duration;

use bgfetch_testkit::Origin;
use serde_json::json;

use crate::user_agent::{NEVER_IDLE, Scripts, UserAgent, registration, run};

/// Long enough for a worker to start on a busy machine, and not longer than a test may wait.
const LIMIT: Duration = Duration::from_secs(3);

/// A user agent with a worker that runs this script.
async fn start(script: &str) -> UserAgent {
    let scripts = Scripts::of(&[("/sw.js", script)]);
    UserAgent::with_limits(&scripts, None, NEVER_IDLE, LIMIT).await
}

/// The console message of a worker whose event took too long.
const TOO_LONG: &str = "An event takes too long: the service worker is stopped.";

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_script_never_ends_is_not_registered() {
    let origin = Origin::start();
    let agent = start("for (;;);").await;
    let page = agent.window(&origin.url("/"));
    let seen = run(
        &page,
        "const refused = await container.register('sw.js').catch((error) => error.name);
         return [refused, (await container.getRegistrations()).length];",
    );
    assert_eq!(seen.await, json!(["TypeError", 0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_install_event_never_ends_is_redundant() {
    let origin = Origin::start();
    let agent = start("oninstall = (event) => event.waitUntil(new Promise(() => {}));").await;
    let page = agent.window(&origin.url("/"));
    let seen = run(
        &page,
        "const { installing } = await container.register('sw.js');
         await until(installing, 'redundant');
         return (await container.getRegistrations()).length;",
    );
    assert_eq!(seen.await, json!(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_activate_event_never_ends_is_stopped_and_active() {
    let origin = Origin::start();
    let script = "
        console.log('started');
        onactivate = (event) => event.waitUntil(new Promise(() => {}));
        onmessage = ({ data }) => console.log(data);";
    let mut agent = start(script).await;
    let page = agent.window(&origin.url("/"));
    let seen = run(
        &page,
        "const { installing } = self.registration = await container.register('sw.js');
         await until(installing, 'activated');
         return registration.active === installing;",
    );
    assert_eq!(seen.await, json!(true));
    assert!(!agent.workers.is_running(&registration(&origin)).await);
    run(&page, "registration.active.postMessage('hello'); return null;").await;
    for line in ["started", TOO_LONG, "started", "hello"] {
        assert_eq!(agent.next_line().await, line);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_message_event_never_ends_is_stopped_and_the_next_message_starts_it() {
    let origin = Origin::start();
    let script = "
        console.log('started');
        onmessage = (event) => {
            console.log(event.data);
            if (event.data === 'waits') event.waitUntil(new Promise(() => {}));
            for (; event.data === 'loops';);
        };";
    let mut agent = start(script).await;
    let page = agent.window(&origin.url("/"));
    run(
        &page,
        "const { installing } = await container.register('sw.js');
         await until(installing, 'activated');
         self.worker = installing;
         return null;",
    )
    .await;
    assert_eq!(agent.next_line().await, "started");
    for data in ["loops", "waits", "done"] {
        run(&page, &format!("worker.postMessage('{data}'); return null;")).await;
        assert_eq!(agent.next_line().await, data);
        if data != "done" {
            // It is stopped at the limit, not earlier.
            while agent.workers.is_running(&registration(&origin)).await {
                tokio::task::yield_now().await;
            }
            assert_eq!(agent.next_line().await, TOO_LONG);
            run(&page, "worker.postMessage('again'); return null;").await;
            assert_eq!([agent.next_line().await, agent.next_line().await], ["started", "again"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_stopped_while_its_script_begins() {
    let origin = Origin::start();
    let script = "if (registration.active !== null) { console.log('loops'); for (;;); }";
    let scripts = Scripts::of(&[("/sw.js", script)]);
    let mut agent = UserAgent::with_limits(&scripts, None, NEVER_IDLE, NEVER_IDLE).await;
    let page = agent.window(&origin.url("/"));
    let ready = "const { installing } = self.registration = await container.register('sw.js');
                 await until(installing, 'activated');
                 return null;";
    run(&page, ready).await;
    agent.workers.stop(&registration(&origin)).await;
    run(&page, "registration.active.postMessage(''); return null;").await;
    assert_eq!(agent.next_line().await, "loops");
    let key = registration(&origin);
    let stopped = tokio::time::timeout(LIMIT * 10, agent.workers.stop(&key));
    stopped.await.expect("it waits for the end of the script");
}
