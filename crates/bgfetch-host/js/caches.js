// https://w3c.github.io/ServiceWorker/#cache-objects
(function () {
"use strict";

const { core } = __bootstrap;
const {
  op_host_cache_close,
  op_host_cache_delete,
  op_host_cache_keys,
  op_host_cache_match_all,
  op_host_cache_put,
  op_host_caches_delete,
  op_host_caches_has,
  op_host_caches_keys,
  op_host_caches_match,
  op_host_caches_open,
} = core.ops;
const {
  allInto,
  freeze,
  getterOf,
  map,
  matches,
  parse,
  SafeFinalizationRegistry,
  some,
  split,
  stringify,
  stringTrim,
  TypeError,
  uncurryThis,
} = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const {
  AbortController,
  AbortSignal,
  asyncOp,
  configureInterface,
  fromStoredRequest,
  illegalConstructor,
  isUnusable,
  newResponse,
  onAbort,
  Request,
  takeResponseBody,
  toStoredRequest,
  toStoredResponse,
  webidl,
} = core.loadExtScript("ext:bgfetch_deno/deno.js");
const {
  cacheQueryOptions,
  dictionary,
  domString,
  exposeInterface,
  illegalInvocation,
  member,
  requestInfo,
  requiredArguments,
  sequence,
} = core.loadExtScript("ext:bgfetch_deno/webidl.js");
const { fetchResponse } = core.loadExtScript("ext:bgfetch_host/fetch.js");

const deleteEntries = asyncOp(op_host_cache_delete);
const keysOf = asyncOp(op_host_cache_keys);
const matchAll = asyncOp(op_host_cache_match_all);
const put = asyncOp(op_host_cache_put);
const deleteCache = asyncOp(op_host_caches_delete);
const hasCache = asyncOp(op_host_caches_has);
const cacheKeys = asyncOp(op_host_caches_keys);
const matchInCaches = asyncOp(op_host_caches_match);
const openCache = asyncOp(op_host_caches_open);
const abort = uncurryThis(AbortController.prototype.abort);
const signalOfController = getterOf(AbortController.prototype, "signal");
const signalOf = getterOf(Request.prototype, "signal");
const reasonOf = getterOf(AbortSignal.prototype, "reason");
const throwIfAborted = uncurryThis(AbortSignal.prototype.throwIfAborted);
const create = Symbol("create");

class Cache {
  /** The realm's number of the cache. */
  #cache;

  constructor(key = null, cache = null) {
    if (key !== create) illegalConstructor();
    this.#cache = cache;
  }

  async match(request, options = undefined) {
    const cache = this.#cache;
    const prefix = "Failed to execute 'match' on 'Cache'";
    requiredArguments(arguments.length, 1, prefix);
    request = requestInfo(request, prefix, "Argument 1");
    options = cacheQueryOptions(options, prefix, "Argument 2");
    const { list } = await matchAll(cache, toStoredRequest(request), options, true);
    return list.length === 0 ? undefined : toResponse(list[0]);
  }

  async matchAll(request = undefined, options = undefined) {
    const cache = this.#cache;
    const prefix = "Failed to execute 'matchAll' on 'Cache'";
    const query = optionalQuery(request, prefix);
    options = cacheQueryOptions(options, prefix, "Argument 2");
    const { list } = await matchAll(cache, query(), options, false);
    return freeze(map(list, toResponse));
  }

  async add(request) {
    const cache = this.#cache;
    const prefix = "Failed to execute 'add' on 'Cache'";
    requiredArguments(arguments.length, 1, prefix);
    await addAll(cache, [requestInfo(request, prefix, "Argument 1")], prefix);
  }

  async addAll(requests) {
    const cache = this.#cache;
    const prefix = "Failed to execute 'addAll' on 'Cache'";
    requiredArguments(arguments.length, 1, prefix);
    await addAll(cache, requestInfos(requests, prefix, "Argument 1"), prefix);
  }

  async put(request, response) {
    const cache = this.#cache;
    const prefix = "Failed to execute 'put' on 'Cache'";
    requiredArguments(arguments.length, 2, prefix);
    request = requestInfo(request, prefix, "Argument 1");
    response = webidl.converters.Response(response, prefix, "Argument 2");
    const stored = toStoredRequest(request);
    checkRequest(stored, prefix);
    response = checkResponse(response, prefix);
    await putAll(cache, [{ __proto__: null, request: stored, response }]);
  }

  async delete(request, options = undefined) {
    const cache = this.#cache;
    const prefix = "Failed to execute 'delete' on 'Cache'";
    requiredArguments(arguments.length, 1, prefix);
    request = requestInfo(request, prefix, "Argument 1");
    options = cacheQueryOptions(options, prefix, "Argument 2");
    return await deleteEntries(cache, toStoredRequest(request), options);
  }

  async keys(request = undefined, options = undefined) {
    const cache = this.#cache;
    const prefix = "Failed to execute 'keys' on 'Cache'";
    const query = optionalQuery(request, prefix);
    options = cacheQueryOptions(options, prefix, "Argument 2");
    const { list } = await keysOf(cache, query(), options);
    return freeze(map(list, (request) => fromStoredRequest(request, null)));
  }
}
configureInterface(Cache);

const requestInfos = sequence(requestInfo);

const multiOptions = dictionary("MultiCacheQueryOptions", [member("cacheName", domString)]);

class CacheStorage {
  #checked = true;

  constructor(key = null) {
    if (key !== create) illegalConstructor();
  }

  async match(request, options = undefined) {
    this.#checked;
    const prefix = "Failed to execute 'match' on 'CacheStorage'";
    requiredArguments(arguments.length, 1, prefix);
    request = requestInfo(request, prefix, "Argument 1");
    const query = cacheQueryOptions(options, prefix, "Argument 2");
    const { cacheName } = multiOptions(options, prefix, "Argument 2");
    const name = cacheName === undefined ? null : toKey(cacheName);
    const found = await matchInCaches(toStoredRequest(request), query, name);
    return found === null ? undefined : toResponse(found);
  }

  async has(cacheName) {
    this.#checked;
    const prefix = "Failed to execute 'has' on 'CacheStorage'";
    requiredArguments(arguments.length, 1, prefix);
    return await hasCache(toKey(domString(cacheName, prefix, "Argument 1")));
  }

  async open(cacheName) {
    this.#checked;
    const prefix = "Failed to execute 'open' on 'CacheStorage'";
    requiredArguments(arguments.length, 1, prefix);
    const key = toKey(domString(cacheName, prefix, "Argument 1"));
    const number = await openCache(key);
    const cache = new Cache(create, number);
    collected.register(cache, number);
    return cache;
  }

  async delete(cacheName) {
    this.#checked;
    const prefix = "Failed to execute 'delete' on 'CacheStorage'";
    requiredArguments(arguments.length, 1, prefix);
    return await deleteCache(toKey(domString(cacheName, prefix, "Argument 1")));
  }

  async keys() {
    this.#checked;
    const { list } = await cacheKeys();
    return map(list, (key) => parse(key));
  }

  static check(object) {
    if (!(#checked in object)) throw illegalInvocation();
  }
}
const { check } = CacheStorage;
delete CacheStorage.check;
configureInterface(CacheStorage);

const collected = new SafeFinalizationRegistry((cache) => op_host_cache_close(cache));

/** Rust's text for the name of a cache, which may be invalid Unicode. */
function toKey(name) {
  return stringify(name);
}

/** Returns what is matched against the entries' requests, or null without an argument. */
function optionalQuery(request, prefix) {
  if (request === undefined) return () => null;
  const info = requestInfo(request, prefix, "Argument 1");
  return () => toStoredRequest(info);
}

function toResponse({ head, body }) {
  return newResponse(head, body);
}

const HTTP = /^https?:/;
const VARY = /^vary$/i;

/** Put, step 4: caches hold only responses to HTTP GET requests. */
function checkRequest({ url, method }, prefix) {
  if (!matches(HTTP, url)) throw new TypeError(prefix + ": the URL is not an HTTP one");
  if (method !== "GET") throw new TypeError(prefix + ": the request's method is not GET");
}

/** Put, steps 6 to 8: a complete response whose body is still available. */
function checkResponse(response, prefix) {
  const { status, headers } = toStoredResponse(response);
  if (status === 206) throw new TypeError(prefix + ": the response is partial");
  const variesByAll = (header) =>
    matches(VARY, header[0]) && some(split(header[1], ","), (item) => stringTrim(item) === "*");
  if (some(headers, variesByAll)) {
    throw new TypeError(prefix + ": the response varies by everything");
  }
  if (isUnusable(response)) throw new TypeError(prefix + ": the response's body is already used");
  return response;
}

/** Fetches all of the requests and stores the responses, or nothing if one of them fails. */
async function addAll(cache, infos, prefix) {
  // Steps 3 and 5.3, before anything is fetched.
  const stored = map(infos, (info) => {
    const request = toStoredRequest(info);
    checkRequest(request, prefix);
    return request;
  });
  const controller = new AbortController();
  const signal = signalOfController(controller);
  const requests = map(infos, (info, index) => {
    if (typeof info !== "string") {
      // Aborting one of them aborts all.
      const own = signalOf(info);
      throwIfAborted(own);
      onAbort(own, () => abort(controller, reasonOf(own)));
    }
    return new Request(typeof info === "string" ? stored[index].url : info, {
      __proto__: null,
      signal,
    });
  });
  try {
    const entries = [];
    const fetched = map(requests, (request, index) => entryOf(request, stored[index], prefix));
    await allInto(entries, fetched);
    await putAll(cache, entries);
  } catch (error) {
    abort(controller);
    throw error;
  }
}

async function entryOf(request, stored, prefix) {
  const { response } = await fetchResponse(request, undefined);
  const { status, response_type } = toStoredResponse(response);
  if (response_type === "error" || status < 200 || status > 299) {
    throw new TypeError(prefix + ": the status is " + status);
  }
  return { __proto__: null, request: stored, response: checkResponse(response, prefix) };
}

/** Stores all of the entries and consumes their bodies, or stores none. */
async function putAll(cache, entries) {
  let failure = null;
  const onError = (error) => failure ??= { error };
  const stored = map(entries, ({ request, response }) => ({
    __proto__: null,
    request,
    response: toStoredResponse(response),
    body: takeResponseBody(response, onError),
  }));
  try {
    await put(cache, stored);
  } catch (error) {
    // A script's stream can fail with any value; the op only has its text.
    throw failure === null ? error : failure.error;
  }
}

/** Adds the interfaces and `caches` to a realm. */
function installCaches(global) {
  exposeInterface(global, Cache);
  exposeInterface(global, CacheStorage);
  const storage = new CacheStorage(create);
  const attribute = {
    get caches() {
      if ((this ?? global) !== global) throw illegalInvocation();
      return storage;
    },
  };
  Object.defineProperty(global, "caches", Object.getOwnPropertyDescriptor(attribute, "caches"));
}

return { installCaches };
})();
