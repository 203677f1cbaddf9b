// What background fetches hold is a part of `navigator.storage.estimate()`.
"use strict";

promise_test(async (t) => {
  const registration = await navigator.serviceWorker.register("/host/resources/worker.js", {
    scope: "/host/resources/",
  });
  const worker = registration.installing ?? registration.active;
  while (worker.state !== "activated") {
    await new Promise((resolve) => {
      worker.addEventListener("statechange", resolve, { once: true });
    });
  }
  assert_equals((await navigator.storage.estimate()).usage, 0);
  const forever = "/common/slow.py?delay=600000";
  const fetch = await registration.backgroundFetch.fetch("held", ["/host/resources/worker.js", forever]);
  t.add_cleanup(() => {
    bgfetchTesting.abort("held");
  });
  const record = await fetch.match("/host/resources/worker.js");
  const { byteLength } = await (await record.responseReady).arrayBuffer();
  assert_greater_than(byteLength, 0);
  const { usage, quota } = await navigator.storage.estimate();
  assert_equals(usage, byteLength);
  // That of the runner.
  assert_less_than_equal(quota, 2 ** 30);
  bgfetchTesting.abort("held");
  while ((await navigator.storage.estimate()).usage > 0) {
    await new Promise((resolve) => setTimeout(resolve));
  }
}, "The bytes of a fetch count until its event is over");
