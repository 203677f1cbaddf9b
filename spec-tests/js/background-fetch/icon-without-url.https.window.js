// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// BackgroundFetchManager fetch() with an icon that has no valid URL. Chromium's page crashes at it.
"use strict";

background_fetch_test(async ({ manager, id }) => {
  const icons = [{ src: "icon.png" }, { src: "http://[" }];
  const registration = await manager.fetch(id, new Server([{ holdHead: true }]).url, { icons });
  assert_equals(registration.id, id);
}, "An icon without a URL is ignored");
