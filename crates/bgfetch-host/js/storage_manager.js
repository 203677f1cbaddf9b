// https://storage.spec.whatwg.org/#storagemanager: how much a site stores. Storage is kept until
// the site deletes it, as in persistent mode.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_host_storage_estimate } = core.ops;
const { asyncOp, configureInterface, illegalConstructor } = core.loadExtScript(
  "ext:bgfetch_deno/deno.js",
);

const estimate = asyncOp(op_host_storage_estimate);
const create = Symbol("create");

class StorageManager {
  #checked = true;

  constructor(key = null) {
    if (key !== create) illegalConstructor();
  }

  async persisted() {
    this.#checked;
    return true;
  }

  async persist() {
    this.#checked;
    return true;
  }

  async estimate() {
    this.#checked;
    const { usage, quota } = await estimate();
    return { usage, quota };
  }
}
configureInterface(StorageManager);

/** The interface for a kind of realm, and its instance. */
function makeStorageManager(kind) {
  // [Exposed=Window]
  if (kind !== "Window") delete StorageManager.prototype.persist;
  return { StorageManager, storage: new StorageManager(create) };
}

return { makeStorageManager };
})();
