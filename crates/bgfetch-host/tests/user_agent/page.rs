//! Pages: their scripts, their document, their window.

use std::sync::Arc;

use bgfetch_host::{PageError, Prelude};
use bgfetch_testkit::{Gate, Reply, Serve};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::agent::{Agent, html_reply, run, script_reply};

#[tokio::test(flavor = "multi_thread")]
async fn scripts_run_in_their_order_and_see_the_document_so_far() {
    let agent = Agent::start().await;
    let note = |name: &str| {
        format!(
            "order.push('{name} ' + document.readyState + ' ' + !!document.getElementById('last'));"
        )
    };
    for name in ["blocking", "deferred", "second", "added"] {
        agent.serve_script(&format!("/{name}.js"), &note(name));
    }
    let html = format!(
        "<!doctype html><title> A  title </title>
         <script>self.order = []; Promise.resolve().then(() => order.push('microtask'));
             document.addEventListener('DOMContentLoaded', () => order.push('content'));
             addEventListener('DOMContentLoaded', () => order.push('content of the window'));
             onload = () => order.push('load ' + document.readyState);</script>
         <script src=deferred.js defer></script>
         <script src=second.js defer></script>
         <script src=blocking.js></script>
         <script>{}
             const script = document.createElement('script');
             script.src = 'added.js';
             script.onload = () => order.push('added was loaded');
             document.head.append(script);
             const inline = document.createElement('script');
             inline.append('order.push(\"at once \" + (document.currentScript === inline))');
             document.head.append(inline);
         </script>
         <script type=text/template>order.push('data');</script>
         <p id=last>",
        note("inline"),
    );
    let page = agent.page(&html).await;
    let mut order: Vec<String> = serde_json::from_value(run(&page, "return order;").await).unwrap();
    // The network determines when it runs.
    let added: Vec<_> = order.extract_if(.., |line| line.starts_with("added")).collect();
    assert_eq!(added.len(), 2);
    assert_eq!(added[1], "added was loaded");
    let expected = [
        "microtask",
        "blocking loading false",
        "inline loading false",
        "at once true",
        "deferred interactive true",
        "second interactive true",
        "content",
        "content of the window",
        "load complete",
    ];
    assert_eq!(order, expected);
    assert_eq!(page.title(), "A title");
    run(&page, "document.title = 'Another'; return null;").await;
    assert_eq!(page.title(), "Another");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_load_or_run_is_told_and_the_page_goes_on() {
    let agent = Agent::start().await;
    agent.origin.serve("/image.js", Reply::text("image/png", "self.image = true;"));
    let plain = Reply::text("text/plain", "self.plain = true;");
    agent.origin.serve("/plain.js", plain.clone());
    agent.origin.serve("/sniffed.js", plain.header("X-Content-Type-Options", "nosniff"));
    let page = agent
        .page(
            "<script>self.errors = []; onerror = (message) => { errors.push(message); };</script>
             <script src=missing.js></script>
             <script src=image.js></script>
             <script src=sniffed.js></script>
             <script src=plain.js></script>
             <script>throw new RangeError('thrown');</script>
             <script>syntax error</script>
             <script type=module>self.module = true;</script>",
        )
        .await;
    let seen = run(
        &page,
        "return [self.image, self.sniffed, self.plain, self.module, errors.length,
                 errors[0].includes('thrown')];",
    );
    assert_eq!(seen.await, json!([null, null, true, null, 2, true]));
    for part in ["missing.js", "image.js", "sniffed.js", "thrown", "SyntaxError", "module"] {
        let line = agent.next_line().await;
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_are_no_pages_are_not_opened() {
    let agent = Agent::start().await;
    agent.origin.serve("/plain", Reply::text("text/plain", "<script>"));
    agent.origin.serve("/moved", Reply::redirect(301, "/page.html"));
    agent.serve_html("/page.html", "<title>here</title>");
    let sandboxed = html_reply("").header("Content-Security-Policy", "sandbox allow-scripts");
    agent.origin.serve("/sandboxed", sandboxed);
    for (path, reason) in
        [("/missing", "404"), ("/plain", "text/plain"), ("/sandboxed", "directive sandbox")]
    {
        let error = agent.user_agent.open_page(agent.origin.url(path)).await.unwrap_err();
        assert!(matches!(error, PageError::NotLoaded { .. }));
        assert!(error.to_string().contains(reason), "{error}");
    }
    let page = agent.open("/moved#part").await;
    let url = agent.origin.url("/page.html#part");
    assert_eq!((page.url(), page.title()), (&url, "here".to_owned()));
    assert_eq!(run(&page, "return location.href;").await, json!(url));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_a_tree_that_scripts_change() {
    let agent = Agent::start().await;
    let page = agent
        .page("<body><ul id=list class='a b'><li>one<li>two</ul><p data-x=1>text<!--c--></p>")
        .await;
    let seen = run(
        &page,
        "const list = document.getElementById('list');
         const { children } = list;
         const item = document.createElement('LI');
         item.textContent = 'three';
         const clicks = [];
         for (const target of [item, list, document]) {
             target.addEventListener('click', ({ target: { textContent } }) => clicks.push(textContent));
         }
         list.onclick = () => clicks.push('handler');
         list.append(item);
         item.click();
         const before = children.length;
         children[0].remove();
         const refused = [];
         for (const task of [() => item.append(list), () => list.removeChild(document.body),
                             () => document.querySelector('a > b'), () => new HTMLElement()]) {
             try { task(); refused.push(null); } catch (error) { refused.push(error.name); }
         }
         const other = document.implementation.createHTMLDocument('other');
         return [
             before, children.length, list.textContent, clicks, refused,
             document.querySelectorAll('li, p').length, document.querySelector('.b').tagName,
             document.querySelector('[data-x=\"1\"]').textContent, list.parentNode.localName,
             [...document.getElementsByTagName('li')].map(({ nodeName }) => nodeName),
             other.title, other.defaultView, item.ownerDocument === document,
             Object.prototype.toString.call(item), 'checkVisibility' in item, document instanceof Node,
         ];",
    );
    let expected = json!([
        3,
        2,
        "twothree",
        ["three", "three", "handler", "three"],
        ["HierarchyRequestError", "NotFoundError", "NotSupportedError", "TypeError"],
        3,
        "UL",
        "text",
        "body",
        ["LI", "LI"],
        "other",
        null,
        true,
        "[object HTMLElement]",
        false,
        true,
    ]);
    assert_eq!(seen.await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_has_random_numbers_its_origin_and_the_state_of_the_network() {
    let agent = Agent::start().await;
    let page = agent.page("").await;
    let seen = run(
        &page,
        "const bytes = crypto.getRandomValues(new Uint16Array(32));
         let refused;
         try { crypto.getRandomValues(new Float32Array(1)); } catch ({ name }) { refused = name; }
         self.changes = [];
         self.changed = new Promise((resolve) => {
             ononline = onoffline = ({ type }) => {
                 changes.push(type, navigator.onLine);
                 if (changes.length === 4) resolve();
             };
         });
         return [bytes.some((byte) => byte > 255), refused, crypto.randomUUID().length,
                 'subtle' in crypto, isSecureContext, origin === location.origin,
                 navigator.onLine, parent === self, opener, closed];",
    );
    let expected =
        json!([true, "TypeMismatchError", 36, true, true, true, true, true, null, false]);
    assert_eq!(seen.await, expected);
    agent.user_agent.set_online(false);
    let offline = "while (changes.length < 2) await new Promise((resolve) => setTimeout(resolve));";
    run(&page, format!("{offline} return null;")).await;
    agent.user_agent.set_online(true);
    let changes = run(&page, "await changed; return changes;").await;
    assert_eq!(changes, json!(["offline", false, "online", true]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_no_secure_context_has_no_service_workers() {
    let agent = Agent::insecure().await;
    agent.origin.serve("/page.html", html_reply(""));
    let mut url = agent.origin.url("/page.html");
    url.set_host(Some("insecure.test")).unwrap();
    let page = agent.user_agent.open_page(url).await.unwrap();
    page.loaded().await;
    let seen = run(
        &page,
        "return [isSecureContext, 'serviceWorker' in navigator, 'BackgroundFetchManager' in self,
                 'randomUUID' in crypto, (await fetch('/page.html')).status];",
    );
    assert_eq!(seen.await, json!([false, false, false, false, 200]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prelude_runs_first_and_keeps_its_hook_from_the_page() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let prelude = Prelude {
        name: "prelude.js".into(),
        source: "{ const call = hook; self.testing = { call: (value) => call(value) }; }".into(),
        hook: Arc::new(move |value| {
            tell.lock().push(value.clone());
            match value {
                Value::Number(_) => Ok(json!({ "got": value })),
                _ => Err("no number".into()),
            }
        }),
    };
    let agent = Agent::with(Some(prelude)).await;
    let page = agent.page("<script>self.first = [typeof hook, testing.call(1)];</script>").await;
    let seen = run(
        &page,
        "try { testing.call('x'); } catch (error) { first.push(error.message); } return first;",
    );
    assert_eq!(seen.await, json!(["undefined", { "got": 1 }, "no number"]));
    assert_eq!(*told.lock(), [json!(1), json!("x")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_closes_its_window() {
    let agent = Agent::start().await;
    let gate = Gate::new();
    agent.origin.serve("/late.js", script_reply("console.log('late');").hold_head(&gate));
    agent.serve_html(
        "/page.html",
        "<script async src=late.js></script>
         <script>console.log('first'); close(); console.log(closed);
             setTimeout(() => console.log('timer'), 0);</script>
         <script>console.log('second');</script>",
    );
    let page = agent.user_agent.open_page(agent.origin.url("/page.html")).await.unwrap();
    page.closed().await;
    gate.open();
    assert!(page.realm().run_script("late.js", "1").await.is_err());
    let lines = [agent.next_line().await, agent.next_line().await];
    assert_eq!(lines, ["first", "true"]);
    drop(page);
    assert!(agent.no_line());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_is_a_window_of_its_own_and_a_client_until_it_is_removed() {
    let agent = Agent::start().await;
    agent.serve_script(
        "/sw.js",
        "onactivate = (event) => event.waitUntil(clients.claim());
         onmessage = async ({ source }) => {
             const all = await clients.matchAll();
             source.postMessage(all.map(({ frameType, url }) => `${frameType} ${url}`).sort());
         };",
    );
    let frame = "<script>console.log([typeof parent, self.x, location.pathname].join());</script>";
    agent.serve_html("/frame.html", frame);
    agent.origin.serve("/away.html", Reply::redirect(302, "http://other.test/"));
    let page = agent.page("<script>self.x = 1;</script>").await;
    let seen = run(
        &page,
        "const { serviceWorker } = navigator;
         const claimed = new Promise((resolve) => serviceWorker.oncontrollerchange = resolve);
         await serviceWorker.register('sw.js');
         await claimed;
         const clients = () => new Promise((resolve) => {
             serviceWorker.onmessage = ({ data }) => resolve(data);
             serviceWorker.controller.postMessage(null);
         });
         const open = (src) => new Promise((resolve) => {
             const frame = document.createElement('iframe');
             frame.src = src;
             frame.onload = () => resolve(frame);
             document.body.append(frame);
         });
         const frame = await open('frame.html');
         const during = await clients();
         frame.remove();
         let after = await clients();
         while (after.length > 1) after = await clients();
         await open('http://other.test/');
         await open('away.html');
         return [during, after, 'contentWindow' in frame];",
    );
    let own = format!("top-level {}", page.url());
    let nested = format!("nested {}", agent.origin.url("/frame.html"));
    assert_eq!(seen.await, json!([[nested, own], [own], false]));
    assert_eq!(agent.next_line().await, "undefined,,/frame.html");
    for _ in ["http://other.test/", "away.html"] {
        assert!(agent.next_line().await.contains("The frame has no page"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_message_on_the_console_is_cut() {
    let agent = Agent::start().await;
    let page = agent.page("").await;
    run(&page, "console.log('\u{e4}'.repeat(100000)); return null;").await;
    let line = agent.next_line().await;
    let shown = "\u{e4}".repeat(32 << 10);
    assert_eq!(line, format!("{shown}... ({} bytes more)", 200_000 - (64 << 10)));
}
