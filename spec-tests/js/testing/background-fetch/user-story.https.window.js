// META: timeout=long
// META: script=/background-fetch/resources/server.sub.js
// META: script=/background-fetch/resources/helper.js
// META: script=resources/user.js
// What the overview page of the Background Fetch API promises its users, statement by statement:
// what users see and do.
"use strict";

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 5000, hold: 1000 }]);
  const registration = await manager.fetch(id, server.url, { downloadTotal: 5000 });
  await until(registration, ({ downloaded }) => downloaded === 1000);
  assert_equals(bgfetchTesting.state(id).downloaded, 1000, "what the user sees");
  await server.release();
  await settled();
  assert_equals(registration.downloaded, 5000);
}, "The user and the page see the progress");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 5000, hold: 1000 }]);
  const registration = await manager.fetch(id, server.url);
  await server.requests(1);
  bgfetchTesting.abort(id);
  const report = await settled();
  assert_equals(report.type, "backgroundfetchabort");
  assert_equals(registration.failureReason, "aborted");
  const [{ ended }] = await server.requests(1, 1);
  assert_equals(ended, "given-up", "the download ended, too");
}, "The user can cancel the fetch");

background_fetch_test(async ({ t, manager, id, settled }) => {
  const server = new Server([{ size: 5000 }]);
  goOffline(t);
  const registration = await manager.fetch(id, server.url);
  assert_equals(registration.result, "");
  assert_equals((await server.requests()).length, 0, "nothing was asked for");
  bgfetchTesting.setOffline(false);
  const report = await settled();
  assert_equals(report.type, "backgroundfetchsuccess");
  assert_body(report.records[0], 5000);
}, "A fetch that starts offline begins when the user is online");

background_fetch_test(async ({ t, manager, id, settled }) => {
  const whole = { size: WHOLE, ranges: true, headers: [["ETag", '"a"']] };
  const server = new Server([{ ...whole, hold: HALF }, whole]);
  const registration = await manager.fetch(id, server.url);
  await until(registration, ({ downloaded }) => downloaded === HALF);
  goOffline(t);
  await server.requests(1, 1);
  assert_equals(registration.result, "", "it only pauses");
  bgfetchTesting.setOffline(false);
  const report = await settled();
  assert_equals(report.type, "backgroundfetchsuccess");
  assert_body(report.records[0], WHOLE);
  const [, second] = await server.requests(2);
  assert_equals(second.headers.range, `bytes=${HALF}-`, "it goes on where it was");
}, "A fetch that goes offline in between pauses until the user is online");

background_fetch_test(async ({ manager, reporter, id }) => {
  const server = new Server([{ holdHead: true }]);
  await manager.fetch(id, server.url);
  bgfetchTesting.click(id);
  const report = await reporter.report(id, "backgroundfetchclick");
  assert_equals(report.result, "");
}, "The worker is told that the user clicked on the UI");

background_fetch_test(async ({ reporter, id }) => {
  const server = new Server([{ size: 5000, hold: 1000 }]);
  const { scope } = reporter.registration;
  const query = new URLSearchParams({ scope, id, url: server.url });
  const page = bgfetchTesting.openPage(`resources/starts.html?${query}`);
  await reporter.report(id, "started");
  await server.requests(1);
  bgfetchTesting.closePage(page);
  await server.release();
  const report = await reporter.report(id, "backgroundfetchsuccess");
  assert_body(report.records[0], 5000);
}, "The fetch goes on when its page was closed");
