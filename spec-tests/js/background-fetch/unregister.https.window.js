// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// A registration that goes (D42).
"use strict";

own_registration_test(async (t, reporter, manager, id) => {
  const server = new Server([{ size: 5000, hold: 1000 }]);
  const registration = await manager.fetch(id, server.url);
  const record = await registration.match(server.url);
  const response = await record.responseReady;
  await until(registration, ({ downloaded }) => downloaded === 1000);
  assert_true(await reporter.registration.unregister());
  const [{ ended }] = await server.requests(1, 1);
  assert_equals(ended, "given-up", "nothing is under way");
  assert_equals((await response.arrayBuffer().catch((error) => error)).name, "AbortError");
  assert_array_equals(await manager.getIds(), []);
  assert_array_equals(reporter.left(id), [], "no event is fired");
}, "Unregistering aborts without an event");

own_registration_test(async (t, reporter, manager, id) => {
  const { url } = new Server([{ holdHead: true }]);
  await manager.fetch(id, url);
  await reporter.registration.unregister();
  await promise_rejects_js(t, TypeError, manager.fetch(`${id}-2`, url));
}, "fetch() rejects with TypeError when its registration is gone");

own_registration_test(async (t, reporter, manager, id) => {
  const server = new Server([{ size: 10 }]);
  const never = new ReadableStream({ pull: () => new Promise(() => {}) });
  const request = new Request(server.url, { method: "POST", body: never, duplex: "half" });
  const call = promise_rejects_js(t, TypeError, manager.fetch(id, request));
  // The call gets as far as it can.
  for (let i = 0; i < 20; i++) await manager.getIds();
  await reporter.registration.unregister();
  await call;
  assert_equals((await server.requests()).length, 0);
}, "A call that still reads its bodies rejects");
