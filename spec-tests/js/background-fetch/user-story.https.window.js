// META: timeout=long
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
  const report = await settled();
  assert_equals(report.type, "backgroundfetchsuccess");
  assert_equals(report.downloaded, 5300);
  assert_equals(report.records.length, 2);
  const recordOf = ({ url }) => report.records.find((record) => record.url === url);
  assert_body(recordOf(episode), 5000);
  assert_body(recordOf(artwork), 300, 1);
}, "A page fetches several files as one item");

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
