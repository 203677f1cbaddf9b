// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// Perform a background fetch: the records can be read until the settling event is over (D22).
"use strict";

background_fetch_test(async ({ manager, reporter, id, settled }) => {
  const registration = await manager.fetch(id, new Server([{ size: 1000 }]).url);
  const during = await settled();
  assert_equals(during.recordsAvailable, true);
  assert_body(during.records[0], 1000);
  await over(registration);
  const after = await reporter.ask({ question: "kept", id });
  assert_equals(after.recordsAvailable, false);
  assert_equals(after.match, "InvalidStateError");
  assert_equals(after.matchAll, "InvalidStateError");
}, "D22: records are available until the event ended", { behaviour: "keep" });

background_fetch_test(async ({ manager, reporter, id, settled }) => {
  const registration = await manager.fetch(id, new Server([{ size: 1000 }]).url);
  await settled();
  await over(registration);
  assert_equals((await reporter.ask({ question: "kept", id })).size, 1000);
}, "D22: a body that was opened before keeps its bytes", { behaviour: "keep" });

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 1000, holdHead: true }]);
  const registration = await manager.fetch(id, server.url);
  assert_equals(await registration.match("/nothing-fits"), undefined);
  await releaseFollowed(registration, server);
  await settled();
  await ended(registration);
  await over(registration);
  const rejection = await registration.matchAll().catch((error) => error);
  assert_equals(rejection.name, "InvalidStateError");
  assert_equals(registration.downloaded, 1000, "what was counted stays");
}, "D22: the page's registration follows");
