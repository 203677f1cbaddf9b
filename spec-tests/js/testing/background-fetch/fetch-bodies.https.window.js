// META: timeout=long
// META: script=/background-fetch/resources/server.sub.js
// META: script=/background-fetch/resources/helper.js
// META: script=resources/user.js
// BackgroundFetchManager fetch(): request bodies and crashes (D19, D25).
"use strict";

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ text: "thanks", holdHead: true }]);
  await manager.fetch(id, new Request(server.url, { method: "POST", body: "a photo" }));
  await server.requests(1);
  bgfetchTesting.restartEngine();
  const report = await settled();
  assert_equals(report.failureReason, "fetch-error");
  assert_equals((await server.requests()).length, 1);
}, "D25: an upload that a crash interrupted is a fetch-error");

background_fetch_test(async ({ t, manager, id, settled }) => {
  goOffline(t);
  const server = new Server([{ text: "thanks" }]);
  await manager.fetch(id, new Request(server.url, { method: "POST", body: "a photo" }));
  bgfetchTesting.restartEngine();
  bgfetchTesting.setOffline(false);
  const report = await settled();
  assert_equals(report.type, "backgroundfetchsuccess");
  const [{ body }] = await server.requests(1);
  assert_equals(body, "a photo");
}, "D19: bodies are durable before the promise resolves");
