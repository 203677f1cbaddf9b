//! BackgroundFetchRecord.

use bgfetch_testkit::{Gate, Reply, Resource, Serve};
use serde_json::json;

use crate::agent::{Agent, hold, run};

#[tokio::test]
async fn a_body_is_read_while_it_arrives() {
    let agent = Agent::start().await;
    let (resource, gate) = (Resource::new(1, 100_000), Gate::new());
    agent.origin.serve("/a", resource.clone().hold_at(40_000, &gate));
    let window = agent.window();
    let read = run(
        &window,
        "const registration = await backgroundFetch.fetch('id', '/a');
         const record = await registration.match('/a');
         const response = await record.responseReady;
         self.reader = response.body.getReader();
         self.take = async (until) => {
             let length = 0;
             for (;;) {
                 const { done, value } = await reader.read();
                 if (done) return ['done', length];
                 length += value.byteLength;
                 if (length >= until) return ['more', length];
             }
         };
         return [registration.result, await take(40000)];",
    );
    assert_eq!(read.await, json!(["", ["more", 40_000]]));
    gate.open();
    assert_eq!(run(&window, "return take(Infinity);").await, json!(["done", 60_000]));
}

#[tokio::test]
async fn a_body_of_which_a_part_was_asked_for_is_read_no_further() {
    let agent = Agent::start().await;
    agent.origin.serve("/a", Resource::new(1, 10 << 20));
    let window = agent.window();
    let read = run(
        &window,
        "const registration = await backgroundFetch.fetch('id', '/a');
         const { responseReady } = await registration.match('/a');
         const reader = (await responseReady).body.getReader({ mode: 'byob' });
         const { value } = await reader.read(new Uint8Array(100), { min: 100 });
         await reader.cancel();
         const { responseReady: again } = await registration.match('/a');
         return [value.byteLength, (await (await again).arrayBuffer()).byteLength];",
    );
    assert_eq!(read.await, json!([100, 10 << 20]));
}

#[tokio::test]
async fn a_response_is_what_the_server_sent() {
    let agent = Agent::start().await;
    let reply = Resource::new(1, 10).header("X-Own", "1").header("Content-Type", "text/x");
    agent.origin.serve("/a", reply);
    agent.origin.serve("/old", Reply::redirect(302, "/a"));
    let window = agent.window();
    let seen = run(
        &window,
        "const registration = await backgroundFetch.fetch('id', '/old#f');
         const record = await registration.match('/old');
         const response = await record.responseReady;
         let immutable = false;
         try { response.headers.set('a', 'b'); } catch (error) { immutable = error instanceof TypeError; }
         return [
             new URL(response.url).pathname, response.redirected, response.status, response.ok,
             response.statusText,
             response.headers.get('x-own'), response.headers.get('content-type'), immutable,
             record.responseReady === record.responseReady, response instanceof Response,
         ];",
    );
    let expected = json!(["/a", true, 200, true, "OK", "1", "text/x", true, true, true]);
    assert_eq!(seen.await, expected);
}

#[tokio::test]
async fn a_request_is_what_the_page_asked_for_and_its_body_can_be_read() {
    let agent = Agent::start().await;
    agent.origin.serve("/a", hold());
    let window = agent.window();
    let seen = run(
        &window,
        "const request = new Request('/a#f', {
             method: 'POST', body: new Blob(['a body'], { type: 'text/x' }),
             headers: { 'x-own': '1' }, cache: 'no-store', credentials: 'omit', redirect: 'error',
             referrerPolicy: 'origin', integrity: 'sha256-x', mode: 'same-origin',
             referrer: '/page.html',
         });
         const registration = await backgroundFetch.fetch('id', request);
         const record = await registration.match('/a', { ignoreMethod: true });
         const kept = record.request;
         const names = ['method', 'url', 'cache', 'credentials', 'redirect', 'referrerPolicy',
             'integrity', 'mode', 'referrer'];
         const same = names.every((name) => kept[name] === request[name]);
         let immutable = false;
         try { kept.headers.set('a', 'b'); } catch (error) { immutable = error instanceof TypeError; }
         return [same, kept === record.request, [...kept.headers], await kept.text(), immutable];",
    );
    let headers = json!([["content-type", "text/x"], ["x-own", "1"]]);
    assert_eq!(seen.await, json!([true, true, headers, "a body", true]));
}

#[tokio::test]
async fn a_request_of_a_url_alone_has_no_headers() {
    let agent = Agent::start().await;
    agent.origin.serve("/a", hold());
    let window = agent.window();
    let seen = run(
        &window,
        "const registration = await backgroundFetch.fetch('id', '/a');
         const { request } = await registration.match('/a');
         return [[...request.headers], request.integrity, [...new Request(request).headers]];",
    );
    assert_eq!(seen.await, json!([[], "", []]));
}

#[tokio::test]
async fn a_record_that_failed_or_was_aborted_rejects() {
    let agent = Agent::start().await;
    agent.origin.serve("/held", hold());
    agent.origin.serve("/missing", Reply::status(404));
    let window = agent.window();
    let seen = run(
        &window,
        "const urls = ['strange:scheme', '/missing', '/held', '/markup?\\n<'];
         const registration = await backgroundFetch.fetch('id', urls);
         const records = await registration.matchAll();
         const ready = records.map((record) => record.responseReady.then(
             async (response) => [response.status, response.statusText, await response.text()],
             (error) => error.name,
         ));
         const first = await Promise.all(ready.slice(0, 2));
         const markup = await ready[3];
         await registration.abort();
         return [...first, await ready[2], markup];",
    );
    assert_eq!(seen.await, json!(["TypeError", [404, "Not Found", ""], "AbortError", "TypeError"]));
}

#[tokio::test]
async fn a_response_is_asked_for_at_the_first_look_and_no_earlier() {
    let agent = Agent::start().await;
    agent.origin.serve("/a", Resource::new(1, 10));
    agent.origin.serve("/b", Resource::new(2, 20));
    let worker = agent
        .service_worker(
            "const handle = Promise.withResolvers();
             const matched = new Promise((resolve) => {
                 onbackgroundfetchfail = (event) => {
                     event.waitUntil(handle.promise);
                     resolve(event.registration);
                 };
             });",
        )
        .await;
    let window = agent.window();
    run(&window, "await backgroundFetch.fetch('id', ['/a', '/b', 'strange:scheme']); return null;")
        .await;
    let seen = run(
        &worker,
        "const unhandled = [];
         onunhandledrejection = ({ reason }) => unhandled.push(reason.name);
         const fetched = await matched;
         const [looked, late, failed] = await fetched.matchAll();
         const response = await looked.responseReady;
         handle.resolve();
         while (fetched.recordsAvailable) await new Promise((resolve) => setTimeout(resolve, 0));
         const name = await late.responseReady.then(() => 'resolved', (error) => error.name);
         // Nobody accessed the failed promises, so no rejections are reported.
         const told = unhandled.length;
         failed.responseReady;
         while (unhandled.length === 0) await new Promise((resolve) => setTimeout(resolve, 0));
         return [(await response.arrayBuffer()).byteLength, name, told, unhandled];",
    );
    assert_eq!(seen.await, json!([10, "AbortError", 0, ["AbortError"]]));
}
