//! `caches` and Cache as scripts see them.

use std::sync::Arc;

use bgfetch::{PolicySnapshot, StorageKey};
use bgfetch_host::{AgentResources, Realm, RealmKind, RealmOptions};
use serde_json::{Value, json};

use crate::agent::{Agent, run};

/// Runs the body of an async function in a new window.
async fn in_window(body: &str) -> Value {
    let agent = Agent::start().await;
    run(&agent.window(), body).await
}

#[tokio::test]
async fn what_was_put_is_found() {
    let seen = in_window(
        "const cache = await caches.open('c');
         const init = { status: 203, statusText: 'Fine', headers: { 'x-own': '1' } };
         const put = await cache.put('/a#f', new Response('a body', init));
         await cache.put(new Request('/empty'), new Response(null, { status: 204 }));
         await cache.put('/binary', new Response(new Uint8Array(300000).fill(7)));
         const found = await cache.match('/a');
         let immutable = false;
         try { found.headers.set('a', 'b'); } catch (error) { immutable = error instanceof TypeError; }
         const { status, statusText, type, url } = found;
         const empty = await cache.match('/empty');
         const binary = new Uint8Array(await (await cache.match('/binary')).arrayBuffer());
         const keys = await cache.keys();
         return [
             typeof put, status, statusText, type, url, [...found.headers], immutable,
             await found.text(), await (await cache.match('/a')).text(), empty.status, empty.body,
             binary.length, binary.every((byte) => byte === 7),
             keys.map(({ url, method }) => [url.slice(location.origin.length), method]),
             Object.isFrozen(keys), Object.isFrozen(await cache.matchAll()),
             (await cache.matchAll()).length, await cache.match('/none'),
         ];",
    );
    let headers = json!([["content-type", "text/plain;charset=UTF-8"], ["x-own", "1"]]);
    let keys = json!([["/a#f", "GET"], ["/empty", "GET"], ["/binary", "GET"]]);
    assert_eq!(
        seen.await,
        json!([
            "undefined",
            203,
            "Fine",
            "default",
            "",
            headers,
            true,
            "a body",
            "a body",
            204,
            null,
            300_000,
            true,
            keys,
            true,
            true,
            3,
            null
        ])
    );
}

#[tokio::test]
async fn requests_match_by_url_method_and_vary() {
    let seen = in_window(
        "const cache = await caches.open('c');
         const put = (url, headers, vary) =>
             cache.put(new Request(url, { headers }), new Response(url, { headers: { vary } }));
         await put('/a?1', { accept: 'x' }, 'Accept');
         await put('/a?1', { accept: 'y' }, 'Accept');
         await put('/a?2', {}, 'x-other');
         const texts = async (request, options) =>
             Promise.all((await cache.matchAll(request, options)).map((found) => found.text()));
         const x = new Request('/a?1', { headers: { accept: 'x' } });
         const post = new Request('/a?2', { method: 'POST' });
         return [
             await texts(x), await texts('/a?1'), await texts('/a?1', { ignoreVary: true }),
             await texts('/a'), await texts('/a', { ignoreSearch: true }),
             await texts('/a', { ignoreSearch: true, ignoreVary: true }),
             await texts(post), await texts(post, { ignoreMethod: true }),
             (await cache.keys(x)).length,
         ];",
    );
    let all = json!(["/a?1", "/a?1", "/a?2"]);
    let expected = json!([["/a?1"], [], ["/a?1", "/a?1"], [], ["/a?2"], all, [], ["/a?2"], 1]);
    assert_eq!(seen.await, expected);
}

#[tokio::test]
async fn a_put_replaces_what_it_matches_and_delete_removes_it() {
    let seen = in_window(
        "const cache = await caches.open('c');
         for (const [url, text] of [['/a', '1'], ['/b', '2'], ['/a', '3'], ['/c?1', '4']]) {
             await cache.put(url, new Response(text));
         }
         const texts = async () =>
             Promise.all((await cache.matchAll()).map((found) => found.text()));
         const before = await texts();
         const kept = await cache.match('/b');
         const deleted = [await cache.delete('/b'), await cache.delete('/b'),
             await cache.delete(new Request('/a', { method: 'POST' })),
             await cache.delete('/c', { ignoreSearch: true })];
         return [before, deleted, await texts(), await kept.text()];",
    );
    let expected = json!([["2", "3", "4"], [true, false, false, true], ["3"], "2"]);
    assert_eq!(seen.await, expected);
}

