// META: global=window,worker
// META: script=/resources/WebIDLParser.js
// META: script=/resources/idlharness.js
// META: timeout=long

// The interfaces of service workers that there are, caches among them, against their IDL. The others
// belong to fetch events, which there are none of.
"use strict";

const only = [
  "Cache",
  "CacheStorage",
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

promise_test(async () => {
  const load = async (name) => (await fetch(`/interfaces/${name}.idl`)).text();
  const array = new IdlArray();
  const serviceWorkers = await load("service-workers");
  array.add_idls(serviceWorkers, { only });
  array.add_untested_idls(serviceWorkers, { except: only });
  for (const name of ["fetch", "html", "dom"]) array.add_dependency_idls(await load(name));
  self.cache = await caches.open("idlharness");
  array.add_objects({
    Cache: ["cache"],
    CacheStorage: ["caches"],
    ServiceWorkerContainer: ["navigator.serviceWorker"],
  });
  if ("clients" in self) {
    const events = ["ExtendableEvent", "ExtendableMessageEvent", "InstallEvent"];
    array.add_objects({ Clients: ["clients"] });
    for (const name of events) array.add_objects({ [name]: [`new ${name}("type")`] });
  }
  array.test();
}, "the interfaces of service workers are as their IDL says");
