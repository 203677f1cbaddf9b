// The functions for an embedder's bootstrap script.
(function () {
"use strict";

const { core } = __bootstrap;
const { SafeWeakMap } = core.loadExtScript("ext:bgfetch_deno/primordials.js");
core.loadExtScript("ext:bgfetch_deno/promises.js");
core.loadExtScript("ext:bgfetch_deno/exceptions.js");
const {
  BackgroundFetchEvent,
  BackgroundFetchUpdateUIEvent,
} = core.loadExtScript("ext:bgfetch_deno/background_fetch_event.js");
const { BackgroundFetchManager, newManager } = core.loadExtScript(
  "ext:bgfetch_deno/background_fetch_manager.js",
);
const { BackgroundFetchRecord } = core.loadExtScript("ext:bgfetch_deno/background_fetch_record.js");
const {
  applyUpdates,
  BackgroundFetchRegistration,
} = core.loadExtScript("ext:bgfetch_deno/background_fetch_registration.js");
const { locationHref } = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { ExtendableEvent, reportRejections, setLifetime } = core.loadExtScript("ext:bgfetch_deno/extendable_event.js");
const { defineHandlers, fireEvents } = core.loadExtScript("ext:bgfetch_deno/service_worker.js");
const { exposeInterface, illegalInvocation } = core.loadExtScript("ext:bgfetch_deno/webidl.js");

/**
 * Adds Background Fetch to a realm: the interfaces on `global` and the attribute `backgroundFetch`
 * on `ServiceWorkerRegistration`. `scopeOf` returns the scope URL of a ServiceWorkerRegistration as
 * a string, and throws a TypeError for any other value. `hasActiveWorker` tells whether the realm
 * has seen that its worker is active.
 */
function install(
  global,
  ServiceWorkerRegistration,
  scopeOf,
  hasActiveWorker = () => true,
) {
  // Looked up before a page can replace what Deno uses for it.
  locationHref();
  exposeInterface(global, BackgroundFetchManager);
  exposeInterface(global, BackgroundFetchRecord);
  exposeInterface(global, BackgroundFetchRegistration);

  // [SameObject]
  const managers = new SafeWeakMap();
  const attribute = {
    get backgroundFetch() {
      const scope = scopeOf(this);
      let manager = managers.get(this);
      if (manager === undefined) {
        manager = newManager(scope, () => hasActiveWorker(this));
        managers.set(this, manager);
      }
      return manager;
    },
  };
  Object.defineProperty(
    ServiceWorkerRegistration.prototype,
    "backgroundFetch",
    Object.getOwnPropertyDescriptor(attribute, "backgroundFetch"),
  );
  applyUpdates();
}

/**
 * Adds the events to the realm of a service worker: their interfaces and handlers. The worker's
 * script must run before the event loop does. `onRejection` is called with the type of an event and
 * the reason for which a promise passed to its `waitUntil()` was rejected.
 */
function installServiceWorker(global, onRejection = () => {}) {
  reportRejections(onRejection);
  exposeInterface(global, ExtendableEvent);
  exposeInterface(global, BackgroundFetchEvent);
  exposeInterface(global, BackgroundFetchUpdateUIEvent);
  // Own properties, because the interface is that of a global.
  defineHandlers(global, (object) => {
    if ((object ?? global) !== global) throw illegalInvocation();
    return global;
  });
  fireEvents(global);
}

return { ExtendableEvent, install, installServiceWorker, setLifetime };
})();
