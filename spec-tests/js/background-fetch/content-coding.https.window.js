// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// Complete a record: offsets count decoded bytes, so a coded response is not resumed (D4).
"use strict";

const headers = [["ETag", '"a"']];
const coded = { size: WHOLE, gzip: true, headers };
/** Breaks when the test has seen that decoded bytes were stored. */
const codedCut = { ...coded, hold: 1000, cut: 1100 };
const plain = { size: WHOLE, ranges: true, headers };

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ ...coded, holdHead: true }]);
  const registration = await manager.fetch(id, server.url);
  await releaseFollowed(registration, server);
  const report = await settled();
  assert_body(report.records[0], WHOLE);
  await ended(registration);
  assert_equals(registration.downloaded, WHOLE, "decoded bytes are counted");
  const [request] = await server.requests();
  assert_true(request.headers["accept-encoding"].includes("gzip"));
}, "A coded response is decoded");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([codedCut, plain]);
  const registration = await manager.fetch(id, server.url);
  await until(registration, ({ downloaded }) => downloaded > 0);
  await server.release();
  assert_body((await settled()).records[0], WHOLE);
  const [, second] = await server.requests();
  assert_equals(second.headers.range, undefined);
  assert_equals(second.headers["accept-encoding"], "identity", "so that the next cut can resume");
}, "A coded response that was cut restarts, and asks for the plain representation");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([codedCut, { ...plain, cut: HALF }, plain]);
  const registration = await manager.fetch(id, server.url);
  await until(registration, ({ downloaded }) => downloaded > 0);
  await server.release();
  assert_body((await settled()).records[0], WHOLE);
  const [, , third] = await server.requests();
  assert_equals(third.headers.range, `bytes=${HALF}-`);
}, "The plain representation that follows is resumed");

background_fetch_test(async ({ manager, id, settled }) => {
  const rest = { ...plain, gzip: true };
  const server = new Server([{ ...plain, cut: HALF }, rest, plain]);
  await manager.fetch(id, server.url);
  assert_body((await settled()).records[0], WHOLE);
  const requests = await server.requests();
  assert_equals(requests.length, 3);
  assert_equals(requests[2].headers.range, undefined);
}, "A coded part of a plain representation restarts");
