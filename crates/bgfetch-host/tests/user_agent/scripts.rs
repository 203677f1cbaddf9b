//! Scripts of other origins: on whose behalf they are loaded, and what a page learns of them.

use bgfetch_testkit::{Origin, Reply, Serve};
use serde_json::{Value, json};

use crate::agent::{Agent, html_reply, run, script_reply};

/// A page that collects its errors, with these scripts.
fn collecting(sources: &[String]) -> String {
    let scripts: String =
        sources.iter().map(|source| format!("<script src=\"{source}\"></script>")).collect();
    format!(
        "<script>
             self.seen = [];
             onerror = (message, file, line, column, error) => {{
                 seen.push([message, file, line, column, error]);
             }};
             onunhandledrejection = ({{ reason }}) => seen.push([String(reason)]);
         </script>{scripts}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_are_requested_on_behalf_of_their_page_or_worker() {
    let (agent, other) = (Agent::start().await, Origin::start());
    other.serve("/lib.js", script_reply(""));
    other.serve("/imported.js", script_reply(""));
    let import = format!("importScripts('{}');", other.url("/imported.js"));
    agent.serve_script("/sw.js", &import);
    let page = agent.page(&collecting(&[other.url("/lib.js").into()])).await;
    let register = "await navigator.serviceWorker.register('sw.js');
                    await navigator.serviceWorker.ready;
                    return seen;";
    assert_eq!(run(&page, register).await, json!([]));
    let site = agent.origin.url("/");
    let page_origin = site.as_str();
    for (server, path, dest, mode, site, referrer) in [
        (&other, "/lib.js", "script", "no-cors", "same-site", page_origin),
        (&other, "/imported.js", "script", "no-cors", "same-site", page_origin),
        (&agent.origin, "/sw.js", "serviceworker", "same-origin", "same-origin", "page.html"),
    ] {
        let requests = server.requests_to(path);
        let header = |name| requests[0].header(name);
        assert_eq!(header("sec-fetch-dest"), Some(dest), "{path}");
        assert_eq!(header("sec-fetch-mode"), Some(mode), "{path}");
        assert_eq!(header("sec-fetch-site"), Some(site), "{path}");
        assert!(header("referer").is_some_and(|url| url.ends_with(referrer)), "{path}");
        assert_eq!(header("origin"), None, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_of_pages_workers_and_servers_decide_which_scripts_run() {
    let (agent, other) = (Agent::start().await, Origin::start());
    let ran = |name: &str| script_reply(&format!("self.ran = [...(self.ran ?? []), '{name}'];"));
    for path in ["/free.js", "/nonce.js", "/refused.js"] {
        other.serve(path, ran(path));
    }
    let kept = |reply: Reply| reply.header("Cross-Origin-Resource-Policy", "same-origin");
    other.serve("/kept.js", kept(ran("/kept.js")));
    other.serve("/moved.js", kept(Reply::redirect(302, "/free.js")));
    agent.serve_script("/own.js", "self.ran = [...(self.ran ?? []), 'own'];");
    let urls = ["/free.js", "/kept.js", "/moved.js"].map(|path| String::from(other.url(path)));
    let page = agent.page(&collecting(&urls)).await;
    assert_eq!(run(&page, "return ran;").await, json!(["/free.js"]));

    let csp = format!("script-src 'self' 'nonce-YQ==' {}", other.url("/free.js"));
    let html = format!(
        "<script src=own.js></script><script src={}></script>
         <script src={} nonce=YQ==></script><script src={}></script>",
        other.url("/free.js"),
        other.url("/nonce.js"),
        other.url("/refused.js"),
    );
    agent.origin.serve("/csp.html", html_reply(&html).header("Content-Security-Policy", &csp));
    let page = agent.open("/csp.html").await;
    assert_eq!(run(&page, "return ran;").await, json!(["own", "/free.js", "/nonce.js"]));
    assert_eq!(other.requests_to("/refused.js").len(), 0);

    // A worker's own policies bind its imports, and those of its page bind the worker's script.
    let import = |path: &str| format!("importScripts('{}');", other.url(path));
    agent.serve_script("/sw.js", &import("/refused.js"));
    let sandboxed = script_reply("").header("Content-Security-Policy", "sandbox");
    agent.origin.serve("/sandboxed.js", sandboxed);
    let strict = script_reply(&import("/refused.js"));
    agent.origin.serve("/strict.js", strict.header("Content-Security-Policy", "script-src 'self'"));
    agent.origin.serve(
        "/workers.html",
        html_reply("").header("Content-Security-Policy", "worker-src 'none'"),
    );
    let register = |script: &str| {
        format!(
            "return await navigator.serviceWorker.register('{script}', {{ scope: '{script}' }})
                 .then(() => true, ({{ name }}) => name);"
        )
    };
    let page = agent.page("").await;
    assert_eq!(run(&page, register("sw.js")).await, json!(true));
    assert_eq!(run(&page, register("strict.js")).await, json!("TypeError"));
    assert_eq!(run(&page, register("sandboxed.js")).await, json!("TypeError"));
    let page = agent.open("/workers.html").await;
    assert_eq!(run(&page, register("other.js")).await, json!("TypeError"));
    assert_eq!(other.requests_to("/refused.js").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_other_origins_are_muted_wherever_they_surface() {
    let (agent, other) = (Agent::start().await, Origin::start());
    let muted = json!(["Script error.", "", 0, 0, null]);
    for (content_type, source) in [
        ("application/json", "{\"user\": \"alice\", \"balance\": 17}"),
        ("text/html", "<p>secret of alice</p>"),
        ("text/plain", "token_of_alice"),
        ("text/javascript", "throw new Error('secret')"),
        ("text/javascript", "throw 'secret'"),
        ("text/javascript", "setTimeout(() => { secret_in_a_timer(); })"),
        ("text/javascript", "addEventListener('now', () => { secret_in_a_listener(); })"),
        ("text/javascript", "queueMicrotask?.(() => { secret_in_a_microtask(); })"),
    ] {
        other.serve("/data", Reply::text(content_type, source));
        agent.origin.serve("/moved", Reply::redirect(302, other.url("/data").as_str()));
        for url in [other.url("/data"), agent.origin.url("/moved")] {
            let page = agent.page(&collecting(&[url.into()])).await;
            let told = run(
                &page,
                "self.dispatchEvent(new Event('now'));
                 while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve));
                 return seen;",
            );
            assert_eq!(told.await, json!([muted]), "{source}");
            assert_eq!(agent.next_line().await, "Uncaught Script error.", "{source}");
        }
    }
    // No event reports a rejection.
    other.serve("/data", script_reply("Promise.reject(new Error('secret'))"));
    let page = agent.page(&collecting(&[other.url("/data").into()])).await;
    assert_eq!(agent.next_line().await, "Uncaught Script error.");
    assert_eq!(run(&page, "return seen;").await, json!([]));

    // Those of the page's own origin are not muted.
    agent.serve_script("/own.js", "setTimeout(() => { own_mistake(); }); throw new Error('own')");
    let page = agent.page(&collecting(&["own.js".into()])).await;
    let told: Value = run(
        &page,
        "while (seen.length < 2) await new Promise((resolve) => setTimeout(resolve));
         return seen.map(([message, file, line]) => [message, new URL(file).pathname, line]);",
    )
    .await;
    for (told, part) in told.as_array().unwrap().iter().zip(["own", "own_mistake"]) {
        assert!(told[0].as_str().unwrap().contains(part), "{told}");
        assert_eq!((&told[1], &told[2]), (&json!("/own.js"), &json!(1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_an_imported_script_looks_the_same() {
    let (agent, other) = (Agent::start().await, Origin::start());
    let reply = |content_type: &str, text: &str| Reply::text(content_type, text.to_owned());
    other.serve("/ok.js", script_reply(""));
    other.serve("/forbidden", Reply::status(403));
    other.serve("/html", reply("text/html", "<p>secret</p>"));
    other.serve("/csv", reply("text/csv", "alice,1"));
    other.serve("/syntax", reply("text/javascript", "alice: {{"));
    other.serve("/throws", script_reply("throw new Error('secret')"));
    other.serve("/moved", Reply::redirect(302, "http://127.0.0.1:9/account/alice"));
    other.serve("/ftp", Reply::redirect(302, "ftp://alice/"));
    other.serve("/kept", script_reply("").header("Cross-Origin-Resource-Policy", "same-origin"));
    let mut urls: Vec<String> = [
        "/missing",
        "/forbidden",
        "/html",
        "/csv",
        "/syntax",
        "/throws",
        "/moved",
        "/ftp",
        "/kept",
    ]
    .map(|path| other.url(path).into())
    .into();
    urls.extend(["http://127.0.0.1:9/", "http://127.0.0.1:25/"].map(String::from));
    urls.extend(
        ["http://nobody.invalid/", "file:///etc/passwd", "data:text/javascript,1"]
            .map(String::from),
    );
    let ok = other.url("/ok.js");
    agent.serve_script(
        "/sw.js",
        &format!(
            "importScripts('{ok}');
             const seen = {urls:?}.map((url) => {{
                 try {{
                     return importScripts(url) ?? 'imported';
                 }} catch (error) {{
                     const {{ name, message }} = error;
                     return `${{error instanceof DOMException}} ${{name}} ${{message.replace(url, 'URL')}}`;
                 }}
             }});
             onmessage = ({{ source }}) => source.postMessage([...new Set(seen)]);"
        ),
    );
    let page = agent.page("").await;
    let seen = run(
        &page,
        "await navigator.serviceWorker.register('sw.js');
         const { active } = await navigator.serviceWorker.ready;
         const told = new Promise((resolve) => {
             navigator.serviceWorker.onmessage = ({ data }) => resolve(data);
         });
         active.postMessage(null);
         return await told;",
    );
    let message = "Failed to execute 'importScripts' on 'WorkerGlobalScope': URL failed";
    assert_eq!(seen.await, json!([format!("true NetworkError {message}")]));
}
