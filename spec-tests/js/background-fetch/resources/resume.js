// Replies of a server whose body is cut in the middle, and what is asked for then.
"use strict";

const A = ["ETag", '"a"'];
const whole = { size: WHOLE, ranges: true, headers: [A] };
const half = { ...whole, cut: HALF };
/** Another representation. */
const other = { size: 50_000, seed: 1, ranges: true, headers: [["ETag", '"b"']] };
/** What is left of the whole, as a reply that does not look at the request. */
const rest = (headers) => ({ status: 206, size: 0, headers });

/** A Last-Modified that is strong, because it was long before. */
const DATES = [
  ["Date", "Sun, 06 Nov 1994 08:49:37 GMT"],
  ["Last-Modified", "Sun, 06 Nov 1994 07:49:37 GMT"],
];

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
