// The interfaces against the IDL of the standards, by the harness of web-platform-tests. Runs after
// testharness.js, webidl2.js and idlharness.js, with the IDL in `idls` by the names of the files.
// `kind` is the interface of the global object.
"use strict";

// What the harness waits for, or reports to, where a worker's host would be.
if (kind === "ServiceWorkerGlobalScope") dispatchEvent(new Event("install"));
if (kind === "DedicatedWorkerGlobalScope") self.postMessage = () => {};

setup({ explicit_done: true });

globalThis.results = new Promise((resolve) => {
  add_completion_callback((tests, status) => {
    const failed = tests.filter((test) => test.status !== test.PASS);
    resolve({
      status: status.status,
      message: status.message,
      passed: tests.length - failed.length,
      failed: failed.map((test) => `${test.name}: ${test.message}`),
    });
  });
});

/** Objects of a realm that has a service worker registration; others have the interfaces alone. */
async function objects() {
  const registration = self.registration ?? await self.navigator?.serviceWorker.ready;
  if (registration === undefined) return {};
  self.manager = registration.backgroundFetch;
  self.serviceWorkerRegistration = registration;
  self.fetchRegistration = await manager.fetch("idlharness", "/pending");
  self.record = await fetchRegistration.match("/pending");
  self.cache = await caches.open("idlharness");
  const found = {
    Cache: ["cache"],
    CacheStorage: ["caches"],
    BackgroundFetchManager: ["manager"],
    BackgroundFetchRecord: ["record"],
    BackgroundFetchRegistration: ["fetchRegistration"],
    ServiceWorkerRegistration: ["serviceWorkerRegistration"],
  };
  if (kind === "ServiceWorkerGlobalScope") {
    found.ServiceWorkerGlobalScope = ["self"];
    for (const name of ["BackgroundFetchEvent", "BackgroundFetchUpdateUIEvent"]) {
      found[name] = [`new ${name}("type", { registration: fetchRegistration })`];
    }
  }
  return found;
}

promise_test(async () => {
  const array = new IdlArray();
  array.add_idls(idls["background-fetch"]);
  array.add_idls(idls["service-workers"], { only: ["Cache", "CacheStorage"] });
  for (const name of ["service-workers", "fetch", "html", "dom", "image-resource"]) {
    array.add_dependency_idls(idls[name]);
  }
  array.add_objects(await objects());
  array.test();
  done();
}, "The objects are made");
