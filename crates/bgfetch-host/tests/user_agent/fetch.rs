//! The `fetch()` method.

use bgfetch_testkit::{Gate, MIB, Origin, Reply, Resource, Serve};
use serde_json::json;

use crate::agent::{Agent, html_reply, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_what_the_server_sent() {
    let agent = Agent::start().await;
    let text = Reply::text("text/plain", "a text").header("X-A", "1").header("Set-Cookie", "a=b");
    agent.origin.serve("/text", text);
    agent.origin.serve("/moved", Reply::redirect(302, "/text"));
    agent.origin.serve("/missing", Reply::status(404));
    agent.origin.serve("/posted", Reply::status(204));
    let page = agent.page("").await;
    let seen = run(
        &page,
        "const response = await fetch('text');
         const moved = await fetch(new Request('moved'));
         const manual = await fetch('moved', { redirect: 'manual' });
         const { status, ok } = await fetch('missing');
         const head = await fetch('text', { method: 'HEAD' });
         const posted = await fetch('posted', { method: 'POST', body: 'some text' });
         const path = ({ url }) => url && new URL(url).pathname;
         return [
             response.status, response.ok, response.type, path(response), response.redirected,
             response.headers.get('x-a'), response.headers.has('set-cookie'),
             await response.text(), response.bodyUsed,
             path(moved), moved.redirected, await moved.text(),
             manual.type, manual.status, manual.body,
             status, ok, head.status, head.body, posted.status, posted.body,
         ];",
    );
    let expected = json!([
        200,
        true,
        "basic",
        "/text",
        false,
        "1",
        false,
        "a text",
        true,
        "/text",
        true,
        "a text",
        "opaqueredirect",
        0,
        null,
        404,
        false,
        200,
        null,
        204,
        null,
    ]);
    assert_eq!(seen.await, expected);
    let posted = agent.origin.requests_to("/posted");
    assert_eq!(posted[0].body.bytes(), Some(&b"some text"[..]));
    assert_eq!(posted[0].header("content-type"), Some("text/plain;charset=UTF-8"));
    assert_eq!(posted[0].header("referer"), Some(page.url().as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_origins_are_read_with_their_consent_alone() {
    let agent = Agent::start().await;
    let other = Origin::start();
    other.serve(
        "/open",
        Reply::text("text/plain", "open").header("Access-Control-Allow-Origin", "*"),
    );
    other.serve("/closed", Reply::text("text/plain", "closed"));
    let page = agent.page("").await;
    let seen = run(
        &page,
        format!(
            "const name = (promise) => promise.then((response) => response.type, (e) => e.name);
             return [
                 await name(fetch('{0}')), await name(fetch('{1}')),
                 await name(fetch('{0}', {{ mode: 'same-origin' }})),
                 await name(fetch('{1}', {{ mode: 'no-cors' }})),
                 await name(fetch('/page.html', {{ mode: 'no-cors' }})),
                 await name(fetch('data:,x')), await name(fetch('http://[')), await name(fetch()),
             ];",
            other.url("/open"),
            other.url("/closed"),
        ),
    );
    let error = "TypeError";
    assert_eq!(seen.await, json!(["cors", error, error, error, "basic", error, error, error]));
    assert!(agent.next_line().await.contains("Failed to fetch"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_with_back_pressure_and_end_with_their_signal() {
    let agent = Agent::start().await;
    let gate = Gate::new();
    agent.origin.serve("/film", Resource::new(1, 64 * MIB).hold_at(1000, &gate));
    agent.origin.serve("/never", Resource::new(1, 1).hold_head(&Gate::new()));
    let page = agent.page("").await;
    let first = run(
        &page,
        "const before = AbortSignal.abort('early');
         const early = await fetch('film', { signal: before }).catch((error) => error);
         const controller = new AbortController();
         const never = fetch('never', { signal: controller.signal }).catch((error) => error.name);
         self.film = new AbortController();
         const response = await fetch('film', { signal: self.film.signal });
         self.reader = response.body.getReader();
         const { value } = await reader.read();
         controller.abort();
         return [early, await never, value.byteLength > 0];",
    );
    assert_eq!(first.await, json!(["early", "AbortError", true]));
    gate.open();
    let rest = run(
        &page,
        "for (let bytes = 0; bytes < 1 << 20; bytes += (await reader.read()).value.byteLength);
         film.abort(new RangeError('enough'));
         return await reader.read().catch((error) => error.message);",
    );
    assert_eq!(rest.await, json!("enough"));
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_of_headers_and_of_meta_elements_bind_a_page() {
    let agent = Agent::start().await;
    agent.origin.serve("/text", Reply::text("text/plain", "a text"));
    let fetch = "return await fetch('text').then(() => true, () => false);";
    let none = "connect-src 'none'";
    let page = agent.page("").await;
    assert_eq!(run(&page, fetch).await, json!(true));
    let add = "const meta = document.createElement('meta');
               meta.httpEquiv = 'Content-Security-Policy';
               meta.content = \"connect-src 'none'\";
               document.head.append(meta);";
    assert_eq!(run(&page, format!("{add} {fetch}")).await, json!(false));
    let in_head = format!("<meta http-equiv=content-security-policy content=\"{none}\">");
    assert_eq!(run(&agent.page(&in_head).await, fetch).await, json!(false));
    let in_body = format!("<body>{in_head}");
    assert_eq!(run(&agent.page(&in_body).await, fetch).await, json!(true));
    agent.origin.serve("/csp.html", html_reply("").header("Content-Security-Policy", none));
    assert_eq!(run(&agent.open("/csp.html").await, fetch).await, json!(false));
    let referrer = html_reply("<meta name=referrer content=no-referrer>");
    agent.origin.serve("/referrer.html", referrer);
    assert_eq!(run(&agent.open("/referrer.html").await, fetch).await, json!(true));
    let requests = agent.origin.requests_to("/text");
    assert_eq!(requests.last().unwrap().header("referer"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_only_the_user_agent_may_set_are_not_sent() {
    let agent = Agent::start().await;
    agent.origin.serve("/x", Reply::text("text/plain", ""));
    let page = agent.page("").await;
    let forbidden = [
        "Accept-Charset",
        "Access-Control-Request-Headers",
        "Access-Control-Request-Private-Network",
        "Cookie",
        "Cookie2",
        "DNT",
        "Date",
        "Expect",
        "Keep-Alive",
        "Proxy-Authorization",
        "Sec-Own",
        "Set-Cookie",
        "TE",
        "Trailer",
        "Upgrade",
        "Via",
    ];
    let overrides = ["X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override"];
    let sent = run(
        &page,
        format!(
            "const headers = {{ 'X-Own': 'mine', Origin: 'http://mine', Referer: 'http://mine/' }};
             for (const name of {forbidden:?}) headers[name] = 'mine';
             for (const name of {overrides:?}) headers[name] = 'get, TRACE';
             await fetch('x', {{ headers }});
             await fetch(new Request('x', {{ headers }}), {{ method: 'POST', body: '' }});
             await fetch('x', {{ headers: {{ 'X-HTTP-Method': 'PUT' }} }});
             return await fetch('x', {{ method: 'TRACE' }}).catch(({{ name }}) => name);"
        ),
    );
    assert_eq!(sent.await, json!("TypeError"));
    let requests = agent.origin.requests_to("/x");
    assert_eq!(requests.len(), 3);
    for request in &requests[..2] {
        assert_eq!(request.header("x-own"), Some("mine"));
        for name in forbidden.iter().chain(&overrides) {
            assert_eq!(request.header(name), None, "{name}");
        }
        assert_ne!(request.header("origin"), Some("http://mine"));
        assert_eq!(request.header("referer"), Some(page.url().as_str()));
    }
    assert_eq!(requests[2].header("x-http-method"), Some("PUT"));
}
