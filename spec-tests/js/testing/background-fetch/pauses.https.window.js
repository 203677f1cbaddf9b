// META: timeout=long
// META: script=/background-fetch/resources/server.sub.js
// META: script=/background-fetch/resources/helper.js
// META: script=resources/user.js
// Complete a record: waiting while the fetch is paused, or the user offline (D15, D16, D44);
// display: what the user may do.
"use strict";

const whole = { size: WHOLE, ranges: true, headers: [["ETag", '"a"']] };

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ ...whole, hold: HALF }, whole]);
  const registration = await manager.fetch(id, server.url);
  await until(registration, ({ downloaded }) => downloaded === HALF);
  bgfetchTesting.pause(id);
  assert_true(bgfetchTesting.state(id).paused);
  const [{ ended }] = await server.requests(1, 1);
  assert_equals(ended, "given-up", "nothing is under way");
  assert_equals(registration.result, "");
  bgfetchTesting.resume(id);
  assert_false(bgfetchTesting.state(id).paused);
  const report = await settled();
  assert_body(report.records[0], WHOLE);
  const requests = await server.requests(2);
  assert_array_equals(requests.map(({ headers }) => headers.range), [undefined, `bytes=${HALF}-`]);
}, "The user pauses and resumes: the download goes on where it was");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ ...whole, hold: HALF }, whole]);
  const registration = await manager.fetch(id, server.url);
  const record = await registration.match(server.url);
  const response = await record.responseReady;
  const text = response.arrayBuffer();
  await until(registration, ({ downloaded }) => downloaded === HALF);
  bgfetchTesting.pause(id);
  bgfetchTesting.resume(id);
  assert_equals((await text).byteLength, WHOLE);
  await settled();
}, "A reader of the body does not notice a pause");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ text: "thanks", holdHead: true }]);
  await manager.fetch(id, new Request(server.url, { method: "POST", body: "a photo" }));
  await server.requests(1);
  assert_throws_js(Error, () => bgfetchTesting.pause(id));
  assert_false(bgfetchTesting.state(id).paused);
  await server.release();
  assert_equals((await settled()).type, "backgroundfetchsuccess");
}, "D16: the user cannot pause a fetch whose requests are not all GET");

background_fetch_test(async ({ t, manager, id, settled }) => {
  const server = new Server([{ text: "thanks", holdHead: true }]);
  await manager.fetch(id, new Request(server.url, { method: "POST", body: "a photo" }));
  await server.requests(1);
  goOffline(t);
  await server.release();
  const report = await settled();
  assert_equals(report.type, "backgroundfetchsuccess");
  assert_equals((await server.requests()).length, 1);
}, "D16: going offline interrupts no upload");

background_fetch_test(async ({ t, manager, id, settled }) => {
  goOffline(t);
  const server = new Server([{ text: "thanks" }]);
  await manager.fetch(id, new Request(server.url, { method: "POST", body: "a photo" }));
  assert_equals((await server.requests()).length, 0);
  bgfetchTesting.setOffline(false);
  assert_equals((await settled()).type, "backgroundfetchsuccess");
}, "D16: offline holds back the start of an upload");

background_fetch_test(async ({ t, manager, id, settled }) => {
  goOffline(t);
  const server = new Server([whole]);
  const registration = await manager.fetch(id, server.url);
  // The user sees that it waits.
  while (!bgfetchTesting.state(id).paused) await manager.getIds();
  assert_equals((await server.requests()).length, 0, "loopback is held back as well");
  assert_equals(registration.failureReason, "");
  bgfetchTesting.setOffline(false);
  await settled();
}, "D44: what the embedder calls offline holds back every request");

background_fetch_test(async ({ t, manager, id, settled }) => {
  const server = new Server([{ ...whole, hold: HALF }, whole]);
  const registration = await manager.fetch(id, server.url);
  await until(registration, ({ downloaded }) => downloaded === HALF);
  bgfetchTesting.pause(id);
  await server.requests(1, 1);
  goOffline(t);
  bgfetchTesting.setOffline(false);
  assert_true(bgfetchTesting.state(id).paused, "being online again is not the user's word");
  bgfetchTesting.restartEngine();
  assert_true(bgfetchTesting.state(id).paused, "nor is a restart");
  assert_equals((await server.requests()).length, 1);
  bgfetchTesting.resume(id);
  assert_body((await settled()).records[0], WHOLE);
}, "The user's pause lasts until the user resumes");

background_fetch_test(async ({ t, manager, id, settled }) => {
  bgfetchTesting.setPermission("prompt");
  t.add_cleanup(async () => bgfetchTesting.setPermission("granted"));
  const server = new Server([whole]);
  await manager.fetch(id, server.url);
  assert_true(bgfetchTesting.state(id).paused);
  assert_equals((await server.requests()).length, 0);
  bgfetchTesting.resume(id);
  assert_equals((await settled()).type, "backgroundfetchsuccess");
}, "Display: with the permission on prompt a fetch starts paused, for the user to accept");
