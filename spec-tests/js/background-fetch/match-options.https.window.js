// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// BackgroundFetchRegistration match() and BackgroundFetchRegistration matchAll() (D1); create
// record objects.
"use strict";

/** Fetches that end while their records are looked at, and those that are under way. */
function matching(run, description) {
  background_fetch_test(async ({ t, manager, id }) => {
    const server = new Server([{ holdHead: true }]);
    const fetch = (requests) => manager.fetch(id, requests);
    await run({ t, fetch, url: (name, query = "") => `${server.urlOf(name)}${query}` });
  }, description);
}

/**
 * Resolves once the bodies are sent. Chromium crashes if the progress of an upload is told after the
 * fetch was aborted.
 */
function sent(registration) {
  return until(registration, ({ uploaded, uploadTotal }) => uploaded === uploadTotal);
}

const methods = (records) => records.map(({ request }) => request.method);

matching(async ({ fetch, url }) => {
  const registration = await fetch([url("a"), url("b"), url("c")]);
  const record = await registration.match(url("b"));
  assert_true(record instanceof BackgroundFetchRecord);
  assert_equals(record.request.url, url("b"));
  assert_equals(await registration.match(url("nothing")), undefined);
  assert_array_equals(await registration.matchAll(url("nothing")), []);
}, "match() finds a record by its URL, and undefined otherwise");

matching(async ({ fetch, url }) => {
  const urls = [url("c"), url("a"), url("b"), url("a")];
  const registration = await fetch(urls);
  const records = await registration.matchAll();
  assert_array_equals(records.map(({ request }) => request.url), urls);
  assert_equals((await registration.matchAll(url("a"))).length, 2, "duplicates are all found");
}, "matchAll() has all records, in the order of the requests");

matching(async ({ fetch, url }) => {
  const registration = await fetch(url("a"));
  assert_not_equals(await registration.match(`${url("a")}#fragment`), undefined);
  assert_not_equals(await registration.match(new Request(url("a"))), undefined);
  assert_not_equals(await registration.match(new URL(url("a"))), undefined);
}, "Fragments do not matter, and a query is a Request or a string");

matching(async ({ fetch, url }) => {
  const registration = await fetch(url("a", "&one=1"));
  assert_equals(await registration.match(url("a")), undefined);
  assert_equals(await registration.match(url("b"), { ignoreSearch: true }), undefined);
  assert_not_equals(await registration.match(url("a"), { ignoreSearch: true }), undefined);
}, "ignoreSearch leaves the query out");

matching(async ({ fetch, url }) => {
  const post = new Request(url("a"), { method: "POST", body: "text" });
  const registration = await fetch([url("a"), post, new Request(url("a"), { method: "DELETE" })]);
  assert_array_equals(methods(await registration.matchAll(url("a"))), ["GET"]);
  const query = new Request(url("a"), { method: "DELETE" });
  assert_array_equals(methods(await registration.matchAll(query)), ["DELETE"]);
  const all = await registration.matchAll(query, { ignoreMethod: true });
  assert_array_equals(methods(all), ["GET", "POST", "DELETE"]);
  await sent(registration);
}, "Methods must be equal unless ignoreMethod is set");

background_fetch_test(async ({ manager, id }) => {
  const headers = [["Vary", "X-Own"]];
  const server = new Server([{ size: 5000, hold: 1000, headers }]);
  const request = new Request(server.url, { headers: { "X-Own": "one" } });
  const registration = await manager.fetch(id, request);
  await until(registration, ({ downloaded }) => downloaded > 0);
  assert_equals(await registration.match(server.url), undefined);
  const other = new Request(server.url, { headers: { "X-Own": "two" } });
  assert_equals(await registration.match(other), undefined);
  assert_not_equals(await registration.match(other, { ignoreVary: true }), undefined);
  const same = new Request(server.url, { headers: { "X-Own": "one" } });
  assert_not_equals(await registration.match(same), undefined);
}, "A response's Vary names headers that must be equal, unless ignoreVary is set");

matching(async ({ t, fetch, url }) => {
  const registration = await fetch(url("a"));
  await promise_rejects_js(t, TypeError, registration.match());
  await promise_rejects_js(t, TypeError, registration.match("https://"));
  await promise_rejects_js(t, TypeError, registration.matchAll("https://"));
}, "A query that is no request rejects");

matching(async ({ fetch, url }) => {
  const body = "a photo";
  const registration = await fetch(new Request(url("a"), { method: "POST", body }));
  const query = new Request(url("a"), { method: "POST", body: "another" });
  const record = await registration.match(query);
  assert_false(query.bodyUsed, "a query's body is left alone");
  assert_equals(await record.request.text(), body);
  const again = await registration.match(query);
  assert_equals(await again.request.text(), body, "each object reads it anew");
  await sent(registration);
}, "A record's request has its body");

matching(async ({ fetch, url }) => {
  const request = new Request(url("a"), {
    headers: { "X-Own": "yes" },
    credentials: "include",
    cache: "reload",
    redirect: "error",
  });
  const registration = await fetch(request);
  const { request: found } = await registration.match(url("a"));
  for (const name of ["url", "method", "mode", "credentials", "cache", "redirect"]) {
    assert_equals(found[name], request[name], name);
  }
  assert_equals(found.headers.get("x-own"), "yes");
}, "A record's request is a copy of what was fetched");

matching(async ({ fetch, url }) => {
  const registration = await fetch(url("a"));
  const [first, second] = [await registration.match(url("a")), await registration.match(url("a"))];
  assert_not_equals(first, second);
  assert_equals(first.request, first.request);
  const { responseReady } = first;
  responseReady.catch(() => {});
  assert_equals(first.responseReady, responseReady);
}, "Create record objects: each match makes an object, whose attributes stay the same");
