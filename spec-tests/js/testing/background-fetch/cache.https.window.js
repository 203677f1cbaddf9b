// META: timeout=long
// META: script=/background-fetch/resources/server.sub.js
// META: script=/background-fetch/resources/helper.js
// META: script=/background-fetch/resources/bytes.js
// The cache that a worker puts a record into has all its bytes (D24).
"use strict";

background_fetch_test(async ({ t, manager, id, settled }) => {
  t.add_cleanup(() => caches.delete(id));
  const half = { size: WHOLE, ranges: true, cut: HALF, headers: [["ETag", '"a"']] };
  const server = new Server([half, { ...half, cut: null }]);
  const registration = await manager.fetch(id, server.url);
  await settled();
  await over(registration);
  bgfetchTesting.restartEngine();
  const found = await (await caches.open(id)).match(server.url);
  assert_equals(seedOf(new Uint8Array(await found.arrayBuffer())), 0);
}, "A record that was resumed is cached whole", { behaviour: "cache" });
