// META: script=resources/server.sub.js
// META: script=resources/helper.js
// What the overview page of the Background Fetch API promises its users, statement by statement.
"use strict";

background_fetch_test(async ({ manager, id, settled }) => {
  const episode = new Server([{ size: 5000 }]);
  const artwork = new Server([{ size: 300, seed: 1 }]);
  const registration = await manager.fetch(id, [episode.url, artwork.url], {
    title: "Episode 5: Interesting things.",
    icons: [{ sizes: "300x300", src: "/artwork.png", type: "image/png" }],
    downloadTotal: 5300,
  });
  assert_equals(registration.id, id);
  assert_equals(registration.downloadTotal, 5300);
  assert_equals(bgfetchTesting.state(id).title, "Episode 5: Interesting things.");
  const report = await settled();
  assert_equals(report.type, "backgroundfetchsuccess");
  assert_equals(report.downloaded, 5300);
  assert_equals(report.records.length, 2);
  assert_body(report.records[0], 5000);
  assert_body(report.records[1], 300, 1);
}, "A page fetches several files as one item");

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

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 5000 }]);
  bgfetchTesting.setOffline(true);
  const registration = await manager.fetch(id, server.url);
  assert_equals(registration.result, "");
  assert_equals((await server.requests()).length, 0, "nothing was asked for");
  bgfetchTesting.setOffline(false);
  const report = await settled();
  assert_equals(report.type, "backgroundfetchsuccess");
  assert_body(report.records[0], 5000);
}, "A fetch that starts offline begins when the user is online");

background_fetch_test(async ({ manager, id, settled }) => {
  const whole = { size: WHOLE, ranges: true, headers: [["ETag", '"a"']] };
  const server = new Server([{ ...whole, hold: HALF }, whole]);
  const registration = await manager.fetch(id, server.url);
  await until(registration, ({ downloaded }) => downloaded === HALF);
  bgfetchTesting.setOffline(true);
  await server.requests(1, 1);
  assert_equals(registration.result, "", "it only pauses");
  bgfetchTesting.setOffline(false);
  const report = await settled();
  assert_equals(report.type, "backgroundfetchsuccess");
  assert_body(report.records[0], WHOLE);
  const [, second] = await server.requests(2);
  assert_equals(second.headers.range, `bytes=${HALF}-`, "it goes on where it was");
}, "A fetch that goes offline in between pauses until the user is online");

background_fetch_test(async ({ manager, id, settled }) => {
  await manager.fetch(id, new Server([{ text: "found" }]).url);
  const report = await settled();
  assert_equals(report.type, "backgroundfetchsuccess");
  assert_equals(report.result, "success");
  assert_equals(report.failureReason, "");
  assert_equals(report.records[0].text, "found");
}, "The worker is told that every request succeeded");

background_fetch_test(async ({ manager, id, settled }) => {
  const good = new Server([{ text: "found" }]);
  const bad = new Server([{ status: 404 }]);
  await manager.fetch(id, [good.url, bad.url]);
  const report = await settled();
  assert_equals(report.type, "backgroundfetchfail");
  assert_equals(report.result, "failure");
  assert_equals(report.failureReason, "bad-status");
}, "The worker is told that at least one request failed");

background_fetch_test(async ({ manager, id, settled }) => {
  const registration = await manager.fetch(id, new Server([{ holdHead: true }]).url);
  assert_true(await registration.abort());
  const report = await settled();
  assert_equals(report.type, "backgroundfetchabort");
  assert_equals(report.result, "failure");
  assert_equals(report.failureReason, "aborted");
}, "The worker is told that the page aborted the fetch");

background_fetch_test(async ({ manager, reporter, id }) => {
  const server = new Server([{ holdHead: true }]);
  await manager.fetch(id, server.url);
  bgfetchTesting.click(id);
  const report = await reporter.report(id, "backgroundfetchclick");
  assert_equals(report.result, "");
}, "The worker is told that the user clicked on the UI");

background_fetch_test(async ({ t, reporter, id }) => {
  const server = new Server([{ size: 5000, hold: 1000 }]);
  const frame = document.createElement("iframe");
  frame.src = `resources/closes.html?${new URLSearchParams({
    scope: reporter.registration.scope,
    id,
    url: server.url,
  })}`;
  const started = reporter.report(id, "started");
  document.body.appendChild(frame);
  t.add_cleanup(async () => frame.remove());
  await started;
  await server.requests(1);
  frame.remove();
  await server.release();
  const report = await reporter.report(id, "backgroundfetchsuccess");
  assert_body(report.records[0], 5000);
}, "The fetch goes on when its page was closed");
