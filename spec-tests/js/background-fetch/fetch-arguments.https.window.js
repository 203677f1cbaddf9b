// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// BackgroundFetchManager fetch(): what it refuses, with which error, in which order (D11, D12).
"use strict";

function rejects(error, description, argumentsOf) {
  background_fetch_test(async ({ t, manager, id }) => {
    const call = Promise.resolve(argumentsOf(id)).then((args) => manager.fetch(...args));
    if (error === QuotaExceededError) {
      await promise_rejects_quotaexceedederror(t, call, null, null);
    } else if (typeof error === "string") {
      await promise_rejects_dom(t, error, call);
    } else {
      await promise_rejects_js(t, error, call);
    }
    assert_array_equals(await manager.getIds(), [], "nothing was registered");
  }, `fetch() rejects ${description}`);
}

rejects(TypeError, "a call without requests", (id) => [id]);
rejects(TypeError, "an empty list of requests", (id) => [id, []]);
rejects(TypeError, "a URL that cannot be parsed", (id) => [id, "https://"]);
rejects(TypeError, "a list in which one URL cannot be parsed", (id) => [id, ["/", "https://"]]);
rejects(TypeError, "mode no-cors", (id) => [id, new Request("/", { mode: "no-cors" })]);
rejects(TypeError, "mode no-cors anywhere in the list", (id) => {
  return [id, ["/", new Request("/", { mode: "no-cors" })]];
});
rejects(TypeError, "a user in the URL", (id) => [id, `https://user@${location.host}/`]);
rejects(TypeError, "a password in the URL", (id) => [id, `https://:word@${location.host}/`]);
rejects(TypeError, "a blocked port", (id) => [id, "https://example.test:25/"]);
rejects(TypeError, "a blocked port anywhere in the list", (id) => {
  return [id, ["/", "https://example.test:6667/"]];
});
rejects(TypeError, "icons that are no sequence", (id) => [id, "/", { icons: 1 }]);
rejects(TypeError, "an icon without src", (id) => [id, "/", { icons: [{ type: "image/png" }] }]);
rejects(QuotaExceededError, "a downloadTotal that does not fit the quota", (id) => {
  return [id, "/", { downloadTotal: 2 ** 52 }];
});

background_fetch_test(async ({ t, manager, id }) => {
  const request = new Request("/", { method: "POST", body: "used" });
  await request.text();
  await promise_rejects_js(t, TypeError, manager.fetch(id, request));
}, "fetch() rejects a request whose body was used, as the Request constructor does");

background_fetch_test(async ({ t, manager, id }) => {
  const error = new Error("thrown by the iterator");
  const requests = { [Symbol.iterator]() { throw error; } };
  await promise_rejects_exactly(t, error, manager.fetch(id, requests));
}, "fetch() rejects with what an argument throws");

background_fetch_test(async ({ t, manager, id }) => {
  await setPermission("background-fetch", "denied");
  t.add_cleanup(() => setPermission("background-fetch", "granted"));
  await promise_rejects_dom(t, "NotAllowedError", manager.fetch(id, "/"));
  await promise_rejects_js(t, TypeError, manager.fetch(id, []), "arguments are looked at first");
}, "fetch() rejects with NotAllowedError where the permission is denied");

background_fetch_test(async ({ manager, id }) => {
  const { url } = new Server([{ holdHead: true }]);
  const calls = [1, 2, 3, 4, 5].map(() => manager.fetch(id, url));
  const outcomes = await Promise.allSettled(calls);
  const [fulfilled, ...more] = outcomes.filter(({ status }) => status === "fulfilled");
  assert_equals(more.length, 0, "one call has the id");
  assert_true(fulfilled.value instanceof BackgroundFetchRegistration);
  for (const { reason } of outcomes.filter(({ status }) => status === "rejected")) {
    assert_equals(reason.constructor, TypeError);
  }
}, "Of five concurrent calls with one id one succeeds");

background_fetch_test(async ({ t, manager, id, settled }) => {
  const server = new Server([{ size: 10, holdHead: true }, { size: 10 }]);
  await manager.fetch(id, server.url);
  await promise_rejects_js(t, TypeError, manager.fetch(id, server.url));
  await server.release();
  await settled();
  await manager.fetch(id, server.url);
  await settled();
}, "An id is taken while its fetch is active, and free afterwards");

promise_test(async (t) => {
  const registration = await navigator.serviceWorker.register(
    "service_workers/never-installed.js",
    { scope: "service_workers/never-installed" },
  );
  assert_equals(registration.active, null);
  const { backgroundFetch: manager } = registration;
  await promise_rejects_js(t, TypeError, manager.fetch("id", "/"));
}, "fetch() rejects without an active worker");

background_fetch_test(async ({ t, manager, id }) => {
  const { quota } = await navigator.storage.estimate();
  const half = Math.floor(quota / 2) + 1;
  const { url } = new Server([{ holdHead: true }]);
  const first = await manager.fetch(id, url, { downloadTotal: half });
  const second = () => manager.fetch(`${id}-2`, url, { downloadTotal: half });
  await promise_rejects_quotaexceedederror(t, second(), null, null);
  await first.abort();
  await second();
}, "D12: two fetches are never promised the same bytes");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 10 }]);
  const request = new Request(server.url, { headers: { "X-Own": "yes" } });
  await manager.fetch(id, { [Symbol.iterator]: () => [request, server.url].values() });
  const report = await settled();
  assert_equals(report.records.length, 2, "any iterable is a list");
  const requests = await server.requests(2);
  assert_array_equals(requests.map(({ headers }) => headers["x-own"] ?? "no").sort(), ["no", "yes"]);
}, "fetch() takes Requests, strings and lists of both");

background_fetch_test(async ({ t, manager, id }) => {
  const { url } = new Server([{ holdHead: true }]);
  const icons = (count) => Array(count).fill({ src: "/icon.png" });
  const refused = (...args) => promise_rejects_js(t, TypeError, manager.fetch(...args));
  await refused("i".repeat(4097), url);
  await refused(id, url, { title: "t".repeat(16_385) });
  await refused(id, url, { icons: icons(65) });
  await refused(id, new Request(url, { headers: { "X-Own": "h".repeat(2 ** 18) } }));
  assert_equals(await manager.get(id), undefined);
  await manager.fetch(id, url, { title: "t".repeat(16_384), icons: icons(64) });
}, "D47: what no page needs is refused");
