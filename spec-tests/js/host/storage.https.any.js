// META: global=window,worker
// `navigator.storage`: https://storage.spec.whatwg.org/
"use strict";

promise_test(async () => {
  const before = await navigator.storage.estimate();
  assert_equals(before.usage, 0);
  assert_greater_than(before.quota, 0);
  const cache = await caches.open("estimate");
  await cache.put("/entry", new Response("x".repeat(1000)));
  const after = await navigator.storage.estimate();
  assert_greater_than_equal(after.usage, 1000);
  assert_greater_than_equal(after.quota, after.usage);
  await caches.delete("estimate");
}, "What caches hold is counted");

promise_test(async (t) => {
  assert_equals(typeof await navigator.storage.persisted(), "boolean");
  assert_equals("persist" in navigator.storage, GLOBAL.isWindow());
  const { estimate } = navigator.storage;
  await promise_rejects_js(t, TypeError, estimate());
}, "Whether storage is kept is told, and methods need their object");
