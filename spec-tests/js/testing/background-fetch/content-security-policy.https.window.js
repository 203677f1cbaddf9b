// META: script=/background-fetch/resources/server.sub.js
// META: script=/background-fetch/resources/helper.js
// META: script=resources/user.js
// The policies of a page are kept for its fetches (D37). The policy of this page stands in its
// .headers file: it may connect to its own origin alone.
"use strict";

const headers = [["Access-Control-Allow-Origin", "*"]];

background_fetch_test(async ({ t, manager, id, settled }) => {
  const forbidden = new Server([{ size: 10, headers }], { origin: OTHER_ORIGIN });
  goOffline(t);
  await manager.fetch(id, forbidden.url);
  bgfetchTesting.restartEngine();
  bgfetchTesting.setOffline(false);
  assert_equals((await settled()).failureReason, "fetch-error");
  assert_equals((await forbidden.requests()).length, 0);
}, "D37: the policy is that of the call, also after a crash");
