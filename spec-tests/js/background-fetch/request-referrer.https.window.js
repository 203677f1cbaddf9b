// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// The referrer and the referrer policy of a request itself (D37). Chromium crashes at it.
"use strict";

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

background_fetch_test(async ({ manager, id }) => {
  const { url } = new Server([{ holdHead: true }]);
  const request = new Request(url, { referrer: "/elsewhere", referrerPolicy: "origin" });
  const registration = await manager.fetch(id, request);
  const { request: found } = await registration.match(url);
  assert_equals(found.referrer, `${location.origin}/elsewhere`);
  assert_equals(found.referrerPolicy, "origin");
}, "A record's request has them");
