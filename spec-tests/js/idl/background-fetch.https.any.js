// META: global=window,worker
// META: script=/resources/WebIDLParser.js
// META: script=/resources/idlharness.js
// META: timeout=long

// The interfaces against the IDL of the standards.
"use strict";

// A worker's events are listened for before its script ends.
const activated = "registration" in self && !self.registration.active
  ? new Promise((resolve) => addEventListener("activate", resolve, { once: true }))
  : undefined;

/** A registration with an active worker. Dedicated and shared workers are in none. */
async function activeRegistration() {
  if ("registration" in self) {
    await activated;
    return self.registration;
  }
  if (!GLOBAL.isWindow()) return undefined;
  const registration = await navigator.serviceWorker.register("sw.js", {
    scope: "./",
  });
  return registration.active === null ? await navigator.serviceWorker.ready : registration;
}

idl_test(
  ["background-fetch"],
  ["service-workers", "fetch", "html", "dom", "image-resource"],
  async (array) => {
    const registration = await activeRegistration();
    if (registration === undefined) return;
    self.serviceWorkerRegistration = registration;
    self.manager = registration.backgroundFetch;
    // One that does not settle while it is looked at.
    const url = "/common/slow.py?delay=600000";
    self.fetchRegistration = await manager.fetch("idlharness", url);
    self.record = await fetchRegistration.match(url);
    array.add_objects({
      BackgroundFetchManager: ["manager"],
      BackgroundFetchRecord: ["record"],
      BackgroundFetchRegistration: ["fetchRegistration"],
      ServiceWorkerRegistration: ["serviceWorkerRegistration"],
    });
    if (!("clients" in self)) return;
    array.add_objects({
      ServiceWorkerGlobalScope: ["self"],
      BackgroundFetchEvent: [
        'new BackgroundFetchEvent("type", { registration: fetchRegistration })',
      ],
      BackgroundFetchUpdateUIEvent: [
        'new BackgroundFetchUpdateUIEvent("type", { registration: fetchRegistration })',
      ],
    });
  },
);
