//! Fetching into caches, and the caches that a user agent stores.

use bgfetch_testkit::{Gate, Reply, Resource, Serve};
use serde_json::json;

use crate::agent::{Agent, run};

#[tokio::test(flavor = "multi_thread")]
async fn add_fetches_and_puts() {
    let agent = Agent::start().await;
    agent.origin.serve("/text", Reply::text("text/x", "a text"));
    agent.origin.serve("/film", Resource::new(1, 3 << 20));
    let page = agent.page("").await;
    let seen = run(
        &page,
        "self.fetch = () => { throw 'not this one'; };
         const cache = await caches.open('c');
         const added = [await cache.add('/text'), await cache.addAll([new Request('/film'), '/text?1']),
             await cache.addAll([])];
         const found = await cache.match('/text');
         return [
             added, (await cache.keys()).map(({ url }) => url.slice(location.origin.length)),
             new URL(found.url).pathname, found.type, found.headers.get('content-type'),
             await found.text(), (await (await cache.match('/film')).arrayBuffer()).byteLength,
         ];",
    );
    // The server has no separate /text?1: only the path counts.
    let keys = json!(["/text", "/film", "/text?1"]);
    let expected = json!([[null, null, null], keys, "/text", "basic", "text/x", "a text", 3 << 20]);
    assert_eq!(seen.await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_added_or_nothing() {
    let agent = Agent::start().await;
    let whole = Gate::new();
    agent.origin.serve("/text", Reply::text("text/x", "a text"));
    agent.origin.serve("/varies", Reply::text("text/x", "a text").header("Vary", "*"));
    agent.origin.serve("/missing", Reply::status(404));
    agent.origin.serve("/held", Resource::new(1, 100_000).hold_at(50_000, &whole));
    let page = agent.page("").await;
    let seen = run(
        &page,
        "const cache = await caches.open('c');
         const name = (promise) => promise.then(() => 'added', (error) => error.name);
         const controller = new AbortController();
         const aborted = name(cache.addAll(['/text', new Request('/held', controller)]));
         self.abort = async () => { controller.abort(); return await aborted; };
         return [
             await name(cache.add('/missing')), await name(cache.add('/varies')),
             await name(cache.add('data:,x')), await name(cache.add()),
             await name(cache.add(new Request('/text', { method: 'POST' }))),
             await name(cache.addAll(['/text', '/missing'])),
             await name(cache.addAll(['/held', '/missing'])),
             await name(cache.addAll(['/text', '/text#f'])), await name(cache.addAll('/text')),
         ];",
    );
    let refused = "TypeError";
    let twice = "InvalidStateError";
    assert_eq!(
        seen.await,
        json!([refused, refused, refused, refused, refused, refused, refused, twice, refused])
    );
    whole.reached().await;
    assert_eq!(run(&page, "return await abort();").await, json!("AbortError"));
    let count = "return (await (await caches.open('c')).keys()).length;";
    assert_eq!(run(&page, count).await, json!(0));
}
