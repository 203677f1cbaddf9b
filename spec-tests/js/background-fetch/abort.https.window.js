// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// BackgroundFetchRegistration abort(); contains background fetch and does not contain background
// fetch, on which its answer depends (D15).
"use strict";

background_fetch_test(async ({ manager, id, settled }) => {
  const registration = await manager.fetch(id, new Server([{ holdHead: true }]).url);
  const answers = await Promise.all([registration.abort(), registration.abort()]);
  assert_array_equals(answers, [true, false]);
  assert_equals((await settled()).type, "backgroundfetchabort");
  assert_false(await registration.abort());
}, "D15: abort() is true once");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 10, holdHead: true }]);
  const registration = await manager.fetch(id, server.url);
  await releaseFollowed(registration, server);
  assert_equals((await settled()).type, "backgroundfetchsuccess");
  assert_false(await registration.abort());
  await ended(registration);
  assert_equals(registration.result, "success");
}, "abort() is false when the fetch has settled");

background_fetch_test(async ({ manager, id, settled }) => {
  const bad = new Server([{ status: 404 }]);
  const held = new Server([{ holdHead: true }]);
  const registration = await manager.fetch(id, [bad.url, held.url]);
  await (await registration.match(bad.url)).responseReady;
  await held.requests(1);
  assert_true(await registration.abort());
  const report = await settled();
  assert_equals(report.type, "backgroundfetchabort");
  assert_equals(report.failureReason, "aborted");
}, "D15: an abort wins although another record failed before");

background_fetch_test(async ({ manager, id, settled }) => {
  const first = await manager.fetch(id, new Server([{ holdHead: true }]).url);
  assert_true(await first.abort());
  const server = new Server([{ size: 10, holdHead: true }]);
  const second = await manager.fetch(id, server.url);
  assert_not_equals(second, first);
  assert_false(await first.abort());
  assert_equals((await settled()).type, "backgroundfetchabort");
  assert_not_equals(await manager.get(id), undefined, "the second is active");
  await server.release();
  assert_equals((await settled()).type, "backgroundfetchsuccess");
  assert_equals(second.result, "success");
}, "D15: abort() never touches a later fetch that reuses the id");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 5000, hold: 1000 }]);
  const registration = await manager.fetch(id, server.url);
  const record = await registration.match(server.url);
  const response = await record.responseReady;
  const reader = response.body.getReader();
  await reader.read();
  assert_true(await registration.abort());
  const report = await settled();
  assert_equals(report.records[0].error, "AbortError");
  let error;
  try {
    while (!(await reader.read()).done);
  } catch (thrown) {
    error = thrown;
  }
  assert_equals(error?.name, "AbortError", "readers are told");
}, "An aborted record rejects with AbortError");

background_fetch_test(async ({ manager, id, settled }) => {
  const registration = await manager.fetch(id, new Server([{ holdHead: true }]).url);
  assert_array_equals(await manager.getIds(), [id]);
  assert_true(await registration.abort());
  assert_array_equals(await manager.getIds(), [], "not even before the event");
  assert_equals(await manager.get(id), undefined);
  await settled();
}, "A fetch that abort() ended is not active");
