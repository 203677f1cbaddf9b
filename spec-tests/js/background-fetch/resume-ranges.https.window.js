// META: script=resources/server.sub.js
// META: script=resources/helper.js
// Complete a record, from a cut in the middle of a body to its end (rulings 23, 25, 26); validate a
// partial response.
"use strict";

const A = ["ETag", '"a"'];
const whole = { size: WHOLE, ranges: true, headers: [A] };
const half = { ...whole, cut: HALF };
/** Another representation. */
const other = { size: 50_000, seed: 1, ranges: true, headers: [["ETag", '"b"']] };
/** What is left of the whole, as a reply that does not look at the request. */
const rest = (headers) => ({ status: 206, size: 0, headers });

/** A record whose server answers so ends with that body, after requests with those ranges. */
function resumes(description, replies, { size = WHOLE, seed = 0, ranges }) {
  background_fetch_test(async ({ manager, id, settled }) => {
    const server = new Server(replies);
    await manager.fetch(id, server.url);
    const report = await settled();
    assert_equals(report.type, "backgroundfetchsuccess");
    assert_body(report.records[0], size, seed);
    assert_equals(report.downloaded, size);
    assert_equals(report.records[0].status, 200);
    const requests = await server.requests();
    assert_array_equals(requests.map(({ headers }) => headers.range), ranges);
  }, description);
}

const resumed = [undefined, `bytes=${HALF}-`];
const restarted = [undefined, `bytes=${HALF}-`, undefined];

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([half, whole]);
  await manager.fetch(id, server.url);
  assert_body((await settled()).records[0], WHOLE);
  const [first, second] = await server.requests();
  assert_equals(first.headers["if-range"], undefined);
  assert_equals(second.headers.range, `bytes=${HALF}-`);
  assert_equals(second.headers["if-range"], '"a"');
  assert_equals(second.headers["accept-encoding"], "identity");
}, "Ruling 23: a resume asks with Range and If-Range, and for the plain representation");

resumes("Ruling 23: a strong ETag resumes", [half, whole], { ranges: resumed });

resumes(
  "Ruling 23: a weak ETag restarts",
  [{ ...half, headers: [["ETag", 'W/"a"']] }, whole],
  { ranges: [undefined, undefined] },
);

resumes(
  "Ruling 23: without a validator the record restarts",
  [{ ...half, headers: [] }, whole],
  { ranges: [undefined, undefined] },
);

const DATES = [
  ["Date", "Sun, 06 Nov 1994 08:49:37 GMT"],
  ["Last-Modified", "Sun, 06 Nov 1994 07:49:37 GMT"],
];
resumes(
  "Ruling 23: a Last-Modified long before the Date is strong",
  [{ ...half, headers: DATES }, { ...whole, headers: DATES }],
  { ranges: resumed },
);

const YOUNG = [["Date", DATES[0][1]], ["Last-Modified", DATES[0][1]]];
resumes(
  "Ruling 23: a Last-Modified of the same second is not strong",
  [{ ...half, headers: YOUNG }, whole],
  { ranges: [undefined, undefined] },
);

resumes(
  "Ruling 23: another ETag, told by a 200, replaces the bytes",
  [half, other],
  { size: 50_000, seed: 1, ranges: resumed },
);

resumes(
  "Validate a partial response: a 206 with another ETag restarts",
  [half, { ...whole, headers: [["ETag", '"a"'], ["ETag", '"b"']] }, other],
  { size: 50_000, seed: 1, ranges: restarted },
);

resumes(
  "Validate a partial response: a 206 that lost the ETag restarts",
  [half, rest([["Content-Range", `bytes ${HALF}-${WHOLE - 1}/${WHOLE}`]]), other],
  { size: 50_000, seed: 1, ranges: restarted },
);

resumes(
  "Validate a partial response: a 206 that begins elsewhere restarts",
  [half, rest([A, ["Content-Range", `bytes 0-${WHOLE - 1}/${WHOLE}`]]), whole],
  { ranges: restarted },
);

resumes(
  "Validate a partial response: a 206 of another length restarts",
  [
    { ...whole, part: HALF, status: 206, size: HALF, ranges: false, headers: [A, ["Content-Range", `bytes 0-${HALF - 1}/${WHOLE}`]] },
    rest([A, ["Content-Range", `bytes ${HALF}-${WHOLE}/${WHOLE + 1}`]]),
    whole,
  ],
  { ranges: restarted },
);

resumes(
  "Validate a partial response: a 206 may leave Last-Modified out beside a matching ETag",
  [{ ...half, headers: [A, ...DATES] }, whole],
  { ranges: resumed },
);

resumes(
  "Validate a partial response: a 206 with another Last-Modified restarts",
  [
    { ...half, headers: [A, ...DATES] },
    { ...whole, headers: [A, ["Last-Modified", "Sun, 06 Nov 1994 06:49:37 GMT"]] },
    whole,
  ],
  { ranges: restarted },
);

resumes(
  "Ruling 23: three cuts, each resume goes on",
  [{ ...whole, cut: 10_000 }, { ...whole, cut: 10_000 }, { ...whole, cut: 10_000 }, whole],
  { ranges: [undefined, "bytes=10000-", "bytes=20000-", "bytes=30000-"] },
);

resumes(
  "Parts: a server that sends less than what is left is asked for the rest",
  [half, { ...whole, part: 20_000 }, whole],
  { ranges: [undefined, `bytes=${HALF}-`, `bytes=${HALF + 20_000}-`] },
);

resumes(
  "Ruling 26: with an unknown complete length it goes on asking, until a 416 names what it holds",
  [half, { ...whole, unknownLength: true, part: 30_000 }, whole],
  { ranges: [undefined, `bytes=${HALF}-`, `bytes=${WHOLE}-`] },
);

resumes(
  "Ruling 26: a 416 that names another length restarts",
  [half, { status: 416, headers: [["Content-Range", "bytes */10"]] }, other],
  { size: 50_000, seed: 1, ranges: restarted },
);

for (const status of [429, 500, 503]) {
  resumes(
    `Ruling 25: ${status} to a resume keeps what is there, and Retry-After is honoured`,
    [half, { status, text: "later", headers: [["Retry-After", "0"]] }, whole],
    { ranges: [undefined, `bytes=${HALF}-`, `bytes=${HALF}-`] },
  );
}

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([half, { status: 404, text: "gone" }]);
  await manager.fetch(id, server.url);
  const report = await settled();
  assert_equals(report.failureReason, "bad-status");
  assert_equals(report.records[0].status, 404);
  assert_equals(report.records[0].size, 0);
}, "Ruling 25: a 404 to a resume stands for itself");

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
}, "Ruling 23: a resume that is led to another origin restarts");

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
}, "Ruling 23: headers of our own cause no preflight");
