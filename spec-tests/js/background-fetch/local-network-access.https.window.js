// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// Local Network Access (D46). The policy in its .headers file makes this page a public one; all
// servers are on loopback.
"use strict";

const headers = [["Access-Control-Allow-Origin", "*"]];
const other = () => new Server([{ size: 10, headers }], { origin: OTHER_ORIGIN });

async function grant(t, name) {
  t.add_cleanup(() => setPermission(name, "denied"));
  await setPermission(name, "granted");
}

background_fetch_test(async ({ t, manager, id, settled }) => {
  const [server, own] = [other(), new Server([{ size: 10 }])];
  const registration = await manager.fetch(id, [server.url, own.url]);
  const record = await registration.match(server.url);
  await promise_rejects_js(t, TypeError, record.responseReady);
  const report = await settled();
  assert_equals(report.failureReason, "fetch-error");
  assert_body(report.records[1], 10);
  assert_equals((await server.requests()).length, 0);
}, "Without permission, a public page reaches nothing on loopback but its own origin");

background_fetch_test(async ({ manager, id, settled }) => {
  const target = other();
  const from = new Server([{ status: 302, headers: [["Location", target.url]] }]);
  await manager.fetch(id, from.url);
  assert_equals((await settled()).failureReason, "fetch-error");
  assert_equals((await target.requests()).length, 0);
}, "A redirect is checked");

background_fetch_test(async ({ manager, id, settled }) => {
  const preflight = { headers: [...headers, ["Access-Control-Allow-Headers", "x-own"]] };
  const server = new Server([{ size: 10, headers }], { origin: OTHER_ORIGIN, preflight });
  await manager.fetch(id, new Request(server.url, { headers: { "X-Own": "1" } }));
  assert_equals((await settled()).failureReason, "fetch-error");
  assert_equals((await server.requests()).length, 0);
}, "A preflight is checked");

background_fetch_test(async ({ t, manager, id, settled }) => {
  const server = other();
  await grant(t, "loopback-network");
  await manager.fetch(id, server.url);
  const report = await settled();
  assert_equals(report.type, "backgroundfetchsuccess");
  assert_body(report.records[0], 10);
}, "With the permission loopback-network, the page reaches it");

background_fetch_test(async ({ t, manager, id, settled }) => {
  const server = other();
  await grant(t, "local-network");
  await manager.fetch(id, server.url);
  assert_equals((await settled()).failureReason, "fetch-error");
}, "The permission local-network is another one");

background_fetch_test(async ({ reporter, id, settled }) => {
  const server = other();
  await reporter.ask({ question: "fetch", id, requests: [server.url] });
  assert_equals((await settled()).type, "backgroundfetchsuccess");
}, "The worker has the address space of its own script");

promise_test(async (t) => {
  const server = other();
  await promise_rejects_js(t, TypeError, fetch(server.url));
  assert_equals((await server.requests()).length, 0);
}, "fetch() is checked, too");