#[tokio::test]
async fn what_a_cache_must_not_hold_is_refused() {
    let seen = in_window(
        "const cache = await caches.open('c');
         const name = (promise) => promise.then(() => 'put', (error) => error.name);
         const used = new Response('x');
         await used.text();
         const locked = new Response('x');
         locked.body.getReader();
         const twice = new Response('x');
         await cache.put('/twice', twice);
         return [
             await name(cache.put('data:,x', new Response('x'))),
             await name(cache.put('https://[', new Response('x'))),
             await name(cache.put(new Request('/', { method: 'POST' }), new Response('x'))),
             await name(cache.put('/', new Response('x', { status: 206 }))),
             await name(cache.put('/', new Response('x', { headers: { vary: 'a, *' } }))),
             await name(cache.put('/', used)), await name(cache.put('/', locked)),
             twice.bodyUsed, await name(cache.put('/', twice)),
             await name(cache.put('/', {})), await name(cache.put('/')),
             (await cache.keys()).length,
         ];",
    );
    let refused = "TypeError";
    let mut expected = vec![json!(refused); 7];
    expected.extend([json!(true), json!(refused), json!(refused), json!(refused), json!(1)]);
    assert_eq!(seen.await, Value::Array(expected));
}

#[tokio::test]
async fn a_body_that_fails_is_the_failure_of_its_put() {
    let seen = in_window(
        "const cache = await caches.open('c');
         const failure = { mine: true };
         let pulls = 0;
         const body = new ReadableStream({
             pull(controller) {
                 if (++pulls === 3) throw failure;
                 controller.enqueue(new Uint8Array(10));
             },
         });
         const caught = await cache.put('/', new Response(body)).catch((error) => error);
         const text = new ReadableStream({ start(controller) { controller.enqueue('text'); } });
         const wrong = await cache.put('/', new Response(text)).catch((error) => error);
         return [caught === failure, wrong instanceof TypeError, (await cache.keys()).length];",
    );
    assert_eq!(seen.await, json!([true, true, 0]));
}

#[tokio::test]
async fn caches_have_names() {
    let seen = in_window(
        "const odd = 'a\\ud800';
         const first = await caches.open(odd);
         await first.put('/a', new Response('first'));
         const second = await caches.open('');
         await second.put('/a', new Response('second'));
         await second.put('/b', new Response('b'));
         const text = async (...query) => (await caches.match(...query))?.text();
         const found = [await text('/a'), await text('/b'), await text('/a', { cacheName: '' }),
             await text('/b', { cacheName: odd }), await text('/c'),
             await text('/a', { cacheName: 'none' })];
         const keys = await caches.keys();
         const has = [await caches.has(odd), await caches.has('a\\ufffd')];
         const deleted = [await caches.delete(odd), await caches.delete(odd)];
         const kept = await (await first.match('/a')).text();
         const again = await caches.open(odd);
         return [found, keys.map((key) => key.length), keys[0] === odd, has, deleted, kept,
             (await again.keys()).length, (await caches.keys()).length, first === again,
             await text('/a')];",
    );
    let found = json!(["first", "b", "second", null, null, null]);
    let expected =
        json!([found, [2, 0], true, [true, false], [true, false], "first", 0, 2, false, "second"]);
    assert_eq!(seen.await, expected);
}

#[tokio::test]
async fn realms_of_a_storage_key_have_the_same_caches() {
    let agent = Agent::start().await;
    let (window, worker) = (agent.window(), agent.service_worker("").await);
    run(&window, "await (await caches.open('c')).put('/a', new Response('x')); return 0;").await;
    let seen =
        run(&worker, "return [await (await caches.match('/a')).text(), await caches.keys()];");
    assert_eq!(seen.await, json!(["x", ["c"]]));
    let dedicated = agent.realm(RealmKind::DedicatedWorker, "/worker.js", None);
    let seen = dedicated.run_script("test.js", "caches.has('c')").await;
    assert_eq!(seen.unwrap(), json!(true));
}

#[tokio::test]
async fn only_secure_contexts_have_caches() {
    let agent = Agent::start().await;
    for expected in [false, true] {
        let url = agent.origin.url("/page.html");
        let policies = PolicySnapshot::of(&url).with(|it| it.secure_context = expected);
        let realm = Realm::start(RealmOptions {
            kind: RealmKind::Window,
            url,
            scope: None,
            background_fetch: bgfetch_deno::Options {
                engine: agent.engine.subscribe(),
                storage_key: StorageKey("other".into()),
                policies: Arc::new(move || policies.clone()),
                events: None,
            },
            resources: AgentResources::default(),
            console: Arc::new(|_, _, _| ()),
            network: None,
        })
        .unwrap();
        let names = "['caches', 'Cache', 'CacheStorage'].map((name) => name in self)";
        let seen = realm.run_script("test.js", names).await.unwrap();
        assert_eq!(seen, json!([expected, expected, expected]));
        if expected {
            // This user agent has no caches.
            let refused = "caches.keys().catch((error) => error.name)";
            let seen = realm.run_script("test.js", refused).await.unwrap();
            assert_eq!(seen, json!("NotSupportedError"));
        }
    }
}
