//! BackgroundFetchManager.

use std::sync::Arc;

use bgfetch::{Engine, Permission, PermissionRequest, StorageKey, What, embedder};
use bgfetch_testkit::{Gate, Resource, Serve};
use deno_core::futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::json;

use crate::agent::{Agent, hold, run};

#[tokio::test]
async fn the_page_of_the_specs_overview_works_as_it_stands() {
    let agent = Agent::start().await;
    agent.origin.serve("/ep-5.mp3", Resource::new(1, 60_000));
    agent.origin.serve("/ep-5-artwork.jpg", Resource::new(2, 40_000));
    let worker = agent
        .service_worker(
            "const seen = new Promise((resolve) => {
                addEventListener('backgroundfetchsuccess', (event) => {
                    event.waitUntil((async () => {
                        const records = await event.registration.matchAll();
                        const sizes = records.map(async (record) => {
                            const response = await record.responseReady;
                            return (await response.arrayBuffer()).byteLength;
                        });
                        const all = await Promise.all(sizes);
                        await event.updateUI({ title: 'Episode 5 ready to listen!' });
                        resolve([event.type, event.registration.id, all]);
                    })());
                });
            });",
        )
        .await;
    let window = agent.window();
    let fetched = run(
        &window,
        "if (!('BackgroundFetchManager' in self)) return 'no feature';
         const registration = await navigator.serviceWorker.ready;
         const bgFetch = await registration.backgroundFetch.fetch(
             'my-fetch',
             ['/ep-5.mp3', 'ep-5-artwork.jpg'],
             {
                 title: 'Episode 5: Interesting things.',
                 icons: [{ sizes: '300x300', src: '/ep-5-icon.png', type: 'image/png' }],
                 downloadTotal: 60 * 1024 * 1024,
             },
         );
         return [bgFetch.id, bgFetch.downloadTotal, bgFetch.uploadTotal, bgFetch.result];",
    )
    .await;
    assert_eq!(fetched, json!(["my-fetch", 60 * 1024 * 1024, 0, ""]));
    let seen = run(&worker, "return await seen;").await;
    assert_eq!(seen, json!(["backgroundfetchsuccess", "my-fetch", [60_000, 40_000]]));
    let jobs = agent.engine().ui().jobs().await.unwrap();
    assert_eq!(jobs[0].display.title, "Episode 5 ready to listen!");
    assert_eq!(agent.errors(), [""; 0]);
}

/// What a call rejects with, as `name: type`.
const REJECTION: &str = "const rejection = async (promise) => {
        try { await promise; return 'resolved'; }
        catch (error) { return `${error.constructor.name}: ${error.name}`; }
    };";

#[tokio::test]
async fn arguments_that_cannot_be_converted_reject_and_never_throw() {
    let agent = Agent::start().await;
    let window = agent.window();
    let seen = run(
        &window,
        format!(
            "{REJECTION}
             const {{ fetch }} = BackgroundFetchManager.prototype;
             return Promise.all([
                 backgroundFetch.fetch(),
                 backgroundFetch.fetch('id'),
                 backgroundFetch.fetch('', '/a'),
                 backgroundFetch.fetch('id', []),
                 backgroundFetch.fetch('id', ['/a', 'http://']),
                 backgroundFetch.fetch('id', {{ [Symbol.iterator]: 1 }}),
                 backgroundFetch.fetch('id', new Request('/a', {{ mode: 'no-cors' }})),
                 backgroundFetch.fetch('id', 'https://user:password@a.test/'),
                 backgroundFetch.fetch('id', 'https://a.test:25/'),
                 backgroundFetch.fetch('id', '/a', 1),
                 backgroundFetch.fetch('id', '/a', {{ icons: [{{}}] }}),
                 backgroundFetch.fetch(Symbol(), '/a'),
                 backgroundFetch.get(),
                 backgroundFetch.get(''),
                 fetch.call({{}}, 'id', '/a'),
                 fetch.call(undefined, 'id', '/a'),
             ].map(rejection));"
        ),
    )
    .await;
    assert_eq!(seen, json!(vec!["TypeError: TypeError"; 16]));
    let none =
        run(&window, "return [await backgroundFetch.getIds(), await backgroundFetch.get('id')];");
    assert_eq!(none.await, json!([[], null]));
}

