// META: timeout=long
// META: script=/background-fetch/resources/server.sub.js
// META: script=/background-fetch/resources/helper.js
// What a crash leaves of a registration that went (D42).
"use strict";

own_registration_test(async (t, reporter, manager, id) => {
  const { scope } = reporter.registration;
  await manager.fetch(id, new Server([{ holdHead: true }]).url);
  await reporter.registration.unregister();
  bgfetchTesting.restartEngine();
  const again = await Reporter.start("report", new URL(scope).pathname.split("/").at(-1));
  t.add_cleanup(() => again.registration.unregister());
  assert_equals(again.registration.scope, scope);
  assert_array_equals(await again.registration.backgroundFetch.getIds(), []);
  assert_equals(await again.registration.backgroundFetch.get(id), undefined);
  assert_array_equals(reporter.left(id), []);
}, "A later registration of the scope inherits nothing");
