// META: timeout=long
// However fast a worker is activated, a page that sees no active worker has none.
"use strict";

promise_test(async (t) => {
  for (let round = 0; round < 5; round++) {
    const registration = await navigator.serviceWorker.register(`resources/worker.js?${round}`, {
      scope: `resources/${round}`,
    });
    assert_equals(registration.active, null);
    await promise_rejects_js(t, TypeError, registration.backgroundFetch.fetch("id", "/"));
  }
}, "fetch() of a registration rejects where the page sees no active worker");
