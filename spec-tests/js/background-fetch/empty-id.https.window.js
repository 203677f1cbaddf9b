// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// BackgroundFetchManager fetch() with an empty id (D11). Chromium's page crashes at it.
"use strict";

background_fetch_test(async ({ t, manager }) => {
  await promise_rejects_js(t, TypeError, manager.fetch("", "/"));
  const request = new Request("/upload", { method: "POST", body: "text" });
  await promise_rejects_js(t, TypeError, manager.fetch("", request));
  assert_false(request.bodyUsed);
  assert_array_equals(await manager.getIds(), []);
}, "An empty id is refused before the requests are looked at");
