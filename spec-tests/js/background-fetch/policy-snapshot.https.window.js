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

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 10 }]);
  await manager.fetch(id, [
    new Request(server.url, { referrerPolicy: "no-referrer" }),
    new Request(server.url, { referrer: "" }),
    new Request(server.url, { referrer: "/elsewhere" }),
  ]);
  await settled();
  const referrers = (await server.requests()).map(({ headers }) => headers.referer ?? "none");
  assert_array_equals(referrers.sort(), [`${location.origin}/elsewhere`, "none", "none"]);
}, "A request's own referrer and policy are kept");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 10, headers: [CORS] }], { origin: OTHER_ORIGIN });
  bgfetchTesting.setOffline(true);
  await manager.fetch(id, server.url);
  bgfetchTesting.restartEngine();
  bgfetchTesting.setOffline(false);
  assert_equals((await settled()).type, "backgroundfetchsuccess");
  const [{ headers }] = await server.requests();
  assert_equals(headers.origin, location.origin);
  assert_equals(headers.referer, `${location.origin}/`);
}, "Origin and referrer are the same after a crash");

background_fetch_test(async ({ manager, reporter, id, settled }) => {
  const server = new Server([{ size: 10 }]);
  await reporter.ask({ question: "fetch", id, requests: [server.url] });
  await settled();
  const [{ headers }] = await server.requests();
  assert_equals(headers.referer, reporter.registration.active.scriptURL);
}, "A worker's referrer is its script");
