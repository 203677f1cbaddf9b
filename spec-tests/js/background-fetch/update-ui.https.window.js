// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// BackgroundFetchUpdateUIEvent updateUI() (D23), and the events' interfaces.
"use strict";

const behaviour = (name) => ({ behaviour: name });

background_fetch_test(async ({ manager, reporter, id }) => {
  await manager.fetch(id, new Server([{ size: 10 }]).url, { title: "First" });
  const report = await reporter.report(id, "backgroundfetchsuccess");
  assert_equals(report.name, "BackgroundFetchUpdateUIEvent");
  assert_equals(report.first, "none", "it resolves");
  assert_equals(report.second, "InvalidStateError", "once");
}, "updateUI() resolves once, in a success event", behaviour("update"));

background_fetch_test(async ({ manager, reporter, id, settled }) => {
  const registration = await manager.fetch(id, new Server([{ size: 10 }]).url, { title: "First" });
  await settled();
  await over(registration);
  assert_equals((await reporter.ask({ question: "kept", id })).updateUI, "InvalidStateError");
}, "updateUI() rejects when the event is over", behaviour("keep"));

background_fetch_test(async ({ manager, reporter, id }) => {
  await manager.fetch(id, new Server([{ status: 404 }]).url, { title: "First" });
  const report = await reporter.report(id, "backgroundfetchfail");
  assert_equals(report.name, "BackgroundFetchUpdateUIEvent");
  assert_equals(report.first, "none");
}, "updateUI() resolves in a fail event", behaviour("update"));

background_fetch_test(async ({ manager, reporter, id }) => {
  const registration = await manager.fetch(id, new Server([{ holdHead: true }]).url);
  await registration.abort();
  const report = await reporter.report(id, "backgroundfetchabort");
  assert_equals(report.name, "BackgroundFetchEvent");
  assert_false(report.canUpdateUI);
}, "An abort event has no updateUI()", behaviour("update"));

background_fetch_test(async ({ manager, reporter, id }) => {
  await manager.fetch(id, new Server([{ size: 10 }]).url, { title: "First" });
  const report = await reporter.report(id, "backgroundfetchsuccess");
  assert_equals(report.first, "none");
}, "updateUI() with nothing to change resolves", behaviour("updateNothing"));

background_fetch_test(async ({ manager, reporter, id }) => {
  await manager.fetch(id, new Server([{ holdHead: true }]).url);
  assert_equals(await reporter.ask({ question: "untrusted", id }), "InvalidStateError");
}, "updateUI() of an event that a script made rejects");
