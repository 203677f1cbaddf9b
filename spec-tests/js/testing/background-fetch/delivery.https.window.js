// META: timeout=long
// META: script=/background-fetch/resources/server.sub.js
// META: script=/background-fetch/resources/helper.js
// Perform a background fetch: what crashes leave of it. The settling event is delivered at least
// once (D5).
"use strict";

background_fetch_test(async ({ manager, reporter, id, settled }) => {
  await manager.fetch(id, new Server([{ size: 1000 }]).url);
  assert_equals((await settled()).type, "backgroundfetchsuccess");
  bgfetchTesting.restartEngine();
  const again = await settled();
  assert_equals(again.type, "backgroundfetchsuccess");
  assert_equals(again.recordsAvailable, true);
  assert_body(again.records[0], 1000);
  await reporter.ask({ question: "goOn" });
}, "D5: an event that a crash interrupted is delivered again, with its records", { behaviour: "wait" });

background_fetch_test(async ({ manager, reporter, id, settled }) => {
  const registration = await manager.fetch(id, new Server([{ size: 1000 }]).url);
  await settled();
  await over(registration);
  bgfetchTesting.restartEngine();
  const other = `${id}-other`;
  await manager.fetch(other, new Server([{ size: 1000 }]).url);
  await reporter.report(other);
  assert_array_equals(reporter.left(id), [], "it was delivered once");
}, "D5: a handler whose promise rejected has handled the event", { behaviour: "reject" });

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 1000, holdHead: true }]);
  await manager.fetch(id, server.url);
  await server.requests(1);
  bgfetchTesting.restartEngine();
  assert_array_equals(await manager.getIds(), [id]);
  const registration = await manager.get(id);
  assert_equals(registration.result, "");
  await server.release();
  await server.release();
  const report = await settled();
  assert_equals(report.type, "backgroundfetchsuccess");
  assert_body(report.records[0], 1000);
}, "A fetch survives a crash of the user agent");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 1000, holdHead: true }]);
  const registration = await manager.fetch(id, server.url);
  bgfetchTesting.restartEngine();
  assert_not_equals(await registration.match(server.url), undefined);
  assert_equals(await manager.get(id), registration);
  assert_true(await registration.abort());
  assert_equals((await settled()).type, "backgroundfetchabort");
  assert_equals(registration.failureReason, "aborted");
}, "After a crash a page's registration objects go on");

background_fetch_test(async ({ manager, id, settled }) => {
  const whole = { size: WHOLE, ranges: true, headers: [["ETag", '"a"']] };
  const server = new Server([{ ...whole, hold: HALF }, whole]);
  const registration = await manager.fetch(id, server.url);
  await until(registration, ({ downloaded }) => downloaded === HALF);
  bgfetchTesting.restartEngine();
  const report = await settled();
  assert_body(report.records[0], WHOLE);
  const [, { headers }] = await server.requests(2);
  assert_regexp_match(headers.range, /^bytes=[1-9]\d*-$/, "what was stored is not asked for again");
}, "A download goes on after a crash where it was");
