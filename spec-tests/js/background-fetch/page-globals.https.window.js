// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// META: script=resources/globals.js
// What a page does to its globals does not reach the interfaces: they look nothing up on built-ins that
// scripts can change, of which all are watched at once. The tests of testing/built-ins/ patch them in turn.
"use strict";

const { own, take } = globalsWatch;
const NONE = { __proto__: null };

async function rejects(promise) {
  try {
    await own(promise);
    return false;
  } catch {
    return true;
  }
}

/** Calls everything that the interfaces have for a page. Gives a response whose body is not read. */
async function useEverything(manager, id, server, late) {
  const options = { __proto__: null, title: "Title", icons: iterable([]), downloadTotal: 0 };
  const query = { __proto__: null, ignoreSearch: true, ignoreMethod: true, ignoreVary: true };
  const registration = await own(
    take(manager.fetch(id, iterable([server.url, late.request]), options)),
  );
  if ((await own(take(manager.get(id)))) !== registration) throw new Error("another registration");
  const ids = await own(take(manager.getIds()));
  let found = false;
  for (let i = 0; i < ids.length; i++) if (ids[i] === id) found = true;
  if (!found) throw new Error("no such id");
  const shown = [registration.id, registration.uploadTotal, registration.uploaded, registration.result,
    registration.downloadTotal, registration.downloaded, registration.failureReason];
  if (shown[0] !== id) throw new Error("another id");
  registration.onprogress = () => {};
  registration.addEventListener("progress", () => {}, NONE);
  const records = await own(take(registration.matchAll(undefined, query)));
  if (records.length !== 2) throw new Error("other records");
  const record = await own(take(registration.match(server.url, query)));
  const { request } = record;
  if (request.url !== server.url) throw new Error("another URL");
  const response = await own(take(record.responseReady));
  // What is wrong is told without a look at built-ins, too.
  const wrong = [
    () => manager.fetch("", server.url, NONE),
    () => manager.fetch(id, iterable([]), NONE),
    () => manager.fetch(id, "http://[", NONE),
    () => manager.fetch(id, server.url, options),
    () => manager.fetch(),
    () => manager.fetch(Symbol(), server.url),
    () => manager.fetch(id, server.url, 1),
    () => manager.get(""),
    () => registration.match("http://["),
    () => registration.match(),
    () => BackgroundFetchManager.prototype.getIds.call({}),
  ];
  for (let i = 0; i < wrong.length; i++) {
    if (!(await own(rejects(wrong[i]())))) throw new Error(`call ${i} was not refused`);
  }
  for (const Interface of [BackgroundFetchManager, BackgroundFetchRecord, BackgroundFetchRegistration]) {
    try {
      new Interface();
      throw 1;
    } catch (error) {
      if (error === 1) throw new Error("no illegal constructor");
    }
  }
  if (!(await own(registration.abort()))) throw new Error("not aborted");
  return response;
}

/** A registration whose worker watches its globals. */
async function start(t) {
  await granted;
  const scope = `service_workers/watching-${newToken()}`;
  const registration = await navigator.serviceWorker.register("service_workers/watching.js", { scope });
  t.add_cleanup(() => registration.unregister());
  return await activated(registration);
}

/** Sends the worker a message, and gives its answer. */
function ask(registration, question) {
  const answer = new Promise((resolve) => {
    navigator.serviceWorker.addEventListener("message", ({ data }) => resolve(data), { once: true });
  });
  navigator.serviceWorker.startMessages();
  registration.active.postMessage(question);
  return answer;
}

promise_test(async (t) => {
  const registration = await start(t);
  const { backgroundFetch: manager } = registration;
  const server = new Server([{ size: 30 }]);
  const late = { request: new Request(new Server([{ holdHead: true }]).url, { method: "PUT" }) };
  await ask(registration, "watch");
  globalsWatch.start();
  let response;
  let found;
  try {
    response = await own(useEverything(manager, "id", server, late));
  } finally {
    found = globalsWatch.stop();
  }
  assert_array_equals(found, [], "in the page");
  assert_equals((await response.text()).length, 30);
  assert_array_equals(await ask(registration, "stop"), [], "in the worker");
}, "The interfaces look nothing up on built-ins");

test(() => {
  class Own extends Promise {}
  assert_true(Own.resolve().then(() => {}) instanceof Own);
  const promise = Promise.resolve();
  promise.constructor = Own;
  assert_equals(promise.constructor, Own);
  assert_true(promise.then(() => {}) instanceof Promise);
  assert_equals(Promise.prototype.constructor, Promise);
  for (const [object, key] of [[Promise.prototype, "constructor"], [Promise, Symbol.species]]) {
    assert_throws_js(TypeError, () => Object.defineProperty(object, key, { value: Own }));
  }
}, "What awaiting looks up cannot be redefined, but a script's own promises can have it");
