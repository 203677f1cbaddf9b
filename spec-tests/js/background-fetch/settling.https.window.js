// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// Perform a background fetch: what a fetch waits for, and what its result is (spec issues 5 and 6, D45, D10).
"use strict";

background_fetch_test(async ({ manager, id, settled }) => {
  const late = new Server([{ status: 404, holdHead: true }]);
  const early = new Server([{ size: 10, headers: [["Access-Control-Allow-Origin", "null"]] }], {
    origin: OTHER_ORIGIN,
  });
  const registration = await manager.fetch(id, [late.url, early.url]);
  const record = await registration.match(early.url);
  assert_equals((await record.responseReady.catch((error) => error)).name, "TypeError");
  assert_equals(registration.result, "", "not while another record is under way");
  await late.release();
  const report = await settled();
  assert_equals(report.type, "backgroundfetchfail");
  assert_equals(report.failureReason, "fetch-error");
}, "Spec issue 5: the record that failed first gives the reason, not the first in the list");

background_fetch_test(async ({ manager, id, settled }) => {
  const servers = [0, 1, 2, 3].map((seed) => new Server([{ size: 100 + seed }]));
  servers.splice(1, 0, new Server([{ status: 500, text: "no", headers: [["Retry-After", "0"]] }, { status: 404 }]));
  await manager.fetch(id, servers.map(({ url }) => url));
  const report = await settled();
  assert_equals(report.type, "backgroundfetchfail");
  assert_equals(report.failureReason, "bad-status");
  const found = report.records.map(({ status }) => status);
  assert_array_equals(found, [200, 404, 200, 200, 200]);
  assert_equals(report.downloaded, 100 + 101 + 102 + 103);
}, "D45: one bad record stops no other, and the good ones are readable");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ status: 410, text: "gone", headers: [["X-Why", "it is gone"]] }]);
  await manager.fetch(id, server.url);
  const { records: [record] } = await settled();
  assert_equals(record.status, 410);
  assert_equals(record.headers["x-why"], "it is gone");
  assert_equals(record.size, 0);
}, "D10: a bad status shows its status and headers, its body is empty");

background_fetch_test(async ({ manager, id, settled }) => {
  const slow = new Server([{ size: 5000, hold: 1000 }]);
  const large = new Server([{ size: 5000, holdHead: true }]);
  const urls = [slow.url, large.url];
  const registration = await manager.fetch(id, urls, { downloadTotal: 4000 });
  await until(registration, ({ downloaded }) => downloaded === 1000);
  await large.release();
  const report = await settled();
  assert_equals(report.type, "backgroundfetchfail");
  assert_equals(report.failureReason, "download-total-exceeded");
  assert_array_equals(report.records.map(({ error }) => error), ["AbortError", "TypeError"]);
}, "Spec issue 6: after an immediate failure siblings are aborted, and the first cause is the reason");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 100 }]);
  const registration = await manager.fetch(id, [server.url, server.url, server.url]);
  const results = [];
  registration.addEventListener("progress", () => results.push(registration.result));
  const report = await settled();
  assert_equals(report.type, "backgroundfetchsuccess");
  assert_equals(report.downloaded, 300);
  assert_equals(results.filter((result) => result !== "").length, 1, "one event tells the result");
  assert_equals(results.at(-1), "success");
}, "A fetch succeeds once, when all of its records did");

for (const [status, reason] of [[200, ""], [201, ""], [299, ""], [300, "bad-status"], [400, "bad-status"]]) {
  background_fetch_test(async ({ manager, id, settled }) => {
    await manager.fetch(id, new Server([{ status, size: 10 }]).url);
    const report = await settled();
    assert_equals(report.failureReason, reason);
    assert_equals(report.records[0].status, status);
  }, `Complete a record: a response with status ${status} ends as "${reason}"`);
}
