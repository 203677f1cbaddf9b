// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// META: script=resources/resume.js
// Complete a record: a body that was cut goes on where it was, or begins again (D6).
"use strict";

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([half, whole]);
  await manager.fetch(id, server.url);
  assert_body((await settled()).records[0], WHOLE);
  const [first, second] = await server.requests();
  assert_equals(first.headers["if-range"], undefined);
  assert_equals(second.headers.range, `bytes=${HALF}-`);
  assert_equals(second.headers["if-range"], '"a"');
  assert_equals(second.headers["accept-encoding"], "identity");
}, "D6: a resume asks with Range and If-Range, and for the plain representation");

resumes("D6: a strong ETag resumes", [half, whole], { ranges: resumed });

resumes(
  "D6: a weak ETag restarts",
  [{ ...half, headers: [["ETag", 'W/"a"']] }, whole],
  { ranges: [undefined, undefined] },
);

resumes(
  "D6: without a validator the record restarts",
  [{ ...half, headers: [] }, whole],
  { ranges: [undefined, undefined] },
);

resumes(
  "D6: a Last-Modified long before the Date is strong",
  [{ ...half, headers: DATES }, { ...whole, headers: DATES }],
  { ranges: resumed },
);

const YOUNG = [["Date", DATES[0][1]], ["Last-Modified", DATES[0][1]]];
resumes(
  "D6: a Last-Modified of the same second is not strong",
  [{ ...half, headers: YOUNG }, whole],
  { ranges: [undefined, undefined] },
);

resumes(
  "D6: another ETag, told by a 200, replaces the bytes",
  [half, other],
  { size: 50_000, seed: 1, ranges: resumed },
);

resumes(
  "D6: three cuts, each resume goes on",
  [{ ...whole, cut: 10_000 }, { ...whole, cut: 10_000 }, { ...whole, cut: 10_000 }, whole],
  { ranges: [undefined, "bytes=10000-", "bytes=20000-", "bytes=30000-"] },
);

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([half, whole]);
  const registration = await manager.fetch(id, server.url);
  const record = await registration.match(server.url);
  const response = await record.responseReady;
  assert_equals((await response.arrayBuffer()).byteLength, WHOLE);
  assert_equals(response.headers.get("content-range"), null);
  await settled();
}, "A reader of the body does not notice a resume");

background_fetch_test(async ({ manager, id, settled }) => {
  const target = new Server([half, whole]);
  const elsewhere = new Server([{ ...other, headers: [A] }]);
  const redirect = (to) => ({ status: 302, headers: [["Location", to.url]] });
  const from = new Server([redirect(target), redirect(elsewhere)]);
  await manager.fetch(id, from.url);
  const report = await settled();
  assert_equals(report.type, "backgroundfetchsuccess");
  assert_body(report.records[0], 50_000, 1);
}, "A resume that is led to another representation never splices, even where validators agree");

background_fetch_test(async ({ manager, id, settled }) => {
  const cors = ["Access-Control-Allow-Origin", "*"];
  const target = new Server([half]);
  const elsewhere = new Server([{ ...other, headers: [A, cors] }], { origin: OTHER_ORIGIN });
  const redirect = (to) => ({ status: 302, headers: [["Location", to.url]] });
  const from = new Server([redirect(target), redirect(elsewhere)]);
  await manager.fetch(id, from.url);
  const report = await settled();
  assert_equals(report.type, "backgroundfetchsuccess");
  assert_body(report.records[0], 50_000, 1);
  assert_equals(report.records[0].type, "cors");
}, "D4: a resume that is led to another origin restarts");

background_fetch_test(async ({ manager, id, settled }) => {
  const preflight = { status: 405 };
  const cors = ["Access-Control-Allow-Origin", "*"];
  const expose = ["Access-Control-Expose-Headers", "*"];
  const replies = [half, whole].map((reply) => ({ ...reply, headers: [A, cors, expose] }));
  const server = new Server(replies, { origin: OTHER_ORIGIN, preflight });
  await manager.fetch(id, server.url);
  assert_body((await settled()).records[0], WHOLE);
  const requests = await server.requests();
  assert_array_equals(requests.map(({ method }) => method), ["GET", "GET"]);
}, "D6: headers of our own cause no preflight");
