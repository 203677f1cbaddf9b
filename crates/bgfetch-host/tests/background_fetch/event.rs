//! BackgroundFetchEvent, BackgroundFetchUpdateUIEvent and the service worker's handlers.

use bgfetch::What;
use bgfetch_testkit::{Reply, Resource};
use serde_json::json;

use crate::agent::{Agent, hold, run};

/// Puts the promise `seen` and its `resolve` before the worker's script.
fn script(listeners: &str) -> String {
    format!("let resolve; const seen = new Promise((r) => resolve = r); {listeners}")
}

#[tokio::test]
async fn each_end_has_its_event() {
    let agent = Agent::start().await;
    agent.origin.serve("/good", Resource::new(1, 10));
    agent.origin.serve("/bad", Reply::status(404));
    agent.origin.serve("/held", hold());
    let worker = agent
        .service_worker(&script(
            "const events = [];
             for (const end of ['success', 'fail', 'abort', 'click']) {
                 self[`onbackgroundfetch${end}`] = (event) => {
                     const { id, failureReason } = event.registration;
                     events.push([event.type, event.constructor.name, id, failureReason, event.isTrusted]);
                     if (events.length === 4) resolve(events.sort());
                 };
             }",
        ))
        .await;
    let window = agent.window();
    run(
        &window,
        "await backgroundFetch.fetch('good', '/good');
         await backgroundFetch.fetch('bad', '/bad');
         await (await backgroundFetch.fetch('aborted', '/held')).abort();
         await backgroundFetch.fetch('held', '/held');
         return null;",
    )
    .await;
    let ui = agent.engine().ui();
    let jobs = ui.jobs().await.unwrap();
    let held = jobs.iter().find(|job| job.id == "held").unwrap();
    ui.click(held.key).await.unwrap();
    let (plain, update) = ("BackgroundFetchEvent", "BackgroundFetchUpdateUIEvent");
    let expected = json!([
        ["backgroundfetchabort", plain, "aborted", "aborted", true],
        ["backgroundfetchclick", plain, "held", "", true],
        ["backgroundfetchfail", update, "bad", "bad-status", true],
        ["backgroundfetchsuccess", update, "good", "", true],
    ]);
    assert_eq!(run(&worker, "return await seen;").await, expected);
}

#[tokio::test]
async fn the_page_knows_the_result_before_the_worker_does() {
    let agent = Agent::start().await;
    agent.origin.serve("/a", Resource::new(1, 10));
    let worker = agent
        .service_worker(
            "const channel = new BroadcastChannel('order');
             onbackgroundfetchsuccess = () => channel.postMessage('worker');",
        )
        .await;
    let window = agent.window();
    let order = run(
        &window,
        "const channel = new BroadcastChannel('order');
         const order = [];
         const told = new Promise((resolve) => channel.onmessage = () => {
             order.push('message');
             resolve();
         });
         const registration = await backgroundFetch.fetch('id', '/a');
         registration.onprogress = () => { if (registration.result) order.push('result'); };
         await told;
         channel.close();
         return order;",
    );
    assert_eq!(order.await, json!(["result", "message"]));
    drop(worker);
}

#[tokio::test]
async fn the_lifetime_is_extended_by_promises_until_the_last_reaction_ran() {
    let agent = Agent::start().await;
    agent.origin.serve("/a", Resource::new(1, 10));
    let worker = agent
        .service_worker(&script(
            "onbackgroundfetchsuccess = (event) => {
                 const log = [];
                 const extend = (promise) => {
                     try { event.waitUntil(promise); log.push('extended'); }
                     catch (error) { log.push(error.name); }
                 };
                 const wait = new Promise((r) => setTimeout(r, 0));
                 extend(wait);
                 wait.then(() => extend(Promise.resolve()));
                 wait.then(() => setTimeout(() => { extend(1); resolve(log); }, 0));
             };",
        ))
        .await;
    let window = agent.window();
    run(&window, "await backgroundFetch.fetch('id', '/a'); return null;").await;
    let log = run(&worker, "return await seen;").await;
    assert_eq!(log, json!(["extended", "extended", "InvalidStateError"]));
}

