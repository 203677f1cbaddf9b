// META: global=window,dedicatedworker,sharedworker,serviceworker
// The overview page's feature test, and which interfaces the spec's IDL exposes where (API).
"use strict";

test(() => {
  assert_true("BackgroundFetchManager" in self);
}, "BackgroundFetchManager shows that the API is there");

test(() => {
  assert_true("BackgroundFetchRegistration" in self);
  assert_true("BackgroundFetchRecord" in self);
}, "Registrations and records are exposed in every global");

test(() => {
  const isServiceWorker = "ServiceWorkerGlobalScope" in self;
  assert_equals("BackgroundFetchEvent" in self, isServiceWorker);
  assert_equals("BackgroundFetchUpdateUIEvent" in self, isServiceWorker);
  for (const type of ["success", "fail", "abort", "click"]) {
    assert_equals(`onbackgroundfetch${type}` in self, isServiceWorker, type);
  }
}, "Events are exposed in service workers alone");

test(() => {
  for (const name of ["Manager", "Registration", "Record"]) {
    assert_throws_js(TypeError, () => new self[`BackgroundFetch${name}`](), name);
  }
}, "No script makes a manager, a registration or a record");

test(() => {
  for (const name of ["id", "downloaded", "uploaded", "result", "recordsAvailable"]) {
    const { get } = Object.getOwnPropertyDescriptor(BackgroundFetchRegistration.prototype, name);
    assert_throws_js(TypeError, () => get.call({}), name);
  }
}, "Attributes are those of a registration alone");

promise_test(async (t) => {
  const { fetch, get, getIds } = BackgroundFetchManager.prototype;
  await promise_rejects_js(t, TypeError, fetch.call({}, "id", "/"));
  await promise_rejects_js(t, TypeError, get.call({}, "id"));
  await promise_rejects_js(t, TypeError, getIds.call({}));
}, "Methods called on another object reject");

if ("ServiceWorkerGlobalScope" in self) {
  test(() => {
    assert_true(registration.backgroundFetch instanceof BackgroundFetchManager);
    assert_equals(registration.backgroundFetch, registration.backgroundFetch);
  }, "A worker's registration has one manager");
}
