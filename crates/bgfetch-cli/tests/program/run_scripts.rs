//! `run`: its reports about scripts that fail, that use unsupported features, and that wait for the
//! user.

use std::path::Path;

use bgfetch_testkit::{Origin, Resource};
use serde_json::{Value, json};

use crate::fixture::{Ended, Place};
use crate::run::said;

/// Registers `sw.js`, waits until it is active and fetches the page's script.
const FETCH: &str = "
    navigator.serviceWorker.register('sw.js');
    navigator.serviceWorker.ready.then((found) => found.backgroundFetch.fetch('own', 'app.js'));";

fn end(place: &Place, app: &Path, arguments: &[&str]) -> Ended {
    place.app(app, arguments).end()
}

/// Runs a page and its worker twice, for plain text and for JSON.
fn both(page: &str, worker: &str, arguments: &[&str]) -> (Ended, Ended) {
    let run = |more: &[&str]| {
        let place = Place::new();
        let app = place.page(page);
        std::fs::write(app.join("sw.js"), worker).unwrap();
        end(&place, &app, &[arguments, more].concat())
    };
    (run(&[]), run(&["--json"]))
}

#[test]
fn a_rejected_promise_of_wait_until_is_told_on_the_workers_console() {
    for (event, worker) in [
        ("install", "oninstall = (e) => e.waitUntil(Promise.reject(new RangeError('no room')));"),
        (
            "activate",
            "onactivate = (e) => e.waitUntil((async () => { throw RangeError('no room'); })());",
        ),
        (
            "backgroundfetchsuccess",
            "onbackgroundfetchsuccess = (e) => e.waitUntil(Promise.reject(RangeError('no room')));",
        ),
    ] {
        let (plain, json) = both(FETCH, worker, &[]);
        let line = format!(
            "worker: error: Uncaught (in a promise that waitUntil() of {event} was given) \
             RangeError: no room"
        );
        assert!(plain.stdout.contains(&line), "{line} in {plain:#?}");
        let messages = json.events("console");
        let told = messages
            .iter()
            .find(|message| message["source"] == "worker" && message["uncaught"] == json!(true));
        let message = told.unwrap_or_else(|| panic!("{json:#?}"))["message"].as_str().unwrap();
        assert!(message.contains("RangeError: no room"), "{message}");
        assert_eq!((plain.code, json.code), (Some(1), Some(1)), "{event}");
        let not_installed =
            "worker: error: The service worker was not installed: RangeError: no room";
        let says_so = plain.stdout.iter().any(|line| line == not_installed);
        assert_eq!(says_so, event == "install", "{plain:#?}");
    }
}

#[test]
fn a_failure_that_no_script_dealt_with_makes_the_exit_code_1() {
    for (script, code) in [
        ("throw new Error('lost');", 1),
        ("setTimeout(() => { throw new Error('lost'); });", 1),
        ("Promise.reject(new Error('lost'));", 1),
        ("document.body.remove.x.y;", 1),
        ("console.error('lost');", 0),
        ("Promise.reject(new Error('lost')).catch(() => {});", 0),
        ("onunhandledrejection = (e) => e.preventDefault(); Promise.reject(1);", 0),
        ("try { indexedDB.open('x'); } catch {}", 0),
    ] {
        let place = Place::new();
        let ended = end(&place, &place.page(script), &["--json"]);
        assert_eq!(ended.code, Some(code), "{script}: {ended:#?}");
    }
}

