// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// Complete a record: which failures are tried again (D7).
"use strict";

const now = ["Retry-After", "0"];

function retries(description, ...failures) {
  background_fetch_test(async ({ manager, id, settled }) => {
    const server = new Server([...failures, { size: 100 }]);
    await manager.fetch(id, server.url);
    const report = await settled();
    assert_equals(report.type, "backgroundfetchsuccess");
    assert_body(report.records[0], 100);
    assert_equals((await server.requests()).length, failures.length + 1);
  }, description);
}

retries("A connection that was lost in the body is tried again", { size: 1000, cut: 100 });
retries("A body that ends before its length is tried again", {
  size: 50,
  headers: [["Content-Length", "100"]],
});
retries("500 is tried again", { status: 500 });
retries("503 is tried again when Retry-After says so", { status: 503, headers: [now] });
retries("429 is tried again", { status: 429, headers: [now] });
retries("Failures of several kinds in a row are tried again", { status: 503, headers: [now] }, {
  size: 1000,
  cut: 1,
}, { status: 502, headers: [now] });

for (const status of [400, 401, 403, 404, 410]) {
  background_fetch_test(async ({ manager, id, settled }) => {
    const server = new Server([{ status }, { size: 100 }]);
    await manager.fetch(id, server.url);
    assert_equals((await settled()).failureReason, "bad-status");
    assert_equals((await server.requests()).length, 1);
  }, `${status} is not tried again`);
}

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 100 }], { origin: OTHER_ORIGIN });
  await manager.fetch(id, server.url);
  assert_equals((await settled()).failureReason, "fetch-error");
  assert_equals((await server.requests()).length, 1);
}, "A response that CORS forbids is not asked for again");

background_fetch_test(async ({ manager, id, settled }) => {
  // Nothing listens at the one, and the other has no address.
  const urls = [`https://${location.hostname}:443/nobody-listens`, "https://nowhere.invalid/"];
  await manager.fetch(id, urls);
  const report = await settled();
  assert_equals(report.failureReason, "fetch-error");
  assert_array_equals(report.records.map(({ error }) => error), ["TypeError", "TypeError"]);
}, "A server that was never reached fails soon");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ status: 302, headers: [["Location", "#again"]] }]);
  await manager.fetch(id, server.url);
  assert_equals((await settled()).failureReason, "fetch-error");
  assert_equals((await server.requests()).length, 21, "20 redirects are followed");
}, "Redirects that never end are a fetch-error");