#[tokio::test]
async fn dictionary_members_are_read_in_the_order_of_the_standard() {
    let agent = Agent::start().await;
    agent.origin.serve("/a", hold());
    let window = agent.window();
    let read = run(
        &window,
        "const read = [];
         const log = (object) => new Proxy(object, {
             get: (target, key) => { read.push(key); return target[key]; },
         });
         const icon = log({ src: 'i.png', type: 'image/png', sizes: '1x1', label: 'l' });
         await backgroundFetch.fetch('id', '/a', log({ title: 't', icons: [icon], downloadTotal: 1 }));
         return read;",
    )
    .await;
    assert_eq!(read, json!(["icons", "label", "sizes", "src", "type", "title", "downloadTotal"]));
}

#[tokio::test]
async fn a_total_beyond_what_a_number_can_count_is_taken_modulo_and_stays_a_number() {
    let agent = Agent::start().await;
    agent.origin.serve("/a", hold());
    let window = agent.window();
    let totals = run(
        &window,
        "const total = async (id, downloadTotal) =>
             (await backgroundFetch.fetch(id, '/a', { downloadTotal })).downloadTotal;
         return [await total('a', 2 ** 60), await total('b', 2 ** 64 + 4096), await total('c', 1.5)]
             .map((total) => `${typeof total} ${total}`);",
    );
    let expected = json!(["number 1152921504606847000", "number 4096", "number 1"]);
    assert_eq!(totals.await, expected);
}

#[tokio::test]
async fn a_call_that_is_refused_cancels_the_bodies_streams() {
    let agent = Agent::start().await;
    agent.origin.serve("/held", hold());
    let window = agent.window();
    let cancelled = run(
        &window,
        "await backgroundFetch.fetch('id', '/held');
         const cancelled = new Promise((resolve) => {
             const body = new ReadableStream({ cancel: () => resolve(true) });
             const request = new Request('/a', { method: 'POST', body, duplex: 'half' });
             backgroundFetch.fetch('id', request).catch(() => {});
         });
         return await cancelled;",
    );
    assert_eq!(cancelled.await, json!(true));
}

#[tokio::test]
async fn any_iterable_is_a_sequence_of_requests() {
    let agent = Agent::start().await;
    for path in ["/a", "/b"] {
        agent.origin.serve(path, hold());
    }
    let window = agent.window();
    let urls = run(
        &window,
        "const registration = await backgroundFetch.fetch('id', new Set(['/a', new Request('/b')]));
         return (await registration.matchAll()).map((record) => new URL(record.request.url).pathname);",
    )
    .await;
    assert_eq!(urls, json!(["/a", "/b"]));
}

struct Denied;

impl embedder::Permissions for Denied {
    fn query(&self, _: &PermissionRequest) -> BoxFuture<'static, Permission> {
        Box::pin(std::future::ready(Permission::Denied))
    }
}

/// Keeps the URLs of the icons that the user would see.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<String>>>);

impl embedder::Permissions for Shown {
    fn query(&self, request: &PermissionRequest) -> BoxFuture<'static, Permission> {
        self.0.lock().extend(request.icons.iter().map(|icon| icon.src.to_string()));
        Box::pin(std::future::ready(Permission::Granted))
    }
}

#[tokio::test]
async fn icons_have_absolute_urls_and_are_left_out_without_one() {
    let shown = Shown::default();
    let agent = Agent::with(|builder| builder.permissions(shown.clone())).await;
    agent.origin.serve("/a", hold());
    let window = agent.window();
    let icons = "[{ src: 'a.png' }, { src: 'http://[' }, { src: 'https://b.test/b.png' }]";
    run(&window, format!("await backgroundFetch.fetch('id', '/a', {{ icons: {icons} }});")).await;
    let expected = [agent.origin.url("/a.png").to_string(), "https://b.test/b.png".to_owned()];
    assert_eq!(*shown.0.lock(), expected);
}

struct NoRoom;

impl embedder::Quota for NoRoom {
    fn limit(&self, _: &StorageKey) -> BoxFuture<'static, u64> {
        Box::pin(std::future::ready(1))
    }
}

#[tokio::test]
async fn a_denied_permission_is_a_not_allowed_error() {
    let agent = Agent::with(|builder| builder.permissions(Denied)).await;
    let window = agent.window();
    let seen =
        run(&window, format!("{REJECTION} return rejection(backgroundFetch.fetch('id', '/a'));"));
    assert_eq!(seen.await, json!("DOMException: NotAllowedError"));
}

