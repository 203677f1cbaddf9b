// META: timeout=long
// META: script=/background-fetch/resources/server.sub.js
// META: script=/background-fetch/resources/helper.js
// META: script=resources/user.js
// What is kept of the page that called (D37): referrer and origin.
"use strict";

const CORS = ["Access-Control-Allow-Origin", "*"];

background_fetch_test(async ({ t, manager, id, settled }) => {
  const server = new Server([{ size: 10, headers: [CORS] }], { origin: OTHER_ORIGIN });
  goOffline(t);
  await manager.fetch(id, server.url);
  bgfetchTesting.restartEngine();
  bgfetchTesting.setOffline(false);
  assert_equals((await settled()).type, "backgroundfetchsuccess");
  const [{ headers }] = await server.requests();
  assert_equals(headers.origin, location.origin);
  assert_equals(headers.referer, `${location.origin}/`);
}, "Origin and referrer are the same after a crash");
