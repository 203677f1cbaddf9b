// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// Create record objects: what a record shows of its response, and when (D20, D21, D6).
"use strict";

/** The integrity metadata of "abc". */
const OF_ABC = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
const HEADERS = [["X-Own", "yes"], ["ETag", '"a"']];

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 10, holdHead: true, headers: HEADERS }]);
  const registration = await manager.fetch(id, server.url);
  const record = await registration.match(server.url);
  let ready = false;
  const response = record.responseReady.then((response) => {
    ready = true;
    return response;
  });
  await server.requests(1);
  assert_false(ready);
  await server.release();
  assert_equals((await response).headers.get("x-own"), "yes");
  await settled();
}, "A record can be matched before its response's headers arrived");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 5000, hold: 1000, headers: HEADERS }]);
  const registration = await manager.fetch(id, server.url);
  const record = await registration.match(server.url);
  const response = await record.responseReady;
  assert_equals(registration.result, "");
  assert_equals(response.status, 200);
  const reader = response.body.getReader();
  let length = 0;
  while (length < 1000) length += (await reader.read()).value.byteLength;
  assert_equals(length, 1000, "what has come can be read");
  await server.release();
  for (let chunk; !(chunk = await reader.read()).done;) length += chunk.value.byteLength;
  assert_equals(length, 5000);
  await settled();
}, "responseReady resolves at the headers, and the body streams while it comes");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 3, headers: HEADERS }]);
  const registration = await manager.fetch(id, server.url);
  const record = await registration.match(server.url);
  const response = await record.responseReady;
  assert_true(response instanceof Response);
  assert_equals(response.url, server.url);
  assert_equals(response.type, "basic");
  assert_true(response.ok);
  assert_false(response.redirected);
  assert_equals(response.headers.get("content-length"), null);
  assert_equals(response.headers.get("content-range"), null);
  assert_equals(response.headers.get("etag"), '"a"');
  assert_throws_js(TypeError, () => response.headers.set("x", "y"), "headers are immutable");
  await settled();
}, "The response is that of the server, without the headers that tell of its transfer");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 10 }]);
  const registration = await manager.fetch(id, server.url);
  const records = await Promise.all([registration.match(server.url), registration.match(server.url)]);
  const sizes = records.map(async ({ responseReady }) => (await (await responseReady).arrayBuffer()).byteLength);
  assert_array_equals(await Promise.all(sizes), [10, 10]);
  await settled();
}, "Each record object reads the body from its beginning");

background_fetch_test(async ({ t, manager, id, settled }) => {
  const server = new Server([{ size: 10 }], { origin: OTHER_ORIGIN });
  const registration = await manager.fetch(id, server.url);
  const record = await registration.match(server.url);
  await promise_rejects_js(t, TypeError, record.responseReady);
  await settled();
}, "responseReady rejects with TypeError where there is no response");

background_fetch_test(async ({ t, manager, id, settled }) => {
  const server = new Server([{ holdHead: true }]);
  const registration = await manager.fetch(id, server.url);
  const record = await registration.match(server.url);
  const { responseReady } = record;
  await registration.abort();
  await promise_rejects_dom(t, "AbortError", responseReady);
  await settled();
}, "responseReady rejects with AbortError where the fetch was aborted");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ text: "abc", holdHead: true }]);
  const registration = await manager.fetch(id, new Request(server.url, { integrity: OF_ABC }));
  const { responseReady } = await registration.match(server.url);
  await server.release();
  assert_equals(await (await responseReady).text(), "abc");
  assert_equals((await settled()).type, "backgroundfetchsuccess");
}, "D20: a body that its integrity metadata names is exposed");

background_fetch_test(async ({ t, manager, id, settled }) => {
  const server = new Server([{ text: "abd", hold: 2 }]);
  const registration = await manager.fetch(id, new Request(server.url, { integrity: OF_ABC }));
  const record = await registration.match(server.url);
  let early = false;
  const { responseReady } = record;
  responseReady.then(() => early = true, () => {});
  await server.requests(1);
  assert_false(early, "not before the whole body was verified");
  await server.release();
  await promise_rejects_js(t, TypeError, responseReady);
  assert_equals((await settled()).failureReason, "fetch-error");
}, "D20: with integrity metadata the response waits for the verification");

background_fetch_test(async ({ manager, id, settled }) => {
  const first = { size: WHOLE, ranges: true, cut: HALF, headers: [["ETag", '"a"']] };
  const second = { size: 5000, seed: 1, headers: [["ETag", '"b"'], ["X-Own", "second"]], holdHead: true };
  const server = new Server([first, second]);
  const registration = await manager.fetch(id, server.url);
  const old = await (await registration.match(server.url)).responseReady;
  const reading = old.arrayBuffer().catch((error) => error);
  await server.requests(2);
  await server.release();
  const report = await settled();
  assert_equals((await reading).name, "TypeError", "no bytes of two representations are spliced");
  assert_equals(report.records[0].headers["x-own"], "second");
  assert_body(report.records[0], 5000, 1);
}, "D21: readers of a response that was replaced are told");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([
    { status: 503, headers: [["Retry-After", "0"]], holdHead: true },
    { size: 10, seed: 1 },
  ]);
  const registration = await manager.fetch(id, server.url);
  const { responseReady } = await registration.match(server.url);
  await server.release();
  const response = await responseReady;
  assert_equals(response.status, 200);
  await settled();
}, "D21: a record object that had no response follows its record");
