// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// What a page learns of other origins (D40).
"use strict";

const CORS = ["Access-Control-Allow-Origin", location.origin];
const other = (replies, preflight) => new Server(replies, { origin: OTHER_ORIGIN, preflight });

background_fetch_test(async ({ manager, id, settled }) => {
  const server = other([{ size: 5000, hold: 1000 }]);
  const held = new Server([{ holdHead: true }]);
  const registration = await manager.fetch(id, [server.url, held.url]);
  let events = 0;
  registration.onprogress = () => events++;
  const record = await registration.match(server.url);
  await record.responseReady.catch(() => {});
  assert_equals(registration.downloaded, 0);
  assert_equals(events, 0, "no progress tells that there is a body");
  await held.release();
  await settled();
}, "No byte of a response that CORS forbids is counted");

for (const [description, reply] of Object.entries({
  "a body": { size: 5000 },
  "an error status": { status: 404, text: "not found" },
  "a server error": { status: 503, headers: [["Retry-After", "60"]] },
  "nothing": { size: 0 },
  "a redirect to itself": { status: 302, headers: [["Location", "#again"]] },
  "a broken body": { size: 5000, cut: 10 },
})) {
  background_fetch_test(async ({ manager, id, settled }) => {
    const server = other([reply]);
    const registration = await manager.fetch(id, server.url, { downloadTotal: 1 });
    const report = await settled();
    assert_equals(report.failureReason, "fetch-error");
    assert_equals(report.records[0].error, "TypeError");
    await ended(registration);
    assert_equals(registration.downloaded, 0);
  }, `A cross-origin response without CORS headers is a fetch-error, with ${description}`);
}

background_fetch_test(async ({ manager, id, settled }) => {
  const headers = [CORS, ["X-Open", "1"], ["X-Secret", "2"], ["Access-Control-Expose-Headers", "X-Open"]];
  await manager.fetch(id, other([{ size: 10, headers }]).url);
  const { records: [record] } = await settled();
  assert_equals(record.type, "cors");
  assert_equals(record.headers["x-open"], "1");
  assert_equals(record.headers["x-secret"], undefined);
  assert_body(record, 10);
}, "Only exposed headers of a cross-origin response are seen");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = other([{ size: 10, headers: [["Access-Control-Allow-Origin", "*"]] }]);
  await manager.fetch(id, new Request(server.url, { credentials: "include" }));
  assert_equals((await settled()).failureReason, "fetch-error");
}, "With credentials * allows nobody");

background_fetch_test(async ({ manager, id, settled }) => {
  const headers = [CORS, ["Access-Control-Allow-Credentials", "true"]];
  const server = other([{ size: 10, headers }]);
  await manager.fetch(id, new Request(server.url, { credentials: "include" }));
  assert_equals((await settled()).type, "backgroundfetchsuccess");
  const [request] = await server.requests();
  assert_equals(request.headers.origin, location.origin);
}, "With credentials the origin itself must be allowed");

background_fetch_test(async ({ manager, id, settled }) => {
  const headers = [
    ["Access-Control-Allow-Origin", location.origin],
    ["Access-Control-Allow-Methods", "PUT"],
    ["Access-Control-Allow-Headers", "X-Own"],
  ];
  const server = other([{ size: 10, headers: [CORS] }], { status: 204, headers });
  const request = new Request(server.url, { method: "PUT", body: "x", headers: { "X-Own": "1" } });
  await manager.fetch(id, request);
  assert_equals((await settled()).type, "backgroundfetchsuccess");
  const [preflight, put] = await server.requests();
  assert_equals(preflight.method, "OPTIONS");
  assert_equals(preflight.headers["access-control-request-method"], "PUT");
  assert_regexp_match(preflight.headers["access-control-request-headers"], /x-own/);
  assert_equals(put.headers["x-own"], "1");
}, "A request that is not simple is preflighted");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = other([{ size: 10, headers: [CORS] }], { status: 204, headers: [CORS] });
  await manager.fetch(id, new Request(server.url, { method: "PUT", body: "x" }));
  assert_equals((await settled()).failureReason, "fetch-error");
  const requests = await server.requests();
  assert_array_equals(requests.map(({ method }) => method), ["OPTIONS"], "the body never leaves");
}, "A preflight that allows no PUT ends the record");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = other([{ size: 10 }]);
  await manager.fetch(id, new Request(server.url, { mode: "same-origin" }));
  assert_equals((await settled()).failureReason, "fetch-error");
  assert_equals((await server.requests()).length, 0);
}, "Mode same-origin asks no other origin");

background_fetch_test(async ({ manager, id, settled }) => {
  const target = other([{ size: 10 }]);
  const from = new Server([{ status: 302, headers: [["Location", target.url]] }]);
  await manager.fetch(id, from.url);
  assert_equals((await settled()).failureReason, "fetch-error");
}, "A redirect to another origin needs its permission");

background_fetch_test(async ({ manager, id, settled }) => {
  const target = new Server([{ size: 10 }]);
  const from = new Server([{ status: 302, headers: [["Location", target.url]] }]);
  await manager.fetch(id, new Request(from.url, { redirect: "error" }));
  assert_equals((await settled()).failureReason, "fetch-error");
  assert_equals((await target.requests()).length, 0);
}, "Redirect mode error follows none");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = other([{ size: 10, headers: [CORS] }]);
  await manager.fetch(id, server.url);
  await settled();
  const [{ headers }] = await server.requests();
  assert_equals(headers["sec-fetch-mode"], "cors");
  assert_equals(headers["sec-fetch-site"], "cross-site");
  assert_equals(headers["sec-fetch-dest"], "empty");
}, "Requests tell in which mode, and across which sites, they are made");
