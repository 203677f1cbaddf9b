// META: global=window,worker
// What the standards leave to the user agent, as the headless one has it.
"use strict";

promise_test(async () => {
  for (const name of ["background-fetch", "notifications", "persistent-storage"]) {
    const { state } = await navigator.permissions.query({ name });
    assert_equals(state, "granted", name);
  }
}, "Permissions are granted");

promise_test(async () => {
  assert_true(await navigator.storage.persisted());
}, "Storage is kept");

promise_test(async (t) => {
  t.add_cleanup(() => caches.delete("defaults"));
  const cache = await caches.open("defaults");
  await cache.put("/entry", new Response("x".repeat(1000)));
  assert_equals((await navigator.storage.estimate()).usage, 1000);
}, "The usage is the length of the bodies");
