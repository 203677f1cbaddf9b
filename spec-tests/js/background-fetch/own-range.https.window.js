// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// Complete a record: a Range header of the page's own (D9).
"use strict";

const whole = { size: WHOLE, ranges: true, headers: [["ETag", '"a"']] };

function ranged(server, range) {
  return new Request(server.url, { headers: { Range: range } });
}

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([whole]);
  await manager.fetch(id, ranged(server, "bytes=0-99"));
  const report = await settled();
  assert_equals(report.type, "backgroundfetchsuccess");
  assert_equals(report.records[0].status, 206);
  assert_body(report.records[0], 100);
  const requests = await server.requests();
  assert_array_equals(requests.map(({ headers }) => headers.range), ["bytes=0-99"]);
  assert_equals(requests[0].headers["if-range"], undefined);
}, "A 206 that matches the page's Range is the whole answer");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([whole]);
  await manager.fetch(id, ranged(server, `bytes=${WHOLE - 100}-`));
  const report = await settled();
  assert_equals(report.records[0].size, 100);
  assert_equals(report.records[0].status, 206);
}, "The page's Range need not begin at 0");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ ...whole, cut: 50 }, whole]);
  await manager.fetch(id, ranged(server, "bytes=0-99"));
  assert_body((await settled()).records[0], 100);
  const requests = await server.requests();
  assert_array_equals(requests.map(({ headers }) => headers.range), ["bytes=0-99", "bytes=0-99"]);
}, "A cut restarts with the page's Range, never with one of ours");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ status: 206, size: 100, headers: [["Content-Range", "bytes 0-99/1000"]] }]);
  await manager.fetch(id, ranged(server, "bytes=500-599"));
  assert_equals((await settled()).failureReason, "fetch-error");
}, "A 206 that does not begin where the page asked is no answer");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 200 }]);
  await manager.fetch(id, ranged(server, "bytes=0-99"));
  const report = await settled();
  assert_equals(report.records[0].status, 200);
  assert_body(report.records[0], 200);
}, "A server may ignore the page's Range");
