// https://wicg.github.io/background-fetch/#background-fetch-manager
(function () {
"use strict";

const { core } = __bootstrap;
const {
  op_bgfetch_check_request,
  op_bgfetch_fetch,
  op_bgfetch_get,
  op_bgfetch_get_ids,
  op_bgfetch_start,
} = core.ops;
const { map } = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const {
  afterMicrotasks,
  asyncOp,
  checkBody,
  configureInterface,
  illegalConstructor,
  takeBody,
  toStoredRequest,
} = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { isDanglingMarkup } = core.loadExtScript("ext:bgfetch_deno/dangling_markup.js");
const { fromText, toText } = core.loadExtScript("ext:bgfetch_deno/dom_string.js");
const { registrationOf } = core.loadExtScript("ext:bgfetch_deno/background_fetch_registration.js");
const {
  domString,
  fetchOptions,
  requestInfos,
  requiredArguments,
} = core.loadExtScript("ext:bgfetch_deno/webidl.js");

const fetchFromEngine = asyncOp(op_bgfetch_fetch);
const getFromEngine = asyncOp(op_bgfetch_get);
const getIdsFromEngine = asyncOp(op_bgfetch_get_ids);
const create = Symbol("create");

class BackgroundFetchManager {
  /** The scope of the service worker registration. */
  #scope;
  #hasActiveWorker;

  constructor(key = null, scope = null, hasActiveWorker = null) {
    if (key !== create) illegalConstructor();
    this.#scope = scope;
    this.#hasActiveWorker = hasActiveWorker;
  }

  async fetch(id, requests, options = undefined) {
    const scope = this.#scope;
    const prefix = "Failed to execute 'fetch' on 'BackgroundFetchManager'";
    requiredArguments(arguments.length, 2, prefix);
    id = toText(domString(id, prefix, "Argument 1"));
    requests = requestInfos(requests, prefix, "Argument 2");
    options = fetchOptions(options, prefix, "Argument 3");

    // The engine refuses an empty id before it checks any request.
    const stored = id === "" ? [] : toStoredRequests(requests);
    // The worker may have become active without this realm knowing yet. What counts is the state
    // that a script sees when it calls, not how fast the worker is.
    const key = await fetchFromEngine(scope, id, stored, options, this.#hasActiveWorker());
    // D13, the requests start only after the reactions to this promise have run.
    afterMicrotasks(() => op_bgfetch_start(key));
    return registrationOf(key);
  }

  async get(id) {
    const scope = this.#scope;
    const prefix = "Failed to execute 'get' on 'BackgroundFetchManager'";
    requiredArguments(arguments.length, 1, prefix);
    id = toText(domString(id, prefix, "Argument 1"));
    const key = await getFromEngine(scope, id);
    return key === null ? undefined : registrationOf(key);
  }

  async getIds() {
    const { list } = await getIdsFromEngine(this.#scope);
    return map(list, fromText);
  }
}

configureInterface(BackgroundFetchManager);

/**
 * Steps 4 and 6, the requests as the Request constructor creates them. Each is checked before the
 * next one is created, and no body is consumed before all requests are valid.
 */
function toStoredRequests(requests) {
  const stored = map(requests, (info) => {
    const request = toStoredRequest(info);
    request.dangling_markup = isDanglingMarkup(info);
    checkBody(info);
    op_bgfetch_check_request(request);
    return request;
  });
  return map(stored, (request, index) => ({
    __proto__: null,
    request,
    body: takeBody(requests[index]),
  }));
}

/** The manager of the service worker registration with that scope. */
function newManager(scope, hasActiveWorker) {
  return new BackgroundFetchManager(create, scope, hasActiveWorker);
}

return { BackgroundFetchManager, newManager };
})();
