//! New versions of service workers.

use std::fs;
use std::sync::mpsc;

use bgfetch_testkit::Origin;
use serde_json::json;
use tokio::runtime::Builder;

use crate::user_agent::{NEVER_IDLE, Scripts, UserAgent, registration, run};

/// Registers `sw.js` and waits until it is active.
const REGISTER: &str = "
    const registration = self.registration = await container.register('sw.js');
    self.first = registration.installing ?? registration.active;
    await until(first, 'activated');";

#[tokio::test(flavor = "multi_thread")]
async fn update_installs_what_changed_and_nothing_else() {
    let origin = Origin::start();
    let scripts = Scripts::of(&[("/sw.js", "importScripts('a.js');"), ("/a.js", "1")]);
    let agent = UserAgent::start(&scripts).await;
    let page = agent.window(&origin.url("/"));
    let unchanged = run(
        &page,
        format!(
            "{REGISTER}
             self.found = 0;
             registration.onupdatefound = () => found++;
             const same = await registration.update();
             return [same === registration, registration.installing, found];"
        ),
    );
    assert_eq!(unchanged.await, json!([true, null, 0]));
    let update = "const updated = await registration.update();
                  const { installing } = updated;
                  const state = installing.state;
                  await until(installing, 'activated');
                  return [updated === registration, state, found, registration.active === installing,
                          first.state];";
    for (script, source, found) in
        [("/sw.js", "importScripts('a.js'); 2", 1), ("/a.js", "'imported'", 2)]
    {
        scripts.set(script, source);
        let expected = json!([true, "installing", found, true, "redundant"]);
        assert_eq!(run(&page, update).await, expected, "{script}");
    }
    // An imported script that is missing counts as unchanged; the worker's own must exist.
    scripts.set("/sw.js", "importScripts('a.js'); 2");
    scripts.remove("/a.js");
    let kept = "const { active } = registration;
                const updated = await registration.update().then(() => 'same', (e) => e.name);
                return [updated, registration.installing, registration.active === active];";
    assert_eq!(run(&page, kept).await, json!(["same", null, true]));
    scripts.remove_all();
    assert_eq!(run(&page, kept).await, json!(["TypeError", null, true]));
    scripts.set("/sw.js", "throw 1");
    assert_eq!(run(&page, kept).await, json!(["TypeError", null, true]));
    let gone = "await registration.unregister();
                return registration.update().catch((error) => error.name);";
    assert_eq!(run(&page, gone).await, json!("TypeError"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_updates_itself_but_not_while_it_is_installed() {
    let origin = Origin::start();
    let script = "
        const name = (promise) => promise.then(() => 'updated', (error) => error.name);
        oninstall = (event) => event.waitUntil(name(registration.update()).then(console.log));
        onmessage = (event) => event.waitUntil(name(registration.update()).then(console.log));";
    let scripts = Scripts::of(&[("/sw.js", script)]);
    let mut agent = UserAgent::start(&scripts).await;
    let page = agent.window(&origin.url("/"));
    run(&page, format!("{REGISTER} return null;")).await;
    assert_eq!(agent.next_line().await, "InvalidStateError");
    scripts.set("/sw.js", "oninstall = () => console.log('installs');");
    run(&page, "first.postMessage(null); await until(first, 'redundant'); return null;").await;
    let mut lines = [agent.next_line().await, agent.next_line().await];
    lines.sort();
    assert_eq!(lines, ["installs", "updated"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_is_there_is_not_updated_by_register_but_by_a_navigation() {
    let origin = Origin::start();
    let scripts = Scripts::of(&[("/sw.js", "onactivate = (e) => e.waitUntil(clients.claim());")]);
    let agent = UserAgent::start(&scripts).await;
    let page = agent.window(&origin.url("/"));
    run(&page, format!("{REGISTER} return null;")).await;
    scripts.set("/sw.js", "oninstall = () => {};");
    let again = "const again = await container.register('sw.js');
                 self.found = new Promise((resolve) => registration.onupdatefound = resolve);
                 return [again === registration, again.installing, again.waiting];";
    assert_eq!(run(&page, again).await, json!([true, null, null]));
    let beside = agent.window(&origin.url("/beside"));
    let found = "await found;
                 const worker = registration.installing ?? registration.waiting;
                 await until(worker, 'installed');
                 return [registration.waiting === worker, registration.active === first];";
    assert_eq!(run(&page, found).await, json!([true, true]));
    drop(beside);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_update_via_cache_mode_is_kept_and_changed_by_register() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::start();
    let scripts = Scripts::of(&[("/sw.js", "")]);
    let agent = UserAgent::with(&scripts, Some(folder.path()), NEVER_IDLE).await;
    let page = agent.window(&origin.url("/"));
    let seen = run(
        &page,
        format!(
            "{REGISTER}
             const modes = [registration.updateViaCache];
             const wrong = container.register('sw.js', {{ updateViaCache: 'x' }});
             modes.push(await wrong.catch((error) => error.name));
             const again = await container.register('sw.js', {{ updateViaCache: 'none' }});
             return [...modes, again.updateViaCache, registration.updateViaCache, again.installing];"
        ),
    );
    assert_eq!(seen.await, json!(["imports", "TypeError", "none", "none", null]));
    drop(page);
    agent.workers.shutdown().await.unwrap();
    let agent = UserAgent::with(&scripts, Some(folder.path()), NEVER_IDLE).await;
    let page = agent.window(&origin.url("/"));
    let kept = run(&page, "return (await container.ready).updateViaCache;").await;
    assert_eq!(kept, json!("none"));
}

#[test]
fn a_page_is_told_of_an_installed_worker_when_it_is_kept() {
    // Files are written on its only thread for what blocks, which the test can keep busy.
    let runtime = Builder::new_multi_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::start();
        let scripts =
            Scripts::of(&[("/sw.js", "onactivate = (e) => e.waitUntil(clients.claim());")]);
        let agent = UserAgent::with(&scripts, Some(folder.path()), NEVER_IDLE).await;
        let page = agent.window(&origin.url("/"));
        run(&page, format!("{REGISTER} return null;")).await;
        let (release, released) = mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || released.recv());
        scripts.set("/sw.js", "onmessage = ({ source }) => source.postMessage('the second');");
        // A worker gets messages after its install event, so that is over when it answers.
        let told = "await registration.update();
                    const worker = registration.installing ?? registration.waiting;
                    const answered = new Promise((resolve) => container.onmessage = resolve);
                    worker.postMessage(null);
                    const { data } = await answered;
                    return [data, worker.state];";
        assert_eq!(run(&page, told).await, json!(["the second", "installing"]));
        let kept = || fs::read_to_string(folder.path().join("service-workers.json")).unwrap();
        assert!(!kept().contains("the second"));
        drop(release);
        busy.await.unwrap().unwrap_err();
        let installed = "const { installing, waiting } = registration;
                         await until(installing ?? waiting, 'installed');
                         return registration.waiting.state;";
        assert_eq!(run(&page, installed).await, json!("installed"));
        assert!(kept().contains("the second"));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_worker_is_activated_after_a_restart_without_its_scripts() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::start();
    let scripts = Scripts::of(&[("/sw.js", "onactivate = (e) => e.waitUntil(clients.claim());")]);
    let agent = UserAgent::with(&scripts, Some(folder.path()), NEVER_IDLE).await;
    let page = agent.window(&origin.url("/"));
    run(&page, format!("{REGISTER} return null;")).await;
    scripts.set("/sw.js", "onactivate = () => console.log('the second');");
    let waits = "await registration.update();
                 await until(registration.installing ?? registration.waiting, 'installed');
                 return registration.waiting.state;";
    assert_eq!(run(&page, waits).await, json!("installed"));
    // The user agent crashes, and its windows with it.
    agent.crash(page).await;
    scripts.remove_all();
    let mut agent = UserAgent::with(&scripts, Some(folder.path()), NEVER_IDLE).await;
    assert_eq!(agent.next_line().await, "the second");
    let page = agent.window(&origin.url("/"));
    let state = "const { active } = await container.ready; await until(active, 'activated');
                 return (await container.getRegistration()).waiting;";
    assert_eq!(run(&page, state).await, json!(null));
    assert!(agent.workers.active_script(&registration(&origin)).is_some());
}
