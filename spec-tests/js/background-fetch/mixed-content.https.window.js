// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// Schemes, mixed content and malformed URLs are matters of the record (D36).
"use strict";

const local = (port) => `http://127.0.0.1:${port}`;

/** fetch() resolves, and then that record fails without a request. */
function fails(description, url, server) {
  background_fetch_test(async ({ t, manager, id, settled }) => {
    const registration = await manager.fetch(id, url);
    const [record] = await registration.matchAll();
    await promise_rejects_js(t, TypeError, record.responseReady);
    assert_equals((await settled()).failureReason, "fetch-error");
    if (server !== undefined) assert_equals((await server.requests()).length, 0);
  }, `fetch() resolves and the record fails: ${description}`);
}

for (const url of ["ftp://example.test/", "data:text/plain,text", "about:blank", "wss://example.test/", "bad-scheme:x"]) {
  fails(url, url);
}

const insecure = new Server([{ size: 10 }], { origin: INSECURE_ORIGIN });
fails("http: to a host that is not this machine by its name", insecure.url, insecure);

const markup = new Server([{ size: 10 }]);
fails("dangling markup in the URL", `${markup.urlOf("a\n<b")}`, markup);

background_fetch_test(async ({ manager, id, settled }) => {
  const port = new URL(INSECURE_ORIGIN).port;
  const cors = [["Access-Control-Allow-Origin", "*"]];
  for (const origin of [local(port), `http://localhost:${port}`]) {
    const server = new Server([{ size: 10, headers: cors }], { origin });
    await manager.fetch(id, server.url);
    assert_equals((await settled()).type, "backgroundfetchsuccess", origin);
  }
}, "http: to loopback is allowed");

background_fetch_test(async ({ manager, id, settled }) => {
  const target = new Server([{ size: 10, headers: [["Access-Control-Allow-Origin", "*"]] }], {
    origin: INSECURE_ORIGIN,
  });
  const from = new Server([{ status: 302, headers: [["Location", target.url]] }]);
  await manager.fetch(id, from.url);
  assert_equals((await settled()).failureReason, "fetch-error");
  assert_equals((await target.requests()).length, 0);
}, "The same is checked on every redirect: to mixed content");

background_fetch_test(async ({ manager, id, settled }) => {
  const from = new Server([{ status: 302, headers: [["Location", "data:text/plain,text"]] }]);
  await manager.fetch(id, from.url);
  assert_equals((await settled()).failureReason, "fetch-error");
}, "The same is checked on every redirect: to another scheme");

background_fetch_test(async ({ manager, id, settled }) => {
  const from = new Server([{ status: 302, headers: [["Location", "https://example.test:25/"]] }]);
  await manager.fetch(id, from.url);
  assert_equals((await settled()).failureReason, "fetch-error");
}, "The same is checked on every redirect: to a blocked port");
