// What `await` looks up on the promises of a realm.
(function () {
"use strict";

const { core } = __bootstrap;
const { define, defineProperty, Promise } = core.loadExtScript("ext:bgfetch_deno/primordials.js");

/**
 * Fixes what the language looks up when a promise is awaited or followed; the promises of Deno's ops
 * depend on it. `constructor` is an accessor, because scripts could not assign it to their own promises
 * if it were read-only.
 */
function fixPromises() {
  const { prototype } = Promise;
  defineProperty(prototype, "constructor", {
    __proto__: null,
    get: () => Promise,
    set(value) {
      if (this !== prototype) define(this, "constructor", value, true);
    },
    configurable: false,
  });
  defineProperty(Promise, Symbol.species, { __proto__: null, configurable: false });
}

fixPromises();
})();
