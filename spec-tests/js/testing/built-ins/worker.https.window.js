// META: timeout=long
// META: script=/background-fetch/resources/server.sub.js
// META: script=/background-fetch/resources/helper.js
// Nothing that a service worker does to its globals reaches the interfaces: see page.https.window.js.
"use strict";

promise_test(async (t) => {
  const registration = await navigator.serviceWorker.register("resources/worker.js", {
    scope: `resources/${newToken()}`,
  });
  t.add_cleanup(() => registration.unregister());
  await activated(registration);
  const answer = once(navigator.serviceWorker, "message");
  navigator.serviceWorker.startMessages();
  registration.active.postMessage("patch");
  const { count, failures } = (await answer).data;
  assert_greater_than(count, 2000);
  assert_equals(failures.join("\n"), "");
}, "A service worker that patches every built-in in turn changes nothing");
