// META: timeout=long
// META: variant=?0
// META: variant=?1
// META: variant=?2
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// META: script=resources/globals.js
// What a page does to its globals does not reach the interfaces: they look nothing up on built-ins that
// scripts can change.
"use strict";

const { own, take } = globalsWatch;
const NONE = { __proto__: null };

/** An iterable that nothing is looked up for but its own members. */
function iterable(values) {
  return {
    __proto__: null,
    [Symbol.iterator]() {
      let next = 0;
      return {
        __proto__: null,
        next: () => ({ __proto__: null, done: next >= values.length, value: values[next++] }),
      };
    },
  };
}

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

/** Calls what a download needs. */
async function use(manager, id, url) {
  const registration = await own(manager.fetch(id, url, { title: "Title" }));
  if ((await own(manager.get(id))) !== registration) throw new Error("another registration");
  if ((await own(manager.getIds())).length !== 1) throw new Error("other ids");
  if ((await own(registration.matchAll())).length !== 1) throw new Error("other records");
  const record = await own(registration.match(url));
  if (record.request.url !== url) throw new Error("another URL");
  if ((await own(record.responseReady)).status !== 200) throw new Error("another status");
  if (!(await own(registration.abort()))) throw new Error("not aborted");
}

/** The interfaces that `use` itself calls. */
const USED = [
  BackgroundFetchManager,
  BackgroundFetchRecord,
  BackgroundFetchRegistration,
  Request,
  Response,
  URL,
].map(({ prototype }) => prototype);

/** What Deno's own promises look up, beneath the interfaces. */
const OF_PROMISES = ["Promise.prototype.constructor", "Promise[Symbol.species]"];

promise_test(async (t) => {
  const { backgroundFetch: manager } = await start(t);
  const { url } = new Server([{ size: 30, hold: 10 }]);
  const holders = new Map();
  for (const property of globalsWatch.properties()) {
    const { holder, name, descriptor } = property;
    if (holder === globalThis || USED.includes(holder)) continue;
    if (descriptor === undefined || OF_PROMISES.includes(name)) continue;
    if (!holders.has(holder)) holders.set(holder, []);
    holders.get(holder).push(property);
  }
  assert_greater_than(holders.size, 100);
  const failures = [];
  let number = 0;
  // A third of them in each variant of this page.
  const part = Number(location.search.slice(1));
  for (const properties of [...holders.values()].filter((_, index) => index % 3 === part)) {
    const { start, stop } = globalsWatch.breaking(properties);
    const id = `id-${number++}`;
    let failure = null;
    start();
    try {
      await own(use(manager, id, url));
    } catch (error) {
      failure = error;
    }
    stop();
    if (failure !== null) {
      failures.push(`${properties[0].name}: ${failure}`);
      await (await manager.get(id))?.abort();
    }
  }
  assert_array_equals(failures, []);
}, "A page that breaks every built-in in turn breaks none of the calls");
