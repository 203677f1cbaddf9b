//! Windows as service workers see them.

use bgfetch_testkit::Origin;
use serde_json::{Value, json};

use crate::agent::hold;
use crate::user_agent::{Scripts, UserAgent, registration, run};

/// A worker that reports the results of opening and focusing windows.
const WORKER: &str = "
    const name = (promise) => promise.then((value) => value && value.constructor.name,
        (error) => error.name);
    const say = (value) => console.log(JSON.stringify(value));
    onactivate = (event) => event.waitUntil(clients.claim());
    onmessage = (event) => event.waitUntil((async () => {
        const [first] = await clients.matchAll();
        say([await name(clients.openWindow('/x')), await name(first.focus())]);
    })());
    onbackgroundfetchclick = (event) => event.waitUntil((async () => {
        const [first] = await clients.matchAll();
        const before = [first.focused, first.visibilityState, first.ancestorOrigins.length];
        const opened = await clients.openWindow('/opened?q');
        const all = (await clients.matchAll({ includeUncontrolled: true }))
            .map(({ url, focused }) => [new URL(url).pathname, focused]);
        const focused = await first.focus();
        const [last] = await clients.matchAll();
        say([
            before, opened instanceof Client, new URL(opened.url).search, opened.focused, all,
            focused.id === first.id, focused.focused, last.id === first.id,
            await name(clients.openWindow('http://elsewhere.test/')),
            await name(clients.openWindow('about:blank')), await name(clients.openWindow('http://[')),
            await name(first.navigate('/x')), await name(first.navigate('http://[')),
        ]);
    })());";

#[tokio::test(flavor = "multi_thread")]
async fn windows_are_opened_and_focused_while_a_click_is_handled() {
    let origin = Origin::start();
    origin.serve("/film", hold());
    let mut agent = UserAgent::start(&Scripts::of(&[("/sw.js", WORKER)])).await;
    let page = agent.window(&origin.url("/page"));
    run(
        &page,
        "const changed = new Promise((resolve) => container.oncontrollerchange = resolve);
         const registration = await container.register('sw.js');
         await changed;
         container.controller.postMessage(null);
         await registration.backgroundFetch.fetch('film', '/film');
         return null;",
    )
    .await;
    let said = |line: String| serde_json::from_str::<Value>(&line).unwrap();
    let refused = "InvalidAccessError";
    assert_eq!(said(agent.next_line().await), json!([refused, refused]));
    assert_eq!(agent.opened(), 0);
    let ui = agent.workers.engine().unwrap().ui();
    let key = ui.jobs().await.unwrap()[0].key;
    ui.click(key).await.unwrap();
    let expected = json!([
        [true, "visible", 0],
        true,
        "?q",
        true,
        [["/opened", true], ["/page", false]],
        true,
        true,
        true,
        null,
        "TypeError",
        "TypeError",
        "NotSupportedError",
        "TypeError",
    ]);
    assert_eq!(said(agent.next_line().await), expected);
    assert_eq!(agent.opened(), 2);
    assert!(agent.workers.is_running(&registration(&origin)).await);
}
