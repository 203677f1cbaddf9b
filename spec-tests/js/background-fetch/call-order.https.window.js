// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// The order in which BackgroundFetchManager fetch() and BackgroundFetchRegistration match() look at
// what they are given (D11).
"use strict";

const upload = () => new Request("/upload", { method: "POST", body: "text" });

background_fetch_test(async ({ t, manager, id }) => {
  const wrong = [
    new Request("/", { mode: "no-cors" }),
    "http://[",
    "https://user@a.test/",
    `https://${location.hostname}:25/`,
  ];
  for (const request of wrong) {
    const [before, after] = [upload(), upload()];
    await promise_rejects_js(t, TypeError, manager.fetch(id, [before, request, after]));
    assert_false(before.bodyUsed, `${request}: before`);
    assert_false(after.bodyUsed, `${request}: after`);
  }
}, "No body is used up where another request is wrong");

background_fetch_test(async ({ t, manager, id, settled }) => {
  const used = upload();
  await used.text();
  const later = upload();
  await promise_rejects_js(t, TypeError, manager.fetch(id, [used, later]));
  assert_false(later.bodyUsed);
  const good = new Request(new Server([{ size: 10 }]).url, { method: "POST", body: "text" });
  await manager.fetch(id, good);
  assert_true(good.bodyUsed);
  await settled();
}, "A body that is used already refuses the call");

background_fetch_test(async ({ t, id }) => {
  const scope = `service_workers/no-worker-${id}`;
  const script = "service_workers/never-installed.js";
  const registration = await navigator.serviceWorker.register(script, { scope });
  t.add_cleanup(() => setPermission("background-fetch", "granted"));
  const { backgroundFetch } = registration;
  await promise_rejects_js(t, TypeError, backgroundFetch.fetch(id, "/"));
  await setPermission("background-fetch", "denied");
  await promise_rejects_dom(t, "NotAllowedError", backgroundFetch.fetch(id, "/"));
  await promise_rejects_js(t, TypeError, backgroundFetch.fetch(id, []), "no requests come first");
}, "A denied permission is told before a missing worker, and after the arguments");

background_fetch_test(async ({ t, manager, id, settled }) => {
  const registration = await manager.fetch(id, new Server([{ size: 10 }]).url);
  await settled();
  await over(registration);
  for (const query of ["http://[", "https://user@a.test/", "/"]) {
    await promise_rejects_dom(t, "InvalidStateError", registration.match(query));
    await promise_rejects_dom(t, "InvalidStateError", registration.matchAll(query));
  }
  await promise_rejects_js(t, TypeError, registration.match(), "an argument is missing");
}, "Records that are gone are told before a query that is no URL");

background_fetch_test(async ({ manager, id }) => {
  const server = new Server([{ holdHead: true }]);
  for (const keepalive of [true, false]) {
    const request = new Request(server.urlOf(keepalive), { keepalive });
    const registration = await manager.fetch(`${id}-${keepalive}`, request);
    assert_equals((await registration.match(request)).request.keepalive, keepalive);
  }
}, "A record's request keeps its keepalive");
