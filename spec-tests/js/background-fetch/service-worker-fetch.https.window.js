// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// fetch() on the service worker's global (D39): allowed by default.
"use strict";

background_fetch_test(async ({ manager, reporter, id, settled }) => {
  const server = new Server([{ size: 10, holdHead: true }]);
  const options = { title: "From the worker", downloadTotal: 10 };
  const found = await reporter.ask({ question: "fetch", id, requests: [server.url], options });
  assert_equals(found, id);
  assert_array_equals(await manager.getIds(), [id]);
  await server.release();
  const report = await settled();
  assert_equals(report.type, "backgroundfetchsuccess");
  assert_body(report.records[0], 10);
}, "A worker can fetch in the background");

background_fetch_test(async ({ reporter, id }) => {
  const error = await reporter.ask({ question: "fetch", id, requests: [] }).catch((it) => it);
  assert_equals(error.name, "TypeError");
}, "A worker's calls are checked like a page's");
