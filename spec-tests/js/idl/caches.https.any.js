// META: global=window,worker
// META: script=/resources/WebIDLParser.js
// META: script=/resources/idlharness.js
// META: timeout=long

// The interfaces of caches against their IDL; the rest of service workers is not looked at.
"use strict";

promise_test(async () => {
  const load = async (name) => (await fetch(`/interfaces/${name}.idl`)).text();
  const array = new IdlArray();
  array.add_idls(await load("service-workers"), { only: ["Cache", "CacheStorage"] });
  for (const name of ["fetch", "html", "dom"]) array.add_dependency_idls(await load(name));
  self.cache = await caches.open("idlharness");
  array.add_objects({ Cache: ["cache"], CacheStorage: ["caches"] });
  array.test();
}, "the interfaces of caches are as their IDL says");
