// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// What is kept of the page that called (D37): referrer and origin.
"use strict";

const CORS = ["Access-Control-Allow-Origin", "*"];

background_fetch_test(async ({ manager, id, settled }) => {
  const same = new Server([{ size: 10 }]);
  const other = new Server([{ size: 10, headers: [CORS] }], { origin: OTHER_ORIGIN });
  await manager.fetch(id, [same.url, other.url]);
  await settled();
  const [{ headers: toSame }] = await same.requests();
  const [{ headers: toOther }] = await other.requests();
  assert_equals(toSame.referer, location.href);
  assert_equals(toSame.origin, undefined);
  assert_equals(toOther.referer, `${location.origin}/`);
  assert_equals(toOther.origin, location.origin);
}, "The page is the referrer, as the default policy says");

background_fetch_test(async ({ manager, reporter, id, settled }) => {
  const server = new Server([{ size: 10 }]);
  await reporter.ask({ question: "fetch", id, requests: [server.url] });
  await settled();
  const [{ headers }] = await server.requests();
  assert_equals(headers.referer, reporter.registration.active.scriptURL);
}, "A worker's referrer is its script");