#[test]
fn what_a_page_or_worker_lacks_is_named() {
    let worker = |body: &str| {
        format!("onbackgroundfetchsuccess = (e) => e.waitUntil((async () => {{ {body} }})());")
    };
    for (page, worker, wanted) in [
        (
            "import 'x.js';",
            String::new(),
            "import and export need modules, which are not supported",
        ),
        (FETCH, "import 'x.js';".into(), "import and export need modules, which are not supported"),
        (FETCH, worker("await import('./x.js')"), "Module loading is not supported"),
        (FETCH, worker("self.indexedDB.open('x')"), "IndexedDB is not supported"),
        (
            "addEventListener('load', () => { document.body.innerHTML = ''; });",
            String::new(),
            "Element.innerHTML is not supported",
        ),
    ] {
        let (plain, json) = both(page, &worker, &[]);
        assert!(plain.stdout.iter().any(|line| line.contains(wanted)), "{wanted} in {plain:#?}");
        assert_eq!((plain.code, json.code), (Some(1), Some(1)), "{wanted}");
    }
}

#[test]
fn a_page_that_only_waits_for_a_click_ends_with_a_hint_and_an_option_clicks() {
    let page = "addEventListener('load', () => {
        const button = document.createElement('button');
        button.id = 'start';
        document.body.append(button);
        button.addEventListener('click', async ({ isTrusted }) => {
            console.log('clicked', isTrusted);
            await navigator.serviceWorker.register('sw.js');
            const { backgroundFetch } = await navigator.serviceWorker.ready;
            await backgroundFetch.fetch('own', 'app.js');
        });
    });";
    let (plain, json) = both(page, "", &[]);
    let hint = "the page waits for a click, which --click '#start' makes";
    assert!(plain.success().iter().any(|line| line == hint), "{plain:#?}");
    json.success();
    assert_eq!(json.events("hint")[0]["selectors"], json!(["#start"]));

    let (plain, json) = both(page, "", &["--click", "#start"]);
    assert!(plain.success().iter().all(|line| !line.contains("waits for a click")), "{plain:#?}");
    json.success();
    assert_eq!(said(&json, "page"), ["clicked true"]);
    assert_eq!(json.events("summary")[0]["result"], "success");

    let wrong = [
        ("#stop", "#stop: no element matches"),
        ("body", "body: the element does not listen for clicks"),
        ("p > a", "p > a: The selector 'p > a' is not supported"),
    ];
    for (selector, refusal) in wrong {
        let (plain, _) = both(page, "", &["--click", selector]);
        assert_eq!(plain.refusal(1), refusal);
    }
}

#[test]
fn notifications_are_shown() {
    let worker = "onbackgroundfetchsuccess = (e) => e.waitUntil(
        registration.showNotification('Ready', { body: 'One file\\nis here', tag: 'own' }));";
    let (plain, json) = both(FETCH, worker, &[]);
    for wanted in ["worker: showNotification: Ready", "worker: showNotification: One file"] {
        assert!(plain.success().iter().any(|line| line == wanted), "{wanted} in {plain:#?}");
    }
    json.success();
    let shown = &json.events("notification")[0];
    assert_eq!(shown["source"], "worker");
    let texts = ["title", "body", "tag"].map(|name| shown[name].as_str().unwrap());
    assert_eq!(texts, ["Ready", "One file\nis here", "own"]);
}

#[test]
fn why_a_record_failed_is_told_in_lines_and_in_the_summary() {
    let origin = Origin::start();
    origin.serve("/film", Resource::new(1, 10));
    let page = format!(
        "const meta = document.createElement('meta');
         meta.httpEquiv = 'Content-Security-Policy';
         meta.content = \"connect-src 'self'\";
         document.head.append(meta);
         navigator.serviceWorker.register('sw.js');
         navigator.serviceWorker.ready.then(
             (found) => found.backgroundFetch.fetch('film', '{}'));",
        origin.url("/film")
    );
    let (plain, json) = both(&page, "", &[]);
    let reasons: Vec<&String> =
        plain.success().iter().filter(|line| line.contains("content security policy")).collect();
    assert_eq!(reasons.len(), 2, "{plain:#?}");
    json.success();
    let record: &Value = &json.events("summary")[0]["records"][0];
    assert!(record["message"].as_str().unwrap().contains("content security policy"), "{record}");
}
