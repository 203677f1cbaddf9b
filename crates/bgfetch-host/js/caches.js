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
  fromStoredRequest,
  isUnusable,
  newResponse,
  Request,
  takeResponseBody,
  toStoredRequest,
  toStoredResponse,
  webidl,
} = core.loadExtScript("ext:bgfetch_deno/deno.js");
const {
  cacheQueryOptions,
  domString,
  exposeInterface,
  illegalInvocation,
  requestInfo,
  requiredArguments,
} = core.loadExtScript("ext:bgfetch_deno/webidl.js");

const { parse, stringify } = JSON;
const { freeze } = Object;
const create = Symbol("create");

class Cache {
  /** What the realm calls the cache. */
  #cache;

  constructor(key = null, cache = null) {
    if (key !== create) webidl.illegalConstructor();
    this.#cache = cache;
  }

  async match(request, options = {}) {
    const cache = this.#cache;
    const prefix = "Failed to execute 'match' on 'Cache'";
    requiredArguments(arguments.length, 1, prefix);
    request = requestInfo(request, prefix, "Argument 1");
    options = cacheQueryOptions(options, prefix, "Argument 2");
    const [found] = await op_host_cache_match_all(cache, toQuery(request), options, true);
    return found && toResponse(found);
  }

  async matchAll(request = undefined, options = {}) {
    const cache = this.#cache;
    const prefix = "Failed to execute 'matchAll' on 'Cache'";
    const query = request === undefined ? null : requestInfo(request, prefix, "Argument 1");
    options = cacheQueryOptions(options, prefix, "Argument 2");
    const all = await op_host_cache_match_all(cache, query && toQuery(query), options, false);
    return freeze(all.map(toResponse));
  }

  async put(request, response) {
    const cache = this.#cache;
    const prefix = "Failed to execute 'put' on 'Cache'";
    requiredArguments(arguments.length, 2, prefix);
    request = requestInfo(request, prefix, "Argument 1");
    response = webidl.converters.Response(response, prefix, "Argument 2");
    const stored = toQuery(request);
    checkRequest(stored, prefix);
    await putAll(cache, [{ request: stored, response: checkResponse(response, prefix) }]);
  }

  async delete(request, options = {}) {
    const cache = this.#cache;
    const prefix = "Failed to execute 'delete' on 'Cache'";
    requiredArguments(arguments.length, 1, prefix);
    request = requestInfo(request, prefix, "Argument 1");
    options = cacheQueryOptions(options, prefix, "Argument 2");
    return await op_host_cache_delete(cache, toQuery(request), options);
  }

  async keys(request = undefined, options = {}) {
    const cache = this.#cache;
    const prefix = "Failed to execute 'keys' on 'Cache'";
    const query = request === undefined ? null : requestInfo(request, prefix, "Argument 1");
    options = cacheQueryOptions(options, prefix, "Argument 2");
    const requests = await op_host_cache_keys(cache, query && toQuery(query), options);
    return freeze(requests.map((request) => fromStoredRequest(request, null)));
  }
}
webidl.configureInterface(Cache);

const multiOptions = webidl.createDictionaryConverter("MultiCacheQueryOptions", [
  { key: "cacheName", converter: webidl.converters.DOMString },
]);

class CacheStorage {
  #checked = true;

  constructor(key = null) {
    if (key !== create) webidl.illegalConstructor();
  }

  async match(request, options = {}) {
    this.#checked;
    const prefix = "Failed to execute 'match' on 'CacheStorage'";
    requiredArguments(arguments.length, 1, prefix);
    request = requestInfo(request, prefix, "Argument 1");
    const query = cacheQueryOptions(options, prefix, "Argument 2");
    const { cacheName } = multiOptions(options, prefix, "Argument 2");
    const name = cacheName === undefined ? null : toKey(cacheName);
    const found = await op_host_caches_match(toQuery(request), query, name);
    return found === null ? undefined : toResponse(found);
  }

  async has(cacheName) {
    this.#checked;
    const prefix = "Failed to execute 'has' on 'CacheStorage'";
    requiredArguments(arguments.length, 1, prefix);
    return await op_host_caches_has(toKey(domString(cacheName, prefix, "Argument 1")));
  }

  async open(cacheName) {
    this.#checked;
    const prefix = "Failed to execute 'open' on 'CacheStorage'";
    requiredArguments(arguments.length, 1, prefix);
    const key = toKey(domString(cacheName, prefix, "Argument 1"));
    const number = await op_host_caches_open(key);
    const cache = new Cache(create, number);
    collected.register(cache, number);
    return cache;
  }

  async delete(cacheName) {
    this.#checked;
    const prefix = "Failed to execute 'delete' on 'CacheStorage'";
    requiredArguments(arguments.length, 1, prefix);
    return await op_host_caches_delete(toKey(domString(cacheName, prefix, "Argument 1")));
  }

  async keys() {
    this.#checked;
    const keys = await op_host_caches_keys();
    return keys.map((key) => parse(key));
  }

  static check(object) {
    if (!(#checked in object)) throw illegalInvocation();
  }
}
const { check } = CacheStorage;
delete CacheStorage.check;
webidl.configureInterface(CacheStorage);

const collected = new FinalizationRegistry((cache) => op_host_cache_close(cache));

/** The text that Rust has for a cache's name, which may be no valid Unicode. */
function toKey(name) {
  return stringify(name);
}

/** What is matched against the entries' requests. A Request's body is left alone. */
function toQuery(request) {
  return toStoredRequest(typeof request === "string" ? new Request(request) : request);
}

function toResponse({ head, body }) {
  return newResponse(head, body);
}

/** Put, step 4: caches hold what HTTP's GET gives. */
function checkRequest({ url, method }, prefix) {
  if (!/^https?:/.test(url)) throw new TypeError(`${prefix}: the URL is not an HTTP one`);
  if (method !== "GET") throw new TypeError(`${prefix}: the request's method is not GET`);
}

/** Put, steps 6 to 8: a response that can stand for the whole, and whose body is there. */
function checkResponse(response, prefix) {
  const { status, headers } = toStoredResponse(response);
  if (status === 206) throw new TypeError(`${prefix}: the response is partial`);
  for (const [name, value] of headers) {
    if (/^vary$/i.test(name) && value.split(",").some((item) => item.trim() === "*")) {
      throw new TypeError(`${prefix}: the response varies by everything`);
    }
  }
  if (isUnusable(response)) throw new TypeError(`${prefix}: the response's body is used already`);
  return response;
}

/** Puts all of the entries, whose bodies are used up, or none. */
async function putAll(cache, entries) {
  let failure = null;
  const onError = (error) => failure ??= { error };
  const stored = entries.map(({ request, response }) => ({
    request,
    response: toStoredResponse(response),
    body: takeResponseBody(response, onError),
  }));
  try {
    await op_host_cache_put(cache, stored);
  } catch (error) {
    // A script's stream fails with any value, of which the op knows the text.
    throw failure === null ? error : failure.error;
  }
}

/** Brings the interfaces and `caches` to a realm. */
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
