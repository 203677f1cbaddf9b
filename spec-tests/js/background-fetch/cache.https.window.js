// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// META: script=resources/bytes.js
// What a worker does with a download: it puts the records into a cache, where they stay (D24;
// the overview page's example).
"use strict";

background_fetch_test(async ({ t, manager, id, settled }) => {
  t.add_cleanup(() => caches.delete(id));
  const headers = [["Content-Type", "audio/mpeg"], ["X-Own", "yes"]];
  const episode = new Server([{ size: WHOLE, headers }]);
  const artwork = new Server([{ size: 300, seed: 1 }]);
  const registration = await manager.fetch(id, [episode.url, artwork.url]);
  await settled();
  await over(registration);
  const cache = await caches.open(id);
  const found = await cache.match(episode.url);
  assert_equals(found.status, 200);
  assert_equals(found.headers.get("x-own"), "yes");
  const bytes = new Uint8Array(await found.arrayBuffer());
  assert_equals(bytes.length, WHOLE);
  assert_equals(seedOf(bytes), 0);
  const other = await (await cache.match(artwork.url)).arrayBuffer();
  assert_equals(other.byteLength, 300);
}, "Records that a worker put into a cache outlive the fetch", { behaviour: "cache" });
