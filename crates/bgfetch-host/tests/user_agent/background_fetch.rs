//! Background fetches of pages.

use bgfetch_testkit::{Gate, Resource, Serve};
use serde_json::json;

use crate::agent::{Agent, run};

/// A worker that tells what a fetch brought.
pub(crate) const TELLING: &str = "
    oninstall = (event) => event.waitUntil(skipWaiting());
    onbackgroundfetchsuccess = (event) => event.waitUntil((async () => {
        const lengths = [];
        for (const record of await event.registration.matchAll()) {
            lengths.push((await (await record.responseReady).arrayBuffer()).byteLength);
        }
        console.log(`${event.registration.id}: ${lengths}`);
    })());";

#[tokio::test(flavor = "multi_thread")]
async fn a_page_from_a_server_fetches_and_its_worker_is_told() {
    let agent = Agent::start().await;
    agent.serve_script("/sw.js", TELLING);
    agent.serve_script("/page.js", "self.script = 'sw.js';");
    agent.origin.serve("/film", Resource::new(1, 5000));
    let page = agent
        .page(
            "<!doctype html><title>Films</title><script src=page.js></script><script>
                 navigator.serviceWorker.register(script);
                 navigator.serviceWorker.ready.then((registration) =>
                     registration.backgroundFetch.fetch('film', '/film'));
             </script>",
        )
        .await;
    assert_eq!(agent.next_line().await, "film: 5000");
    drop(page);
    agent.user_agent.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn fetches_go_on_in_order_when_the_engine_is_started_again_and_resume_by_range() {
    let agent = Agent::start().await;
    agent.serve_script("/sw.js", TELLING);
    let (gate, asked) = (Gate::new(), Gate::new());
    for id in ["c", "a", "b"] {
        let film = Resource::new(1, 5000).etag("\"1\"");
        let rest = film.clone().hold_head(&asked);
        agent.origin.serve(format!("/{id}"), film.hold_at(2000, &gate).then(rest));
    }
    let page = agent.page("").await;
    let ids = run(
        &page,
        "await navigator.serviceWorker.register('sw.js');
         self.manager = (await navigator.serviceWorker.ready).backgroundFetch;
         for (const id of ['c', 'a', 'b']) {
             const fetch = await manager.fetch(id, id);
             await new Promise((resolve) => fetch.onprogress = () => fetch.downloaded > 0 && resolve());
         }
         return await manager.getIds();",
    );
    assert_eq!(ids.await, json!(["c", "a", "b"]));
    agent.user_agent.restart_engine().await.unwrap();
    let ids = run(&page, "return await manager.getIds();").await;
    assert_eq!(ids, json!(["c", "a", "b"]));
    asked.open();
    let mut told = [agent.next_line().await, agent.next_line().await, agent.next_line().await];
    told.sort();
    assert_eq!(told, ["a: 5000", "b: 5000", "c: 5000"]);
    for path in ["/a", "/b", "/c"] {
        let requests = agent.origin.requests_to(path);
        assert_eq!(requests.len(), 2);
        assert!(requests[1].range_start() > Some(0), "{path}: {:?}", requests[1].range());
    }
}
