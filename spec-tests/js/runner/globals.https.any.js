// META: global=window,worker
// META: script=resources/helper.js

// A script for any global runs in the one that its page says.
"use strict";

test(() => {
  const isWindow = "document" in self;
  assert_equals(GLOBAL.isWindow(), isWindow);
  assert_equals(GLOBAL.isWorker(), !isWindow);
  assert_false(GLOBAL.isShadowRealm());
}, "GLOBAL says what the global is");

test(() => {
  const kinds = {
    ".any.html": "Window",
    ".any.serviceworker.html": "Window",
    ".any.worker.js": ["DedicatedWorkerGlobalScope", "SharedWorkerGlobalScope", "ServiceWorkerGlobalScope"],
  };
  const end = /\.any(\.[a-z]+)*$/.exec(location.pathname)[0];
  assert_true([kinds[end]].flat().includes(Object.prototype.toString.call(self).slice(8, -1)));
}, "The global is of a kind that its URL stands for");

test(() => {
  assert_equals(helper, "helper.js ran");
}, "Scripts ran before the test");

promise_test(async () => {
  const response = await fetch("resources/bytes.txt");
  assert_equals(await response.text(), "0123456789\n");
}, "The server is reached");
