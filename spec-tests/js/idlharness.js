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
    // There are no fetch events, and so nothing to preload for them.
    const known = (test) => test.name.includes("navigationPreload");
    const failed = tests.filter((test) => test.status !== test.PASS && !known(test));
    resolve({
      status: status.status,
      message: status.message,
      passed: tests.length - failed.length,
      failed: failed.map((test) => `${test.name}: ${test.message}`),
    });
  });
});

/** The interfaces of service workers that there are. Others belong to fetch events, which are not. */
const SERVICE_WORKERS = [
  "Client",
  "Clients",
  "ExtendableEvent",
  "ExtendableMessageEvent",
  "InstallEvent",
  "ServiceWorker",
  "ServiceWorkerContainer",
  "ServiceWorkerRegistration",
  "WindowClient",
];

/** Objects of a realm that has a service worker registration; others have the interfaces alone. */
async function objects() {
  const registration = self.registration ?? await self.navigator?.serviceWorker.ready;
  if (registration === undefined) return {};
  self.manager = registration.backgroundFetch;
  self.serviceWorkerRegistration = registration;
  self.fetchRegistration = await manager.fetch("idlharness", "/pending");
  self.record = await fetchRegistration.match("/pending");
  const found = {
    BackgroundFetchManager: ["manager"],
    BackgroundFetchRecord: ["record"],
    BackgroundFetchRegistration: ["fetchRegistration"],
    ServiceWorkerContainer: ["navigator.serviceWorker"],
    ServiceWorkerRegistration: ["serviceWorkerRegistration"],
  };
  if (kind === "ServiceWorkerGlobalScope") {
    found.ServiceWorkerGlobalScope = ["self"];
    for (const name of ["BackgroundFetchEvent", "BackgroundFetchUpdateUIEvent"]) {
      found[name] = [`new ${name}("type", { registration: fetchRegistration })`];
    }
    found.Clients = ["clients"];
    for (const name of ["ExtendableEvent", "ExtendableMessageEvent", "InstallEvent"]) {
      found[name] = [`new ${name}("type")`];
    }
  }
  return found;
}

promise_test(async () => {
  try {
    const array = new IdlArray();
    array.add_idls(idls["background-fetch"]);
    array.add_idls(idls["service-workers"], { only: SERVICE_WORKERS });
    array.add_untested_idls(idls["service-workers"], { except: SERVICE_WORKERS });
    for (const name of ["fetch", "html", "dom", "image-resource"]) {
      array.add_dependency_idls(idls[name]);
    }
    array.add_objects(await objects());
    array.test();
  } finally {
    done();
  }
}, "The objects are made");
