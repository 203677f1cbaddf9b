//! Background fetches of pages.

use bgfetch_testkit::{Gate, Reply, Resource, Serve};
use serde_json::json;

use crate::agent::{Agent, html_reply, run, script_reply};

/// A worker that reports the result of a fetch.
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

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_closes_itself_right_after_its_call_has_its_fetch() {
    let agent = Agent::start().await;
    agent.serve_script("/sw.js", TELLING);
    let gate = Gate::new();
    agent.origin.serve("/film", Resource::new(1, 5000).hold_at(100, &gate));
    agent.serve_html(
        "/page.html",
        "<script>(async () => {
             await navigator.serviceWorker.register('sw.js');
             const { backgroundFetch } = await navigator.serviceWorker.ready;
             backgroundFetch.fetch('film', '/film');
             close();
         })();</script>",
    );
    let page = agent.user_agent.open_page(agent.origin.url("/page.html")).await.unwrap();
    page.closed().await;
    drop(page);
    gate.reached().await;
    gate.open();
    assert_eq!(agent.next_line().await, "film: 5000");
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_bind_the_records_of_pages_and_workers() {
    let agent = Agent::start().await;
    let none = "connect-src 'none'";
    let strict = "onmessage = async ({ source }) => {
        const fetch = await registration.backgroundFetch.fetch('worker', '/film');
        const record = await fetch.match('/film');
        source.postMessage(await record.responseReady.then(() => true, ({ name }) => name));
    };";
    let strict = script_reply(strict).header("Content-Security-Policy", none);
    agent.origin.serve("/strict.js", strict);
    agent.serve_script("/sw.js", "");
    agent.origin.serve("/film", Resource::new(1, 5000));
    let register = "await navigator.serviceWorker.register('sw.js');
                    self.manager = (await navigator.serviceWorker.ready).backgroundFetch;";
    let fetch = |id: &str| {
        format!(
            "const fetch = await manager.fetch('{id}', '/film');
             const record = await fetch.match('/film');
             return await record.responseReady.then(() => true, ({{ name }}) => name);"
        )
    };
    let page = agent.page("").await;
    assert_eq!(run(&page, format!("{register} {}", fetch("free"))).await, json!(true));
    let csp = html_reply("").header("Content-Security-Policy", none);
    agent.origin.serve("/csp.html", csp);
    let page = agent.open("/csp.html").await;
    assert_eq!(run(&page, format!("{register} {}", fetch("header"))).await, json!("TypeError"));
    let meta = format!("<meta http-equiv=Content-Security-Policy content=\"{none}\">");
    let page = agent.page(&meta).await;
    assert_eq!(run(&page, format!("{register} {}", fetch("meta"))).await, json!("TypeError"));
    let of_worker = "
        const told = new Promise((resolve) => {
            navigator.serviceWorker.onmessage = ({ data }) => resolve(data);
        });
        const { installing } = await navigator.serviceWorker.register('strict.js', { scope: '/x' });
        while (installing.state !== 'activated') {
            await new Promise((resolve) =>
                installing.addEventListener('statechange', resolve, { once: true }));
        }
        installing.postMessage(null);
        return await told;";
    assert_eq!(run(&agent.page("").await, of_worker).await, json!("TypeError"));
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_of_workers_are_javascript_at_their_url_within_their_scope() {
    let agent = Agent::start().await;
    agent.serve_script("/sw.js", "importScripts('imported.js'); console.log(imported);");
    agent.serve_script("/imported.js", "self.imported = 'imported';");
    agent.origin.serve("/plain.js", Reply::text("text/plain", ""));
    agent.origin.serve("/moved.js", Reply::redirect(302, "/sw.js"));
    agent.serve_script("/imports.js", "importScripts('plain.js');");
    agent.serve_script("/folder/sw.js", "");
    let wide = script_reply("").header("Service-Worker-Allowed", "/");
    agent.origin.serve("/folder/wide.js", wide);
    let page = agent.page("").await;
    let seen = run(
        &page,
        "const name = (...given) => navigator.serviceWorker.register(...given).then(
             ({ scope }) => new URL(scope).pathname, ({ name }) => name);
         const names = [];
         for (const script of ['missing.js', 'plain.js', 'moved.js', 'imports.js']) {
             names.push(await name(script, { scope: '/' + script }));
         }
         names.push(await name('folder/sw.js', { scope: '/other/' }));
         names.push(await name('folder/wide.js', { scope: '/other/' }));
         names.push(await name('sw.js'));
         return names;",
    );
    let error = "TypeError";
    let expected = json!([error, error, error, error, "SecurityError", "/other/", "/"]);
    assert_eq!(seen.await, expected);
    // The worker's console has the reason and the exception, which does not contain it.
    let reason = agent.next_line().await;
    assert!(reason.contains("/plain.js was not imported") && reason.contains("text/plain"));
    assert!(agent.next_line().await.starts_with("NetworkError: "));
    assert_eq!(agent.next_line().await, "imported");
    let loaded = agent.origin.requests_to("/sw.js");
    assert_eq!(loaded[0].header("service-worker"), Some("script"));
    assert_eq!(agent.origin.requests_to("/imported.js")[0].header("service-worker"), None);
}
