// META: timeout=long
// META: script=/background-fetch/resources/server.sub.js
// META: script=/background-fetch/resources/helper.js
// Fire a background fetch click event, by background fetch click (WebDriver) (D17); display.
"use strict";

background_fetch_test(async ({ manager, reporter, id }) => {
  const server = new Server([{ size: 5000, hold: 1000 }]);
  const registration = await manager.fetch(id, server.url);
  await until(registration, ({ downloaded }) => downloaded === 1000);
  bgfetchTesting.click(id);
  const report = await reporter.report(id, "backgroundfetchclick");
  assert_equals(report.name, "BackgroundFetchEvent");
  assert_false(report.canUpdateUI);
  assert_equals(report.result, "");
  assert_equals(report.downloaded, 1000);
}, "A click during the fetch fires an event with its registration");

background_fetch_test(async ({ manager, reporter, id, settled }) => {
  const registration = await manager.fetch(id, new Server([{ size: 10 }]).url);
  await settled();
  await over(registration);
  bgfetchTesting.click(id);
  const report = await reporter.report(id, "backgroundfetchclick");
  assert_equals(report.result, "success");
  assert_false(report.recordsAvailable);
}, "D17: a click reaches the worker after the end, too");

background_fetch_test(async ({ manager, reporter, id, settled }) => {
  const first = await manager.fetch(id, new Server([{ size: 10 }]).url);
  await settled();
  await over(first);
  const second = await manager.fetch(id, new Server([{ status: 404 }]).url);
  await settled();
  await over(second);
  bgfetchTesting.click(id);
  assert_equals((await reporter.report(id, "backgroundfetchclick")).result, "failure");
}, "D17: of several fetches of an id the newest is clicked");

background_fetch_test(async ({ manager, reporter, id, settled }) => {
  const registration = await manager.fetch(id, new Server([{ size: 10 }]).url);
  await settled();
  await over(registration);
  bgfetchTesting.restartEngine();
  bgfetchTesting.click(id);
  assert_equals((await reporter.report(id, "backgroundfetchclick")).result, "success");
}, "D17: finished fetches are kept over a restart");

test(() => {
  assert_throws_js(Error, () => bgfetchTesting.click("there is no such fetch"));
}, "The click of an unknown id is an error");

background_fetch_test(async ({ manager, id }) => {
  const server = new Server([{ size: 5000, hold: 1000 }]);
  const icons = [{ src: "/icon.png", sizes: "64x64", type: "image/png" }];
  const options = { title: "A title", icons, downloadTotal: 5000 };
  const registration = await manager.fetch(id, server.url, options);
  await until(registration, ({ downloaded }) => downloaded === 1000);
  const state = bgfetchTesting.state(id);
  assert_equals(state.title, "A title");
  assert_equals(state.downloaded, 1000);
  assert_equals(state.downloadTotal, 5000);
  assert_equals(state.result, "");
  assert_false(state.paused);
  assert_true(bgfetchTesting.list().some((it) => it.id === id));
}, "Display: the user sees the title and the progress");
