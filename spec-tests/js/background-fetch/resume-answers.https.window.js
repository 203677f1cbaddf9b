// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// META: script=resources/resume.js
// Complete a record: what else a server may answer to a resume (D7, D8).
"use strict";

resumes(
  "Parts: a server that sends less than what is left is asked for the rest",
  [half, { ...whole, part: 20_000 }, whole],
  { ranges: [undefined, `bytes=${HALF}-`, `bytes=${HALF + 20_000}-`] },
);

resumes(
  "D8: with an unknown complete length it goes on asking, until a 416 names what it holds",
  [{ ...half, chunked: true }, { ...whole, unknownLength: true, part: 30_000 }, whole],
  { ranges: [undefined, `bytes=${HALF}-`, `bytes=${WHOLE}-`] },
);

resumes(
  "D8: a 416 that names another length restarts",
  [half, { status: 416, headers: [["Content-Range", "bytes */10"]] }, other],
  { size: 50_000, seed: 1, ranges: restarted },
);

for (const status of [429, 500, 503]) {
  resumes(
    `D7: ${status} to a resume keeps what is there, and Retry-After is honoured`,
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
}, "D7: a 404 to a resume stands for itself");
