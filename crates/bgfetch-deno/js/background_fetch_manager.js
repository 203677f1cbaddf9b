// https://wicg.github.io/background-fetch/#background-fetch-manager
(function () {
"use strict";

const { core } = __bootstrap;
const { op_bgfetch_fetch, op_bgfetch_get, op_bgfetch_get_ids, op_bgfetch_start } = core.ops;
const {
  afterMicrotasks,
  Request,
  takeBody,
  toStoredRequest,
  webidl,
} = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { isDanglingMarkup } = core.loadExtScript("ext:bgfetch_deno/dangling_markup.js");
const { registrationOf } = core.loadExtScript("ext:bgfetch_deno/background_fetch_registration.js");
const {
  domString,
  fetchOptions,
  requestInfos,
  requiredArguments,
} = core.loadExtScript("ext:bgfetch_deno/webidl.js");

const create = Symbol("create");

class BackgroundFetchManager {
  /** The scope of the service worker registration. */
  #scope;
  #hasActiveWorker;

  constructor(key = null, scope = null, hasActiveWorker = null) {
    if (key !== create) webidl.illegalConstructor();
    this.#scope = scope;
    this.#hasActiveWorker = hasActiveWorker;
  }

  async fetch(id, requests, options = {}) {
    const scope = this.#scope;
    const prefix = "Failed to execute 'fetch' on 'BackgroundFetchManager'";
    requiredArguments(arguments.length, 2, prefix);
    id = domString(id, prefix, "Argument 1");
    requests = requestInfos(requests, prefix, "Argument 2");
    options = fetchOptions(options, prefix, "Argument 3");

    // Step 4.1, each request as the Request constructor makes it, which uses a body up.
    const objects = requests.map((request) => new Request(request));
    const stored = objects.map((request, index) => ({
      request: {
        ...toStoredRequest(request),
        dangling_markup: isDanglingMarkup(requests[index]),
      },
      body: takeBody(request),
    }));
    // The worker may be activated by now, unknown to this realm: what a script sees when it calls
    // is what counts, not how fast the worker is.
    if (!this.#hasActiveWorker()) {
      throw new TypeError(`${prefix}: The registration has no active service worker`);
    }
    const key = await op_bgfetch_fetch(scope, id, stored, options);
    // Ruling 8b, the work begins when whoever waits for this promise has run.
    afterMicrotasks(() => op_bgfetch_start(key));
    return registrationOf(key);
  }

  async get(id) {
    const scope = this.#scope;
    const prefix = "Failed to execute 'get' on 'BackgroundFetchManager'";
    requiredArguments(arguments.length, 1, prefix);
    id = domString(id, prefix, "Argument 1");
    const key = await op_bgfetch_get(scope, id);
    return key === null ? undefined : registrationOf(key);
  }

  async getIds() {
    return await op_bgfetch_get_ids(this.#scope);
  }
}

webidl.configureInterface(BackgroundFetchManager);

/** The manager of the service worker registration with that scope. */
function newManager(scope, hasActiveWorker) {
  return new BackgroundFetchManager(create, scope, hasActiveWorker);
}

return { BackgroundFetchManager, newManager };
})();
