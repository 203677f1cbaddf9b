// META: timeout=long
// META: script=/background-fetch/resources/server.sub.js
// META: script=/background-fetch/resources/helper.js
// META: script=resources/user.js
// Local Network Access: what is kept of the page (D46). The policy in its
// .headers file makes this page a public one; all servers are on loopback.
"use strict";

const headers = [["Access-Control-Allow-Origin", "*"]];
const other = () => new Server([{ size: 10, headers }], { origin: OTHER_ORIGIN });

background_fetch_test(async ({ t, manager, id, settled }) => {
  const server = other();
  goOffline(t);
  await manager.fetch(id, server.url);
  bgfetchTesting.restartEngine();
  bgfetchTesting.setOffline(false);
  assert_equals((await settled()).failureReason, "fetch-error");
  assert_equals((await server.requests()).length, 0);
}, "After a crash, the page is still public");
