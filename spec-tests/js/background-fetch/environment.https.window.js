// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// No cache, no prompt, no cookie of others (D43).
"use strict";

background_fetch_test(async ({ manager, id, settled }) => {
  const headers = [["Cache-Control", "max-age=3600"]];
  const server = new Server([{ size: 10, headers }, { size: 20, headers }]);
  await manager.fetch(id, server.url);
  assert_body((await settled()).records[0], 10);
  await manager.fetch(id, new Request(server.url, { cache: "force-cache" }));
  assert_body((await settled()).records[0], 20);
  assert_equals((await server.requests()).length, 2);
}, "No HTTP cache is consulted or filled");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 10 }]);
  const request = new Request(server.url, { cache: "only-if-cached", mode: "same-origin" });
  await manager.fetch(id, request);
  assert_equals((await settled()).failureReason, "fetch-error");
  assert_equals((await server.requests()).length, 0);
}, "only-if-cached fails the record without a request");

background_fetch_test(async ({ manager, id, settled }) => {
  const headers = [["WWW-Authenticate", 'Basic realm="a realm"']];
  const server = new Server([{ status: 401, headers }, { size: 10 }]);
  await manager.fetch(id, server.url);
  const report = await settled();
  assert_equals(report.failureReason, "bad-status");
  assert_equals(report.records[0].status, 401);
  assert_equals((await server.requests()).length, 1);
}, "A 401 is an ordinary response, never a prompt");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 10 }]);
  await manager.fetch(id, new Request(server.url, { cache: "no-store" }));
  await settled();
  const [{ headers }] = await server.requests();
  assert_equals(headers["cache-control"], "no-cache");
}, "A request's cache mode is told to caches on the way");

background_fetch_test(async ({ manager, id, settled }) => {
  const headers = { "X-Own": "yes", "Accept": "audio/*", "Accept-Language": "eo" };
  const server = new Server([{ size: 10 }]);
  await manager.fetch(id, new Request(server.url, { headers }));
  await settled();
  const [request] = await server.requests();
  assert_equals(request.headers["x-own"], "yes");
  assert_equals(request.headers.accept, "audio/*");
  assert_equals(request.headers["accept-language"], "eo");
}, "A request's own headers are sent");