#[tokio::test]
async fn a_promise_beyond_the_quota_is_a_quota_exceeded_error_of_its_own_interface() {
    let agent = Agent::with(|builder| builder.quota(NoRoom)).await;
    let window = agent.window();
    let seen = run(
        &window,
        "try { await backgroundFetch.fetch('id', '/a', { downloadTotal: 2 }); }
         catch (error) {
             return [error instanceof QuotaExceededError, error instanceof DOMException, error.name,
                 error.quota, error.requested];
         }",
    );
    assert_eq!(seen.await, json!([true, true, "QuotaExceededError", null, null]));
}

#[tokio::test]
async fn an_id_in_use_is_a_type_error_and_one_of_five_calls_wins() {
    let agent = Agent::start().await;
    agent.origin.serve("/a", hold());
    let window = agent.window();
    let seen = run(
        &window,
        format!(
            "{REJECTION}
             const calls = Array.from({{ length: 5 }}, () => backgroundFetch.fetch('id', '/a'));
             return (await Promise.all(calls.map(rejection))).sort();"
        ),
    );
    let refused = "TypeError: TypeError";
    assert_eq!(seen.await, json!([refused, refused, refused, refused, "resolved"]));
}

#[tokio::test]
async fn a_request_keeps_its_method_headers_and_body_and_loses_forbidden_headers() {
    let agent = Agent::start().await;
    agent.origin.serve("/upload", Resource::new(1, 1));
    let window = agent.window();
    let seen = run(
        &window,
        "const request = new Request('/upload', {
             method: 'post',
             headers: { 'X-Own': 'ä', 'Cookie': 'a=b', 'Content-Type': 'text/x' },
             body: 'a body',
         });
         const registration = await backgroundFetch.fetch('id', request);
         return [request.bodyUsed, registration.uploadTotal];",
    );
    assert_eq!(seen.await, json!([true, 6]));
    agent.origin.wait_for_requests(1).await;
    let requests =
        agent.origin.wait_until(|requests| requests.iter().any(|request| request.body.complete));
    let [request] = &requests.await[..] else { panic!("one request") };
    assert_eq!(request.method, "POST");
    assert_eq!(request.body.bytes(), Some(&b"a body"[..]));
    assert_eq!(request.header("content-type"), Some("text/x"));
    assert_eq!(request.headers["x-own"].as_bytes(), b"\xe4");
    assert!(request.header("cookie").is_none());
}

#[tokio::test]
async fn a_body_that_is_a_stream_is_read_as_fast_as_it_is_stored() {
    let agent = Agent::start().await;
    agent.origin.serve("/upload", hold());
    let window = agent.window();
    let seen = run(
        &window,
        "let pulls = 0;
         const body = new ReadableStream({
             pull(controller) {
                 controller.enqueue(new Uint8Array(1 << 16).fill(pulls));
                 if (++pulls === 64) controller.close();
             },
         });
         const request = new Request('/upload', { method: 'PUT', body, duplex: 'half' });
         const { uploadTotal } = await backgroundFetch.fetch('id', request);
         return [pulls, uploadTotal];",
    );
    assert_eq!(seen.await, json!([64, 64 << 16]));
}

#[tokio::test]
async fn a_body_that_fails_is_a_type_error_and_other_calls_go_on_meanwhile() {
    let agent = Agent::start().await;
    agent.origin.serve("/upload", hold());
    let window = agent.window();
    let seen = run(
        &window,
        format!(
            "{REJECTION}
             let fail;
             const body = new ReadableStream({{ start: (controller) => fail = () => controller.error('no') }});
             const request = new Request('/upload', {{ method: 'PUT', body, duplex: 'half' }});
             const call = rejection(backgroundFetch.fetch('slow', request));
             const other = await backgroundFetch.fetch('other', '/upload');
             const ids = await backgroundFetch.getIds();
             fail();
             return [other.id, ids, await call];"
        ),
    );
    assert_eq!(seen.await, json!(["other", ["other"], "TypeError: TypeError"]));
}

