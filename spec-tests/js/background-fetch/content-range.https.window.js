// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// Extract content-range values: which 206 is taken as the beginning of a body (spec issue 1).
"use strict";

/** Whether a 206 with 10 bytes and those Content-Range headers gives the record its body. */
function begins(works, ...values) {
  background_fetch_test(async ({ manager, id, settled }) => {
    const headers = values.map((value) => ["Content-Range", value]);
    const server = new Server([{ status: 206, size: 10, headers }]);
    await manager.fetch(id, server.url);
    const report = await settled();
    assert_equals(report.failureReason, works ? "" : "fetch-error");
    if (works) assert_body(report.records[0], 10);
  }, `A 206 with Content-Range ${JSON.stringify(values)} is ${works ? "" : "in"}valid`);
}

begins(true, "bytes 0-9/10");
begins(true, "Bytes 0-9/10");
begins(true, "bytes 00-09/010");
begins(false);
begins(false, "");
begins(false, "bytes=0-9/10");
begins(false, "bytes 0-9");
begins(false, "bytes 1-10/11");
begins(false, "bytes 9-0/10");
begins(false, "bytes 0-9/9");
begins(false, "bytes -9/10");
begins(false, "bytes 0-/10");
begins(false, "bytes */10");
begins(false, "bytes 0-9/10, bytes 0-9/10");
begins(false, "bytes 0-9/10", "bytes 0-9/10");
begins(false, "bytes +0-9/10");
begins(false, "bytes 0-9/18446744073709551616");
begins(false, "bytes 0-9/x");
begins(false, "items 0-9/10");

background_fetch_test(async ({ manager, id, settled }) => {
  const A = ["ETag", '"a"'];
  const begin = { status: 206, size: 10, headers: [A, ["Content-Range", "bytes 0-9/*"]] };
  const server = new Server([begin, { size: 20, ranges: true, headers: [A] }]);
  await manager.fetch(id, server.url);
  assert_body((await settled()).records[0], 20);
  const requests = await server.requests();
  assert_array_equals(requests.map(({ headers }) => headers.range), [undefined, "bytes=10-"]);
}, "A complete length of * is not known: it goes on asking");

background_fetch_test(async ({ manager, id, settled }) => {
  const A = ["ETag", '"a"'];
  const begin = { status: 206, size: 10, headers: [A, ["Content-Range", "bytes 0-9/20"]] };
  const server = new Server([begin, { size: 20, ranges: true, headers: [A] }]);
  const registration = await manager.fetch(id, server.url);
  const report = await settled();
  assert_body(report.records[0], 20);
  await ended(registration);
  assert_equals(registration.downloaded, 20);
}, "A part that is not the whole is asked for the rest");

for (const [size, description] of [[8, "fewer"], [12, "more"]]) {
  background_fetch_test(async ({ manager, id, settled }) => {
    const A = ["ETag", '"a"'];
    const headers = [A, ["Content-Range", "bytes 0-9/10"]];
    const wrong = { status: 206, size, headers };
    const server = new Server([wrong, { size: 10, ranges: true, headers: [A] }]);
    await manager.fetch(id, server.url);
    const report = await settled();
    if (report.type === "backgroundfetchsuccess") assert_body(report.records[0], 10);
    else assert_equals(report.failureReason, "fetch-error");
  }, `D2: a 206 with ${description} bytes than its range is never taken as it is`);
}

background_fetch_test(async ({ manager, id, settled }) => {
  const headers = [["ETag", '"a"'], ["Content-Range", "bytes 0-9/20"]];
  const server = new Server([{ status: 206, size: 10, headers }]);
  await manager.fetch(id, server.url);
  assert_equals((await settled()).failureReason, "fetch-error");
}, "D8: a server that sends the same part again and again is given up");
