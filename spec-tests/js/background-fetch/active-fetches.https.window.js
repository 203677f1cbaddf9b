// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// BackgroundFetchManager get(), BackgroundFetchManager getIds(), and get a
// BackgroundFetchRegistration instance (D11, D1, D41).
"use strict";

const held = () => new Server([{ holdHead: true }]).url;

background_fetch_test(async ({ manager, id }) => {
  assert_array_equals(await manager.getIds(), []);
  assert_equals(await manager.get(id), undefined);
}, "D1: get() of nothing is undefined");

background_fetch_test(async ({ t, manager }) => {
  await promise_rejects_js(t, TypeError, manager.get(""));
  await promise_rejects_js(t, TypeError, manager.get());
}, "D11: get() refuses an empty id");

background_fetch_test(async ({ manager, id }) => {
  const ids = [`${id}-b`, `${id}-a`, `${id}-\u{1F600}`, "constructor", "1"];
  for (const each of ids) await manager.fetch(each, held());
  assert_array_equals(await manager.getIds(), ids, "in the order of their registration");
  for (const each of ids) assert_equals((await manager.get(each)).id, each);
}, "getIds() has the ids of active fetches, whatever DOMStrings they are");

background_fetch_test(async ({ manager, id }) => {
  const registration = await manager.fetch(id, held());
  const [first, second] = await Promise.all([manager.get(id), manager.get(id)]);
  assert_equals(first, registration);
  assert_equals(second, registration);
}, "A realm has one BackgroundFetchRegistration of a fetch");

background_fetch_test(async ({ manager, reporter, id, settled }) => {
  const server = new Server([{ size: 10, holdHead: true }]);
  await reporter.ask({ question: "fetch", id, requests: [server.url], options: { title: "A" } });
  const registration = await manager.get(id);
  assert_equals(registration.id, id);
  let progress = 0;
  registration.onprogress = () => progress++;
  await server.release();
  await settled();
  await ended(registration);
  assert_equals(registration.result, "success");
  assert_greater_than(progress, 0);
}, "A fetch of another realm is found, and its progress is told");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 5000, hold: 1000 }]);
  const registration = await manager.fetch(id, server.url);
  await until(registration, ({ downloaded }) => downloaded === 1000);
  assert_equals((await manager.get(id)).downloaded, 1000, "the instance is up to date");
  await server.release();
  await settled();
  assert_equals(await manager.get(id), undefined);
  assert_array_equals(await manager.getIds(), []);
}, "A fetch that settled is not active");

background_fetch_test(async ({ t, manager, reporter, id, settled }) => {
  const other = await Reporter.start("report", "another-scope");
  t.add_cleanup(() => other.registration.unregister());
  const { backgroundFetch: otherManager } = other.registration;
  const mine = new Server([{ size: 10 }]);
  const its = new Server([{ size: 20, seed: 1, holdHead: true }]);
  const [a, b] = await Promise.all([manager.fetch(id, mine.url), otherManager.fetch(id, its.url)]);
  assert_not_equals(a, b);
  assert_body((await settled()).records[0], 10);
  assert_array_equals(await otherManager.getIds(), [id], "the other goes on");
  assert_false(await a.abort());
  await its.release();
  assert_body((await other.report(id)).records[0], 20, 1);
  assert_array_equals(reporter.left(id), []);
}, "D41: registrations of one origin have their own fetches, events and ids");

background_fetch_test(async ({ manager, reporter }) => {
  assert_equals(reporter.registration.backgroundFetch, manager);
  const found = await navigator.serviceWorker.getRegistration(reporter.registration.scope);
  assert_equals(found.backgroundFetch, manager);
}, "A registration has one manager");
