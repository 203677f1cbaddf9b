// META: timeout=long
// META: variant=?backgroundFetch
// META: variant=?fetching
// META: variant=?messages
// META: variant=?serviceWorkers
// META: variant=?caches
// META: variant=?elements
// META: variant=?navigator
// META: variant=?structuredClone
// META: script=/background-fetch/resources/server.sub.js
// META: script=/background-fetch/resources/helper.js
// META: script=resources/built-ins.js
// META: script=resources/page.js
// Nothing that a page does to its globals reaches the interfaces: each built-in is patched in turn, and
// all calls of an area have the same results, while nothing looks for the built-in.
"use strict";

const area = location.search.slice(1);

/** The calls of this area take too long for each built-in alone: those of each object are patched together. */
const TOGETHER = "fetching";

promise_test(async (t) => {
  await granted;
  const calls = await areas[area](t);
  const { count, failures } = await builtIns.inTurn(calls, area === TOGETHER);
  assert_greater_than(count, 2500);
  assert_equals(failures.join("\n"), "");
}, `A page that patches every built-in in turn changes nothing: ${area}`);
