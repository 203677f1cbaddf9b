// META: timeout=long
// META: script=/background-fetch/resources/server.sub.js
// META: script=/background-fetch/resources/helper.js
// BackgroundFetchUpdateUIEvent updateUI() (D23): what the user sees of it.
"use strict";

const behaviour = (name) => ({ behaviour: name });

background_fetch_test(async ({ manager, reporter, id }) => {
  await manager.fetch(id, new Server([{ size: 10 }]).url, { title: "First" });
  assert_equals(bgfetchTesting.state(id).title, "First");
  await reporter.report(id, "backgroundfetchsuccess");
  assert_equals(bgfetchTesting.state(id).title, "Changed");
  bgfetchTesting.restartEngine();
  assert_equals(bgfetchTesting.state(id).title, "Changed", "the title is durable");
}, "updateUI() changes the title in a success event", behaviour("update"));

background_fetch_test(async ({ manager, reporter, id, settled }) => {
  const registration = await manager.fetch(id, new Server([{ size: 10 }]).url, { title: "First" });
  await settled();
  await over(registration);
  await reporter.ask({ question: "kept", id });
  assert_equals(bgfetchTesting.state(id).title, "First");
}, "updateUI() changes nothing when the event is over", behaviour("keep"));

background_fetch_test(async ({ reporter, id }) => {
  const { url } = new Server([{ holdHead: true }]);
  const options = { title: "From the worker" };
  await reporter.ask({ question: "fetch", id, requests: [url], options });
  assert_equals(bgfetchTesting.state(id).title, "From the worker");
}, "The title of a worker's call is shown");

background_fetch_test(async ({ manager, reporter, id }) => {
  await manager.fetch(id, new Server([{ status: 404 }]).url, { title: "First" });
  await reporter.report(id, "backgroundfetchfail");
  assert_equals(bgfetchTesting.state(id).title, "Changed");
}, "updateUI() changes the title in a fail event", behaviour("update"));

background_fetch_test(async ({ manager, reporter, id }) => {
  await manager.fetch(id, new Server([{ size: 10 }]).url, { title: "First" });
  await reporter.report(id, "backgroundfetchsuccess");
  assert_equals(bgfetchTesting.state(id).title, "First");
}, "updateUI() with nothing to change leaves the title", behaviour("updateNothing"));
