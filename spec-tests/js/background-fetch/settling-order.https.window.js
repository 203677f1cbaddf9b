// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// Perform a background fetch, in which order it is told (D18); queue a bgfetch task.
"use strict";

background_fetch_test(async ({ manager, id, settled }) => {
  // Fails without I/O, as mixed content.
  const { url } = new Server([{ size: 10 }], { origin: INSECURE_ORIGIN });
  const registration = await manager.fetch(id, url);
  const record = await registration.match(url);
  assert_not_equals(record, undefined);
  assert_equals(registration.recordsAvailable, true);
  const report = await settled();
  assert_equals(report.failureReason, "fetch-error");
}, "Work begins after the promise's reactions ran, so that a record that fails at once is found");

background_fetch_test(async ({ manager, id, settled }) => {
  const registration = await manager.fetch(id, new Server([{ size: 100 }]).url);
  await settled();
  assert_equals(registration.result, "success");
}, "A page sees the result before the worker's message reaches it");

background_fetch_test(async ({ manager, id, settled }) => {
  const registration = await manager.fetch(id, new Server([{ status: 404 }]).url);
  await settled();
  assert_equals(registration.result, "failure");
  assert_equals(registration.failureReason, "bad-status");
}, "A page sees the failure before the worker's message reaches it");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 5000, hold: 1000 }]);
  const registration = await manager.fetch(id, server.url);
  let inTask = true;
  const seen = [];
  registration.addEventListener("progress", () => {
    const { downloaded, result } = registration;
    // A microtask belongs to the task of the event: nothing changes before it.
    queueMicrotask(() => {
      seen.push([downloaded, result]);
      inTask &&= registration.downloaded === downloaded && registration.result === result;
    });
  });
  await until(registration, ({ downloaded }) => downloaded === 1000);
  await server.release();
  await settled();
  assert_true(inTask);
  assert_array_equals(seen.at(-1), [5000, "success"]);
}, "Queue a bgfetch task: attributes change in tasks of their own, never within one");

background_fetch_test(async ({ manager, id, settled }) => {
  const order = [];
  const server = new Server([{ size: 100 }]);
  const registration = await manager.fetch(id, server.url);
  registration.addEventListener("progress", () => {
    if (registration.result !== "") order.push("progress");
  });
  const report = await settled();
  order.push(report.type);
  assert_array_equals(order, ["progress", "backgroundfetchsuccess"]);
  assert_array_equals(await manager.getIds(), [], "it is no longer active when the event is fired");
}, "The last progress event comes before the worker's event, and the id is free by then");
