//! BackgroundFetchRegistration.

use std::sync::{Arc, mpsc as sync_mpsc};

use bgfetch::{Event, FetchOptions, RegistrationKey, RequestInfo, StorageKey, What};
use bgfetch_host::{Realm, RealmKind, RealmOptions};
use bgfetch_testkit::{Gate, Reply, Resource, Serve};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::mpsc;

use crate::agent::{Agent, STORAGE_KEY, hold, run};

#[tokio::test]
async fn a_fetch_has_one_registration_object_in_a_realm() {
    let agent = Agent::start().await;
    agent.origin.serve("/a", hold());
    let window = agent.window();
    let same = run(
        &window,
        "const registration = await backgroundFetch.fetch('id', '/a');
         const { ready } = navigator.serviceWorker;
         const again = (await ready).backgroundFetch;
         return [await again.get('id') === registration, again === backgroundFetch];",
    );
    assert_eq!(same.await, json!([true, true]));
}

/// Time is virtual, so that the engine waits for the page no longer than everything else takes.
#[tokio::test(start_paused = true)]
async fn records_are_found_right_after_the_call_even_where_they_fail_without_the_network() {
    let agent = Agent::start().await;
    let mut observer = agent.engine().observe().await.unwrap();
    // Without a listener the event ends at once, and the records are deleted with it.
    let worker = agent.service_worker("").await;
    let (reaches, mut reached) = mpsc::unbounded_channel();
    let (release, released) = sync_mpsc::channel::<()>();
    let released = Mutex::new(released);
    // Blocks the page when it writes to its console.
    let console = Arc::new(move |_: &_, _, _: &str| {
        reaches.send(()).unwrap();
        released.lock().recv().unwrap();
    });
    let options = agent.options(RealmKind::Window, "/page.html");
    let window = Realm::start(RealmOptions { console, ..options }).unwrap();
    let found = run(
        &window,
        "return backgroundFetch.fetch('held', 'strange:scheme').then((registration) => {
             console.log('a microtask of the promise');
             return registration.match('strange:scheme');
         }).then((record) => record.request.url, (error) => error.name);",
    );
    let other = async {
        reached.recv().await.unwrap();
        // Another fetch runs to its end in the meantime.
        let scope = agent.origin.url("/");
        let key = RegistrationKey { storage_key: StorageKey(STORAGE_KEY.into()), scope };
        let manager = agent.engine().registration(key).background_fetch();
        let request = RequestInfo::new("GET", "strange:scheme".parse().unwrap());
        manager.fetch("other", [request], FetchOptions::default()).await.unwrap();
        let ended =
            |event: &Event| &*event.id == "other" && matches!(event.what, What::EventEnded { .. });
        while observer.next().await.is_some_and(|event| !ended(&event)) {}
        release.send(()).unwrap();
    };
    let (found, ()) = tokio::join!(found, other);
    assert_eq!(found, json!("strange:scheme"));
    drop(worker);
}

#[tokio::test]
async fn progress_comes_in_order_and_the_result_with_it() {
    let agent = Agent::start().await;
    let gate = Gate::new();
    agent.origin.serve("/a", Resource::new(1, 10_000).hold_at(4000, &gate));
    let window = agent.window();
    run(
        &window,
        "const registration = self.registration = await backgroundFetch.fetch('id', '/a', { downloadTotal: 10000 });
         self.seen = [];
         self.half = new Promise((half) => {
             self.end = new Promise((end) => {
                 registration.addEventListener('progress', (event) => {
                     const { downloaded, result, failureReason, recordsAvailable } = event.target;
                     seen.push(event.isTrusted && event.type);
                     if (downloaded === 4000) half();
                     if (result) end([downloaded, result, failureReason, recordsAvailable]);
                 });
             });
         });
         await half;
         return null;",
    )
    .await;
    gate.open();
    let end = run(&window, "return [await end, new Set(seen).size];");
    assert_eq!(end.await, json!([[10_000, "success", "", true], 1]));
}

#[tokio::test]
async fn abort_is_true_once_and_the_reason_is_told() {
    let agent = Agent::start().await;
    agent.origin.serve("/a", hold());
    let window = agent.window();
    let seen = run(
        &window,
        "const registration = await backgroundFetch.fetch('id', '/a');
         const end = new Promise((resolve) => registration.onprogress = () => {
             if (registration.result) resolve([registration.result, registration.failureReason]);
         });
         return [await registration.abort(), await registration.abort(), await end,
             await backgroundFetch.getIds()];",
    );
    assert_eq!(seen.await, json!([true, false, ["failure", "aborted"], []]));
}

#[tokio::test]
async fn match_compares_url_and_method_and_takes_the_options() {
    let agent = Agent::start().await;
    for path in ["/a", "/b"] {
        agent.origin.serve(path, hold());
    }
    let window = agent.window();
    let seen = run(
        &window,
        "const requests = ['/a?q=1', '/b', new Request('/b', { method: 'DELETE' })];
         const registration = await backgroundFetch.fetch('id', requests);
         const count = async (...query) => (await registration.matchAll(...query)).length;
         return [
             await count(),
             await count(undefined),
             await count('/a'),
             await count('/a', { ignoreSearch: true }),
             await count('/b#fragment'),
             await count(new Request('/b', { method: 'DELETE' })),
             await count('/b', { ignoreMethod: true }),
             await registration.match('/c'),
             (await registration.match('/b')).request.method,
         ];",
    );
    assert_eq!(seen.await, json!([3, 3, 0, 1, 1, 1, 2, null, "GET"]));
}

#[tokio::test]
async fn records_are_gone_when_the_event_ended() {
    let agent = Agent::start().await;
    agent.origin.serve("/a", Resource::new(1, 10));
    let worker = agent
        .service_worker(
            "let resolve; const seen = new Promise((r) => resolve = r);
             onbackgroundfetchsuccess = ({ registration }) => {
                 const wasAvailable = registration.recordsAvailable;
                 // The end of the records is reported without an event.
                 const check = async () => {
                     if (registration.recordsAvailable) return setTimeout(check, 0);
                     const error = await registration.match('/a').catch((error) => error);
                     resolve([wasAvailable, error.name]);
                 };
                 setTimeout(check, 0);
             };",
        )
        .await;
    let window = agent.window();
    run(&window, "await backgroundFetch.fetch('id', '/a'); return null;").await;
    let seen = run(&worker, "return await seen;").await;
    assert_eq!(seen, json!([true, "InvalidStateError"]));
}

#[tokio::test]
async fn an_event_handler_keeps_its_place_and_only_objects_are_handlers() {
    let agent = Agent::start().await;
    agent.origin.serve("/a", Reply::status(404));
    let window = agent.window();
    let seen = run(
        &window,
        "const registration = await backgroundFetch.fetch('id', '/a');
         const seen = [];
         registration.onprogress = () => seen.push('old');
         registration.addEventListener('progress', () => seen.push('listener'));
         registration.onprogress = () => seen.push('handler');
         registration.dispatchEvent(new Event('progress'));
         registration.onprogress = 1;
         const none = registration.onprogress;
         const object = registration.onprogress = {};
         registration.dispatchEvent(new Event('progress'));
         return [seen, none, registration.onprogress === object];",
    );
    let seen = seen.await;
    assert_eq!(seen[0].as_array().unwrap()[..3], ["handler", "listener", "listener"]);
    assert_eq!((&seen[1], &seen[2]), (&json!(null), &json!(true)));
}