#[tokio::test]
async fn dangling_markup_is_seen_in_the_urls_text_and_through_request_objects() {
    let agent = Agent::start().await;
    for path in ["/", "/a"] {
        agent.origin.serve(path, Resource::new(1, 1));
    }
    let window = agent.window();
    let seen = run(
        &window,
        "const text = '/a?\\n<';
         const request = new Request(text);
         let conversions = 0;
         const once = new Request({ toString: () => { conversions++; return text; } });
         class Own extends Request {}
         const own = new Own(text);
         const good = [new URL(text, location.href), new Request(new URL(text, location.href)),
             new Request('/a?<'), new Request('/a?\\n'), new Request(new Request('/a?\\n'))];
         const bad = [text, request, new Request(request), request.clone(), once, own];
         const outcome = async (id, request) => {
             const fetched = await backgroundFetch.fetch(id, request);
             const [record] = await fetched.matchAll();
             return record.responseReady.then((response) => response.status, (error) => error.name);
         };
         let id = 0;
         const outcomes = (requests) =>
             Promise.all(requests.map((request) => outcome(`${id++}`, request)));
         return [
             await outcomes(bad), await outcomes(good), conversions,
             [Request.name, Request.length, Request.prototype.clone.name],
             own instanceof Own && own instanceof Request && own.constructor === Own,
             request.constructor === Request, own.clone() instanceof Request,
         ];",
    );
    let expected =
        json!([vec!["TypeError"; 6], vec![200; 5], 1, ["Request", 1, "clone"], true, true, true,]);
    assert_eq!(seen.await, expected);
}

#[tokio::test]
async fn a_realm_outlives_its_engine_and_goes_on_with_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let agent = Agent::with(move |builder| builder.directory(path)).await;
    let gate = Gate::new();
    agent.origin.serve("/a", hold().then(Resource::new(1, 10).hold_head(&gate)));
    let window = agent.window();
    run(
        &window,
        "self.registration = await backgroundFetch.fetch('id', '/a');
         self.settled = new Promise((resolve) => self.registration.onprogress = () => {
             if (self.registration.result) resolve(self.registration.result);
         });
         return null;",
    )
    .await;
    agent.origin.wait_for_requests(1).await;
    // The process dies: the engine is dropped, and its store opened again.
    drop(agent.engine.send_replace(None));
    let seen = run(&window, format!("{REJECTION} return rejection(backgroundFetch.getIds());"));
    assert_eq!(seen.await, json!("DOMException: AbortError"));
    let engine = Engine::builder().directory(folder.path()).open().unwrap();
    agent.engine.send_replace(Some(engine));
    let same = run(&window, "return await backgroundFetch.get('id') === self.registration;");
    assert_eq!(same.await, json!(true));
    gate.open();
    assert_eq!(run(&window, "return await self.settled;").await, json!("success"));
}

#[tokio::test]
async fn a_result_from_before_a_realm_was_connected_fires_progress() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let agent = Agent::with(move |builder| builder.directory(path)).await;
    agent.origin.serve("/a", hold());
    let window = agent.window();
    run(
        &window,
        "self.registration = await backgroundFetch.fetch('id', '/a');
         self.settled = new Promise((resolve) => self.registration.onprogress = () => {
             if (self.registration.result) resolve(self.registration.failureReason);
         });
         return null;",
    )
    .await;
    drop(agent.engine.send_replace(None));
    let seen = run(&window, format!("{REJECTION} return rejection(backgroundFetch.getIds());"));
    assert_eq!(seen.await, json!("DOMException: AbortError"));
    let engine = Engine::builder().directory(folder.path()).open().unwrap();
    let mut observer = engine.observe().await.unwrap();
    let key = engine.ui().jobs().await.unwrap()[0].key;
    assert!(engine.ui().abort(key).await.unwrap());
    while !matches!(observer.next().await.unwrap().what, What::Settled(_)) {}
    agent.engine.send_replace(Some(engine));
    assert_eq!(run(&window, "return await self.settled;").await, json!("aborted"));
}

#[tokio::test]
async fn a_page_that_goes_away_right_after_the_call_leaves_the_fetch_behind() {
    let agent = Agent::start().await;
    agent.origin.serve("/a", Resource::new(1, 10));
    let worker = agent
        .service_worker(
            "const seen = new Promise((resolve) => {
                 onbackgroundfetchsuccess = ({ registration }) => resolve(registration.id);
             });",
        )
        .await;
    let window = agent.window();
    run(&window, "await backgroundFetch.fetch('id', '/a'); return null;").await;
    drop(window);
    assert_eq!(run(&worker, "return await seen;").await, json!("id"));
}
