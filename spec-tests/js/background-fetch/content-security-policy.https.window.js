// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// A page's policies are those at the call, for each record (D36, D37). The policy of this page
// stands in its .headers file: it may connect to its own origin alone.
"use strict";

const headers = [["Access-Control-Allow-Origin", "*"]];

background_fetch_test(async ({ t, manager, id, settled }) => {
  const forbidden = new Server([{ size: 10, headers }], { origin: OTHER_ORIGIN });
  const allowed = new Server([{ size: 10 }]);
  const registration = await manager.fetch(id, [forbidden.url, allowed.url]);
  const record = await registration.match(forbidden.url);
  await promise_rejects_js(t, TypeError, record.responseReady);
  const report = await settled();
  assert_equals(report.failureReason, "fetch-error");
  assert_body(report.records[1], 10);
  assert_equals((await forbidden.requests()).length, 0);
}, "D36: connect-src fails the record, not the call");

background_fetch_test(async ({ manager, id, settled }) => {
  const target = new Server([{ size: 10, headers }], { origin: OTHER_ORIGIN });
  const from = new Server([{ status: 302, headers: [["Location", target.url]] }]);
  await manager.fetch(id, from.url);
  assert_equals((await settled()).failureReason, "fetch-error");
  assert_equals((await target.requests()).length, 0);
}, "D36: connect-src is checked on every redirect");

background_fetch_test(async ({ manager, reporter, id, settled }) => {
  const server = new Server([{ size: 10, headers }], { origin: OTHER_ORIGIN });
  await reporter.ask({ question: "fetch", id, requests: [server.url] });
  assert_equals((await settled()).type, "backgroundfetchsuccess");
}, "D37: the worker's calls have the worker's policy");