#[tokio::test]
async fn microtasks_after_the_listener_may_extend_and_the_next_task_may_not() {
    let agent = Agent::start().await;
    agent.origin.serve("/a", Resource::new(1, 10));
    let worker = agent
        .service_worker(&script(
            "onbackgroundfetchsuccess = (event) => {
                 const log = [];
                 const extend = () => {
                     try { event.waitUntil(); } catch (error) { log.push(error.name); }
                     try { event.waitUntil(1); log.push('extended'); }
                     catch (error) { log.push(error.name); }
                 };
                 (async () => { for (let i = 0; i < 10; i++) await null; extend(); })();
                 setTimeout(() => { extend(); resolve(log); }, 0);
             };",
        ))
        .await;
    let window = agent.window();
    run(&window, "await backgroundFetch.fetch('id', '/a'); return null;").await;
    let log = run(&worker, "return await seen;").await;
    assert_eq!(log, json!(["TypeError", "extended", "TypeError", "InvalidStateError"]));
}

#[tokio::test]
async fn update_ui_is_refused_when_repeated_late_or_not_of_the_engine() {
    let agent = Agent::start().await;
    agent.origin.serve("/a", Resource::new(1, 10));
    let worker = agent
        .service_worker(&script(
            "onbackgroundfetchsuccess = (event) => {
                 const { registration } = event;
                 const name = (promise) => promise.then(() => 'resolved', (error) => error.name);
                 const own = new BackgroundFetchUpdateUIEvent('x', { registration });
                 const first = name(event.updateUI({ title: 'new' }));
                 const second = name(event.updateUI());
                 const untrusted = name(own.updateUI());
                 event.waitUntil(first);
                 // The event ends with the promise; the next task comes after that.
                 first.then(() => setTimeout(async () => {
                     resolve([await first, await second, await untrusted, await name(event.updateUI()),
                         own.registration === registration]);
                 }, 0));
             };",
        ))
        .await;
    let window = agent.window();
    run(&window, "await backgroundFetch.fetch('id', '/a'); return null;").await;
    let refused = "InvalidStateError";
    let seen = run(&worker, "return await seen;").await;
    assert_eq!(seen, json!(["resolved", refused, refused, refused, true]));
    assert_eq!(agent.engine().ui().jobs().await.unwrap()[0].display.title, "new");
}

#[tokio::test]
async fn a_listener_that_throws_is_reported_and_has_handled_the_event() {
    let agent = Agent::start().await;
    agent.origin.serve("/a", Resource::new(1, 10));
    let mut observer = agent.engine().observe().await.unwrap();
    let worker = agent
        .service_worker("onbackgroundfetchsuccess = () => { throw new Error('mine'); };")
        .await;
    let window = agent.window();
    run(&window, "await backgroundFetch.fetch('id', '/a'); return null;").await;
    while observer.next().await.is_some_and(|event| !matches!(event.what, What::EventEnded { .. }))
    {
    }
    assert!(agent.errors().iter().any(|error| error.contains("mine")), "{:?}", agent.errors());
    // The worker keeps running.
    assert_eq!(run(&worker, "return 1;").await, json!(1));
}

#[tokio::test]
async fn an_event_of_a_worker_that_ends_in_between_is_fired_at_the_next_one() {
    let agent = Agent::start().await;
    agent.origin.serve("/a", Resource::new(1, 10));
    let mut observer = agent.engine().observe().await.unwrap();
    let first = agent
        .service_worker(&script(
            "onbackgroundfetchsuccess = (event) => {
                 event.waitUntil(new Promise(() => {}));
                 resolve(1);
             };",
        ))
        .await;
    let window = agent.window();
    run(&window, "await backgroundFetch.fetch('id', '/a'); return null;").await;
    run(&first, "return await seen;").await;
    let second = agent
        .service_worker(&script("onbackgroundfetchsuccess = (event) => resolve(event.type);"))
        .await;
    drop(first);
    let seen = run(&second, "return await seen;").await;
    assert_eq!(seen, json!("backgroundfetchsuccess"));
    while observer.next().await.is_some_and(|event| !matches!(event.what, What::EventEnded { .. }))
    {
    }
}
