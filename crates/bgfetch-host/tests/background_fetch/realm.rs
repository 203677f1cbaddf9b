//! Realms, apart from Background Fetch.

use bgfetch_host::{RealmKind, ScriptError};
use serde_json::json;

use crate::agent::{Agent, run};

#[tokio::test]
async fn each_kind_has_its_global_object() {
    let agent = Agent::start().await;
    for (kind, name) in [
        (RealmKind::Window, "Window"),
        (RealmKind::DedicatedWorker, "DedicatedWorkerGlobalScope"),
        (RealmKind::SharedWorker, "SharedWorkerGlobalScope"),
        (RealmKind::ServiceWorker, "ServiceWorkerGlobalScope"),
    ] {
        let realm = agent.realm(kind, "/folder/script.js", None);
        let seen = realm.run_script(
            "test.js",
            "[Object.prototype.toString.call(self), self === globalThis, self instanceof EventTarget,
              'window' in self, location.pathname, new URL(new Request('x').url).pathname,
              'BackgroundFetchManager' in self, 'BackgroundFetchEvent' in self,
              'onbackgroundfetchclick' in self, typeof Deno, typeof __bootstrap]",
        );
        let (window, worker) = (kind == RealmKind::Window, kind == RealmKind::ServiceWorker);
        let expected = json!([
            format!("[object {name}]"),
            true,
            true,
            window,
            "/folder/script.js",
            "/folder/x",
            true,
            worker,
            worker,
            "undefined",
            "undefined",
        ]);
        assert_eq!(seen.await.unwrap(), expected);
    }
}

#[tokio::test]
async fn what_is_cloned_and_transferred_is_what_the_standard_says() {
    let agent = Agent::start().await;
    let window = agent.window();
    let seen = window.run_script(
        "test.js",
        "(async () => {
             const buffer = new Uint8Array([1, 2, 3]).buffer;
             const moved = structuredClone({ buffer }, { transfer: [buffer] });
             const error = structuredClone(new RangeError('far', { cause: 1 }));
             let twice;
             try { structuredClone(buffer, { transfer: [buffer] }); } catch (e) { twice = e.name; }
             const { port1, port2 } = new MessageChannel();
             const other = new ArrayBuffer(8);
             const message = new Promise((resolve) => port2.onmessage = resolve);
             port1.postMessage(other, [other]);
             const { data } = await message;
             port1.close();
             return [
                 buffer.byteLength, [...new Uint8Array(moved.buffer)], twice,
                 error instanceof RangeError, error.message, error.cause,
                 other.byteLength, data.byteLength, structuredClone.length,
             ];
         })()",
    );
    let expected = json!([0, [1, 2, 3], "DataCloneError", true, "far", 1, 0, 8, 1]);
    assert_eq!(seen.await.unwrap(), expected);
}

#[tokio::test]
async fn a_request_has_the_attributes_of_the_standard() {
    let agent = Agent::start().await;
    let window = agent.window();
    let seen = window.run_script(
        "test.js",
        "(() => {
             const names = ['destination', 'duplex', 'isHistoryNavigation', 'isReloadNavigation'];
             const request = new Request('/a');
             const checked = names.every((name) => {
                 const { get, set, enumerable } =
                     Object.getOwnPropertyDescriptor(Request.prototype, name);
                 try { get.call({}); return false; }
                 catch { return get.name === `get ${name}` && enumerable && set === undefined; }
             });
             return [names.map((name) => request[name]), checked];
         })()",
    );
    assert_eq!(seen.await.unwrap(), json!([["", "half", false, false], true]));
}

#[tokio::test]
async fn exceptions_that_nothing_caught_are_told_and_the_realm_goes_on() {
    let agent = Agent::start().await;
    let window = agent.window();
    let thrown = window.run_script("thrown.js", "throw new TypeError('at once')").await;
    assert!(matches!(thrown, Err(ScriptError::Exception(text)) if text.contains("at once")));
    let seen = window.run_script(
        "test.js",
        "(async () => {
             const seen = [];
             const both = new Promise((resolve) => {
                 const note = (text) => { seen.push(text); if (seen.length === 2) resolve(); };
                 onerror = (message) => note(message);
                 onunhandledrejection = (event) => note(event.reason);
             });
             setTimeout(() => { throw new Error('in a task'); }, 0);
             Promise.reject('in a promise');
             await both;
             return seen.map((text) => /in a (task|promise)/.exec(text)[0]).sort();
         })()",
    );
    assert_eq!(seen.await.unwrap(), json!(["in a promise", "in a task"]));
    let told = agent.errors();
    for text in ["in a task", "in a promise"] {
        assert!(told.iter().any(|error| error.contains(text)), "{told:?}");
    }
}

#[tokio::test]
async fn a_realm_whose_script_never_ends_can_be_dropped() {
    let agent = Agent::start().await;
    let worker = agent.service_worker("").await;
    let looping = run(&worker, "setTimeout(() => { for (;;); }, 0); return 'looping';");
    assert_eq!(looping.await, json!("looping"));
    drop(worker);
}

#[tokio::test]
async fn a_realm_is_idle_when_its_scripts_wait_for_messages_alone() {
    let agent = Agent::start().await;
    let window = agent.window();
    let mut idle = window.idle();
    idle.wait_for(|idle| *idle).await.unwrap();
    let source = "self.ended = []; setTimeout(() => ended.push('timer'), 10); null";
    window.run_script("test.js", source).await.unwrap();
    idle.wait_for(|idle| *idle).await.unwrap();
    assert_eq!(window.run_script("test.js", "ended").await.unwrap(), json!(["timer"]));
}
