// https://wicg.github.io/background-fetch/#background-fetch-manager
import * as engine from "./engine.js";
import { map } from "./primordials.js";
import {
  afterMicrotasks,
  checkBody,
  configureInterface,
  illegalConstructor,
  takeBody,
  toStoredRequest,
} from "./platform.js";
import { isDanglingMarkup } from "./dangling_markup.js";
import { fromText, toText } from "./dom_string.js";
import { registrationOf } from "./background_fetch_registration.js";
import {
  domString,
  fetchOptions,
  requestInfos,
  requiredArguments,
} from "./webidl.js";

const create = Symbol("create");

class BackgroundFetchManager {
  /** The service worker registration, as the engine knows it. */
  #owner;
  #hasActiveWorker;

  constructor(key = null, owner = null, hasActiveWorker = null) {
    if (key !== create) illegalConstructor();
    this.#owner = owner;
    this.#hasActiveWorker = hasActiveWorker;
  }

  async fetch(id, requests, options = undefined) {
    const owner = this.#owner;
    const prefix = "Failed to execute 'fetch' on 'BackgroundFetchManager'";
    requiredArguments(arguments.length, 2, prefix);
    id = toText(domString(id, prefix, "Argument 1"));
    requests = requestInfos(requests, prefix, "Argument 2");
    options = fetchOptions(options, prefix, "Argument 3");

    // The engine refuses an empty id before it checks any request.
    const stored = id === "" ? [] : toStoredRequests(requests);
    // The worker may have become active without this realm knowing yet. What counts is the state
    // that a script sees when it calls, not how fast the worker is.
    const key = await engine.fetch(owner, id, stored, options, this.#hasActiveWorker());
    // D13, the requests start only after the reactions to this promise have run.
    afterMicrotasks(() => engine.start(key));
    return registrationOf(key);
  }

  async get(id) {
    const owner = this.#owner;
    const prefix = "Failed to execute 'get' on 'BackgroundFetchManager'";
    requiredArguments(arguments.length, 1, prefix);
    id = toText(domString(id, prefix, "Argument 1"));
    const key = await engine.get(owner, id);
    return key === null ? undefined : registrationOf(key);
  }

  async getIds() {
    const { list } = await engine.getIds(this.#owner);
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
    engine.checkRequest(request);
    return request;
  });
  return map(stored, (request, index) => ({
    __proto__: null,
    request,
    body: takeBody(requests[index]),
  }));
}

/** The manager of a service worker registration, which the engine knows as `owner`. */
function newManager(owner, hasActiveWorker) {
  return new BackgroundFetchManager(create, owner, hasActiveWorker);
}

export { BackgroundFetchManager, newManager };
