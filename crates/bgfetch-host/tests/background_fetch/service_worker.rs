//! Service workers: their lifecycle and their events.

use std::time::Duration;

use bgfetch_testkit::{Gate, Origin, Resource, Serve};
use serde_json::json;

use crate::user_agent::{NEVER_IDLE, Scripts, UserAgent, registration, run};

/// A worker that reports when its script runs and when a fetch has succeeded.
const TELLING: &str = "
    console.log('started');
    onbackgroundfetchsuccess = (event) => {
        event.waitUntil((async () => {
            const [record] = await event.registration.matchAll();
            const text = await (await record.responseReady).arrayBuffer();
            console.log(`${event.registration.id}: ${text.byteLength}`);
        })());
    };";

#[tokio::test(flavor = "multi_thread")]
async fn a_page_registers_a_worker_fetches_and_the_worker_is_told() {
    let origin = Origin::start();
    origin.serve("/film", Resource::new(1, 5000));
    let script = format!(
        "const log = [];
         const note = (event) => {{
             log.push(event.type, serviceWorker.state, event.constructor.name, event.isTrusted);
             event.waitUntil(new Promise((resolve) => setTimeout(resolve, 0)));
         }};
         oninstall = onactivate = note;
         addEventListener('backgroundfetchsuccess', () => console.log(log.join()));
         {TELLING}"
    );
    let mut agent = UserAgent::start(&Scripts::of(&[("/sw.js", &script)])).await;
    let page = agent.window(&origin.url("/page.html"));
    let seen = run(
        &page,
        "const early = container.ready;
         const registration = await container.register('sw.js');
         const worker = registration.installing;
         const states = [worker.state, registration.waiting, registration.active];
         worker.onstatechange = () => states.push(worker.state);
         await until(worker, 'activated');
         const ready = await early;
         const again = await container.register('/sw.js', { scope: './' });
         await registration.backgroundFetch.fetch('film', '/film');
         return [
             states, ready === registration, again === registration,
             registration.active === worker, registration.installing, container.controller,
             new URL(registration.scope).pathname, new URL(worker.scriptURL).pathname,
             await container.getRegistration('/any') === registration,
             (await container.getRegistrations()).length,
         ];",
    );
    let expected = json!([
        ["installing", null, null, "installed", "activating", "activated"],
        true,
        true,
        true,
        null,
        null,
        "/",
        "/sw.js",
        true,
        1,
    ]);
    assert_eq!(seen.await, expected);
    let lines = [agent.next_line().await, agent.next_line().await, agent.next_line().await];
    let noted = "install,installing,InstallEvent,true,activate,activating,ExtendableEvent,true";
    assert_eq!(lines, ["started", noted, "film: 5000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_is_told_of_a_fetch_whose_page_is_gone() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.serve("/film", Resource::new(1, 5000).hold_at(100, &gate));
    let mut agent = UserAgent::start(&Scripts::of(&[("/sw.js", TELLING)])).await;
    let page = agent.window(&origin.url("/"));
    run(
        &page,
        // An activating worker would start again for its activate event.
        "const registration = await container.register('sw.js');
         await until(registration.installing, 'activated');
         await registration.backgroundFetch.fetch('film', '/film');
         return null;",
    )
    .await;
    drop(page);
    assert_eq!(agent.next_line().await, "started");
    assert!(!agent.workers.are_quiet());
    // The worker is stopped, and started again for the event.
    agent.workers.stop(&registration(&origin)).await;
    assert!(!agent.workers.is_running(&registration(&origin)).await);
    gate.open();
    assert_eq!(agent.next_line().await, "started");
    assert_eq!(agent.next_line().await, "film: 5000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_events_stops_and_starts_for_the_next() {
    let origin = Origin::start();
    let mut agent =
        UserAgent::with(&Scripts::of(&[("/sw.js", TELLING)]), None, Duration::ZERO).await;
    let page = agent.window(&origin.url("/"));
    let register = "const { installing } = await container.register('sw.js');
                    await until(installing, 'activated');
                    return null;";
    run(&page, register).await;
    for (id, bytes) in [("a", 10), ("b", 20)] {
        while !agent.workers.are_quiet() {
            tokio::task::yield_now().await;
        }
        origin.serve(format!("/{id}"), Resource::new(1, bytes));
        let fetch = format!(
            "await (await container.ready).backgroundFetch.fetch('{id}', '/{id}'); return null;"
        );
        run(&page, &fetch).await;
        let mut line = agent.next_line().await;
        while line == "started" {
            line = agent.next_line().await;
        }
        assert_eq!(line, format!("{id}: {bytes}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_gets_its_event_after_a_restart_without_a_page_or_its_scripts() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::start();
    let gate = Gate::new();
    origin.serve("/film", Resource::new(1, 5000).etag("\"1\"").hold_at(100, &gate));
    let script = format!("importScripts('imported.js'); console.log(greeting); {TELLING}");
    let scripts =
        Scripts::of(&[("/sw.js", &script), ("/imported.js", "const greeting = 'imported';")]);
    let agent = UserAgent::with(&scripts, Some(folder.path()), NEVER_IDLE).await;
    let page = agent.window(&origin.url("/"));
    run(
        &page,
        "await container.register('sw.js');
         await (await container.ready).backgroundFetch.fetch('film', '/film');
         return null;",
    )
    .await;
    gate.reached().await;
    drop(page);
    agent.workers.shutdown().await.unwrap();
    scripts.remove_all();
    gate.open();
    let mut agent = UserAgent::with(&scripts, Some(folder.path()), NEVER_IDLE).await;
    for line in ["imported", "started", "film: 5000"] {
        assert_eq!(agent.next_line().await, line);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_do_not_load_run_or_install_are_not_registered() {
    let origin = Origin::start();
    let scripts = Scripts::of(&[
        ("/throws.js", "throw new RangeError('no');"),
        ("/syntax.js", "this is no script"),
        ("/imports.js", "importScripts('/missing.js');"),
        ("/catches.js", "try { importScripts('/missing.js'); } catch (e) { console.log(e.name); }"),
        ("/rejects.js", "oninstall = (event) => event.waitUntil(Promise.reject('no'));"),
        ("/folder/sw.js", ""),
    ]);
    let mut agent = UserAgent::start(&scripts).await;
    let page = agent.window(&origin.url("/"));
    let seen = run(
        &page,
        "const name = (promise) => promise.then(() => 'registered', (error) => error.name);
         const names = [];
         for (const script of ['/missing.js', '/throws.js', '/syntax.js', '/imports.js',
                               'http://other.test/sw.js', 'data:,', 'https://[']) {
             names.push(await name(container.register(script)));
         }
         names.push(await name(container.register('/folder/sw.js', { scope: '/' })));
         names.push(await name(container.register()));
         names.push(await name(container.getRegistration('http://other.test/')));
         const none = (await container.getRegistrations()).length;
         const { installing } = await container.register('/rejects.js', { scope: '/rejects' });
         await until(installing, 'redundant');
         const still = await container.getRegistration('/rejects');
         return [names, none, typeof still];",
    );
    let (type_error, security) = ("TypeError", "SecurityError");
    let mut names = vec![type_error; 4];
    names.extend([security, type_error, type_error, security, type_error, security]);
    assert_eq!(seen.await, json!([names, 0, "undefined"]));
    run(&page, "await container.register('/catches.js', { scope: '/catches' }); return null;")
        .await;
    while agent.next_line().await != "NetworkError" {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_worker_waits_for_the_pages_of_the_old_unless_it_skips_waiting() {
    let origin = Origin::start();
    let scripts = Scripts::of(&[
        ("/1.js", "onactivate = (event) => event.waitUntil(clients.claim());"),
        ("/2.js", ""),
        ("/3.js", "oninstall = (event) => event.waitUntil(skipWaiting());"),
    ]);
    let agent = UserAgent::start(&scripts).await;
    let page = agent.window(&origin.url("/"));
    let claimed = run(
        &page,
        "const claimed = new Promise((resolve) => container.oncontrollerchange = resolve);
         const registration = self.registration = await container.register('/1.js');
         self.first = registration.installing;
         await claimed;
         return container.controller === first;",
    );
    assert_eq!(claimed.await, json!(true));
    let second = run(
        &page,
        "const found = new Promise((resolve) => registration.onupdatefound = resolve);
         await container.register('/2.js');
         await found;
         self.second = registration.installing ?? registration.waiting;
         await until(second, 'installed');
         return [registration.waiting === second, registration.active === first];",
    );
    assert_eq!(second.await, json!([true, true]));
    let third = run(
        &page,
        "const changed = new Promise((resolve) => container.oncontrollerchange = resolve);
         await container.register('/3.js');
         await changed;
         const { active } = registration;
         return [container.controller === active, first.state, second.state, registration.waiting];",
    );
    assert_eq!(third.await, json!([true, "redundant", "redundant", null]));
    // The page that registers the next worker may differ from the last page that the old worker
    // controls.
    let elsewhere = agent.window(&"http://else.test/".parse().unwrap());
    let beside = agent.window(&origin.url("/beside"));
    run(
        &beside,
        "const { active, installing } = await container.register('/2.js');
         await until(installing, 'installed');
         return null;",
    )
    .await;
    drop(page);
    let waits = "const registration = await container.getRegistration();
                 self.worker = registration.waiting;
                 return [worker.state, container.controller === registration.active];";
    assert_eq!(run(&beside, waits).await, json!(["installed", true]));
    let none =
        run(&elsewhere, "return [await container.getRegistrations(), container.controller];");
    assert_eq!(none.await, json!([[], null]));
    drop(beside);
    // The last page of the old worker is closed, so the next worker is activated.
    let key = registration(&origin);
    while agent.workers.active_script(&key).is_none_or(|url| url.path() != "/2.js") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unregistering_ends_the_fetches_without_events() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.serve("/film", Resource::new(1, 5000).hold_at(100, &gate));
    let agent = UserAgent::start(&Scripts::of(&[("/sw.js", TELLING)])).await;
    let page = agent.window(&origin.url("/"));
    let seen = run(
        &page,
        "const registration = await container.register('sw.js');
         const worker = registration.installing;
         await container.ready;
         await registration.backgroundFetch.fetch('film', '/film');
         const done = await registration.unregister();
         const again = await registration.unregister();
         const after = await container.getRegistration();
         const next = await container.register('sw.js');
         await until(next.installing ?? next.active, 'activated');
         return [done, again, typeof after, worker.state, next === registration,
                 await next.backgroundFetch.getIds()];",
    );
    assert_eq!(seen.await, json!([true, false, "undefined", "redundant", false, []]));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_workers_send_each_other_messages_in_order() {
    let origin = Origin::start();
    let script = "
        onactivate = (event) => event.waitUntil(clients.claim());
        onmessage = ({ constructor, data, isTrusted, ports, source, origin }) => {
            if (data.number === 0) {
                data.said = [constructor.name, isTrusted, ports.length, origin === location.origin,
                             source.type, new URL(source.url).pathname];
            }
            source.postMessage(data);
        };
        addEventListener('message', (event) => event.waitUntil((async () => {
            const { id } = event.source;
            const [found] = await clients.matchAll();
            const none = await clients.matchAll({ type: 'worker' });
            const same = await clients.get(id);
            if (event.data.number === 9) {
                same.postMessage([found.id === id, none.length, typeof await clients.get('x')]);
            }
        })()));";
    let agent = UserAgent::start(&Scripts::of(&[("/sw.js", script)])).await;
    let page = agent.window(&origin.url("/page.html"));
    let ready = "self.changed = new Promise((resolve) => container.oncontrollerchange = resolve);
                 await container.register('sw.js');
                 await changed;
                 return null;";
    run(&page, ready).await;
    // Messages start the worker.
    agent.workers.stop(&registration(&origin)).await;
    let seen = run(
        &page,
        "const { controller } = container;
         const seen = [];
         const done = new Promise((resolve) => {
             container.onmessage = ({ data, source, isTrusted }) => {
                 if (Array.isArray(data)) return resolve(data);
                 seen.push(data.number);
                 if (data.number === 0) {
                     seen.push(data.when instanceof Date, data.said, source === controller, isTrusted);
                 }
             };
         });
         let refused;
         try { controller.postMessage(() => {}); } catch (error) { refused = error.name; }
         for (let number = 0; number < 10; number++) {
             controller.postMessage({ number, when: new Date(0) });
         }
         return [await done, refused, seen];",
    );
    let said = json!(["ExtendableMessageEvent", true, 0, true, "window", "/page.html"]);
    let mut order = vec![json!(0), json!(true), said, json!(true), json!(true)];
    order.extend((1..10).map(|number| json!(number)));
    assert_eq!(seen.await, json!([[true, 0, "undefined"], "DataCloneError", order]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_script_never_ends_is_stopped_and_the_next_event_starts_it() {
    let origin = Origin::start();
    origin.serve("/film", Resource::new(1, 10));
    let script = "
        console.log('started');
        onmessage = () => { console.log('loops'); for (;;); };
        onbackgroundfetchsuccess = () => console.log('told');";
    let mut agent = UserAgent::start(&Scripts::of(&[("/sw.js", script)])).await;
    let page = agent.window(&origin.url("/"));
    run(
        &page,
        "await container.register('sw.js');
         const { active } = self.registration = await container.ready;
         await until(active, 'activated');
         active.postMessage('loop');
         return null;",
    )
    .await;
    // If it had stopped earlier, the message would start it.
    while agent.next_line().await != "loops" {}
    agent.workers.stop(&registration(&origin)).await;
    run(&page, "await registration.backgroundFetch.fetch('film', '/film'); return null;").await;
    while agent.next_line().await != "told" {}
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_and_buffers_are_transferred_between_pages_and_workers() {
    let origin = Origin::start();
    let script = "
        onactivate = (event) => event.waitUntil(clients.claim());
        onmessage = ({ data, ports, source }) => {
            const [port] = ports;
            port.onmessage = (event) => port.postMessage(`${event.data} back`);
            const { port1, port2 } = new MessageChannel();
            port1.onmessage = (event) => port1.postMessage(`${event.data} again`);
            source.postMessage([data.port === port, data.buffer.byteLength, port2],
                { transfer: [port2] });
        };";
    let agent = UserAgent::start(&Scripts::of(&[("/sw.js", script)])).await;
    let page = agent.window(&origin.url("/"));
    let seen = run(
        &page,
        "const changed = new Promise((resolve) => container.oncontrollerchange = resolve);
         await container.register('sw.js');
         await changed;
         const { controller } = container;
         const answered = new Promise((resolve) => container.onmessage = resolve);
         const { port1, port2 } = new MessageChannel();
         const buffer = new ArrayBuffer(8);
         controller.postMessage({ port: port2, buffer }, [port2, buffer]);
         const { data: [same, length, port], ports } = await answered;
         const say = (port, text) => new Promise((resolve) => {
             port.onmessage = ({ data }) => resolve(data);
             port.postMessage(text);
         });
         const name = (act) => { try { act(); return 'done'; } catch (error) { return error.name; } };
         const said = [await say(port1, 'there and'), await say(port, 'and')];
         const refused = [
             name(() => controller.postMessage(null, [port2])),
             name(() => controller.postMessage(null, [buffer])),
             name(() => controller.postMessage(() => {})),
             name(() => port1.postMessage(() => {})),
             name(() => port1.postMessage({ nested: [() => {}] })),
             name(() => port1.postMessage(null, [port1])),
             name(() => port1.postMessage()),
         ];
         port1.close();
         port.close();
         return [same, length, ports[0] === port, buffer.byteLength, said, refused];",
    );
    let refused = [&["DataCloneError"; 6][..], &["TypeError"]].concat();
    let said = ["there and back", "and again"];
    assert_eq!(seen.await, json!([true, 8, true, 0, said, refused]));
}
