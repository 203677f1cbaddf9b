// META: timeout=long
// META: script=/background-fetch/resources/server.sub.js
// META: script=/background-fetch/resources/helper.js
// META: script=resources/user.js
// BackgroundFetchRegistration abort() of a fetch that waits or is paused (D15).
"use strict";

background_fetch_test(async ({ t, manager, id, settled }) => {
  goOffline(t);
  const registration = await manager.fetch(id, new Server([{ size: 10 }]).url);
  assert_true(await registration.abort());
  assert_equals((await settled()).type, "backgroundfetchabort");
}, "D15: abort is immediate while the user is offline");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 5000, hold: 1000 }]);
  const registration = await manager.fetch(id, server.url);
  await until(registration, ({ downloaded }) => downloaded > 0);
  bgfetchTesting.pause(id);
  assert_true(bgfetchTesting.state(id).paused);
  assert_true(await registration.abort());
  assert_equals((await settled()).type, "backgroundfetchabort");
}, "D15: abort is immediate while the user pauses");
