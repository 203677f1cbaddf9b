// The package: engines, and service worker registrations whose page and worker are both the program.
import { setImmediate } from "node:timers";
import { fileURLToPath } from "node:url";
import { BackgroundFetchEvent, BackgroundFetchUpdateUIEvent } from "./background_fetch_event.js";
import { BackgroundFetchManager, newManager } from "./background_fetch_manager.js";
import { BackgroundFetchRecord, numberOf } from "./background_fetch_record.js";
import { applyUpdates, BackgroundFetchRegistration, forget } from "./background_fetch_registration.js";
import { closeOwner, exportRecord, newOwner } from "./engine.js";
import { toError } from "./exceptions.js";
import { ExtendableEvent, reportRejections } from "./extendable_event.js";
import * as native from "./native.js";
import { illegalConstructor } from "./platform.js";
import { ask, listen, queueHandle, ref, unref } from "./queue.js";
import { defineHandlers, fireEvents } from "./service_worker.js";
import { illegalInvocation } from "./webidl.js";

const create = Symbol("create");

applyUpdates();
reportRejections((type, reason) => {
  process.emitWarning(`A promise that ${type} waits for was rejected: ${describe(reason)}`);
});

function describe(reason) {
  return reason instanceof Error ? reason.stack : String(reason);
}

class Registration extends EventTarget {
  #owner;
  #scope;
  #manager;
  #isStarted = false;

  constructor(key, owner, scope) {
    if (key !== create) illegalConstructor();
    super();
    this.#owner = owner;
    this.#scope = scope;
    this.#manager = newManager(owner, () => true);
  }

  static is(object) {
    return typeof object === "object" && object !== null && #owner in object;
  }

  get scope() {
    return this.#scope;
  }

  get backgroundFetch() {
    return this.#manager;
  }

  async start() {
    if (this.#isStarted) return;
    this.#isStarted = true;
    fireEvents(this, this.#owner);
    await ask(native.startRegistration, this.#owner.handle);
  }

  async unregister() {
    await ask(native.unregister, this.#owner.handle);
  }
}

const { is: isRegistration } = Registration;
delete Registration.is;
defineHandlers(Registration.prototype, (object) => {
  if (!isRegistration(object)) throw illegalInvocation();
  return object;
});

class Engine {
  #handle;
  #options;
  #owners = [];
  /** The handles of its fetches by their identities. */
  #fetches = new Map();
  #isReferenced = false;
  #closing = null;
  #closed;

  constructor(key, handle, options) {
    if (key !== create) illegalConstructor();
    this.#handle = handle;
    this.#options = options;
    const { promise, resolve, reject } = withResolvers();
    // Nobody has to ask for it.
    promise.catch(() => {});
    this.#closed = promise;
    const settle = (error) => error === null ? resolve() : reject(toError(error));
    listen(handle, (kind, value) => {
      if (kind === "closed") this.#end(value, settle);
      else answer(this.#options, kind, value);
    });
  }

  #end(error, settle) {
    for (const owner of this.#owners) closeOwner(owner);
    for (const fetch of this.#fetches.values()) forget(fetch);
    this.unref();
    listen(this.#handle);
    native.freeEngine(this.#handle);
    settle(error);
  }

  get closed() {
    return this.#closed;
  }

  async register(scope, options = {}) {
    const { href: url, origin } = new URL(scope);
    const { principal = "user", storageKey = origin } = options;
    const handle = await ask(native.register, this.#handle, storageKey, url);
    // It acts for a page at its scope, unless the program acts for its user.
    if (principal === "user") native.setPrincipal(handle, JSON.stringify(principal));
    else if (principal !== "page") throw new TypeError(`'${principal}' is no principal`);
    const owner = newOwner(handle, this.#fetches);
    this.#owners.push(owner);
    return new Registration(create, owner, url);
  }

  async jobs() {
    return (await ask(native.jobs, this.#handle)).map(toJob);
  }

  async pause({ key }) {
    await ask(native.pause, this.#handle, key);
  }

  async resume({ key }) {
    await ask(native.resume, this.#handle, key);
  }

  async abort({ key }) {
    return await ask(native.abortJob, this.#handle, key);
  }

  async click({ key }) {
    await ask(native.click, this.#handle, key);
  }

  async dismiss({ key }) {
    await ask(native.dismiss, this.#handle, key);
  }

  async setRate(rate) {
    await ask(native.setRate, this.#handle, rate);
  }

  async clear(storageKey) {
    await ask(native.clear, this.#handle, storageKey);
  }

  setOnline(online, { metered = false } = {}) {
    try {
      native.setOnline(this.#handle, online, metered);
    } catch (error) {
      throw toError(error);
    }
  }

  ref() {
    if (this.#isReferenced) return;
    this.#isReferenced = true;
    ref();
  }

  unref() {
    if (!this.#isReferenced) return;
    this.#isReferenced = false;
    unref();
  }

  close() {
    return this.#closing ??= this.#close();
  }

  async #close() {
    ref();
    try {
      // What the program has settled is told first, so that no event comes again for that reason.
      await new Promise((resolve) => setImmediate(resolve));
      await ask(native.closeEngine, this.#handle);
      await this.#closed;
    } finally {
      unref();
    }
  }

  async [Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose")]() {
    await this.close();
  }
}

/** Answers what the engine asks. */
async function answer(options, kind, { question, request, storageKey }) {
  if (kind === "permission") {
    const permission = await settled(() => options.permission(request), "denied");
    native.answerPermission(question, permission);
  } else if (kind === "quota") {
    native.answerQuota(question, await settled(() => options.quota(storageKey), 0));
  }
}

/** What a function of the program returns, or `otherwise` if it throws. */
async function settled(run, otherwise) {
  try {
    return await run();
  } catch (error) {
    process.emitWarning(`A function in the options of an engine failed: ${describe(error)}`);
    return otherwise;
  }
}

function toJob({ key, id, registration, display, records }) {
  return { key, id, scope: registration.scope, ...camelCase(display), records: records.map(camelCase) };
}

/** A record of the engine with the names that JavaScript uses. */
function camelCase(record) {
  const name = (key) => key.replace(/_./g, (part) => part[1].toUpperCase());
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [name(key), value]));
}

function withResolvers() {
  let resolve;
  let reject;
  const promise = new Promise((resolving, rejecting) => {
    resolve = resolving;
    reject = rejecting;
  });
  return { promise, resolve, reject };
}

async function openEngine(options = {}) {
  const { headers, permission, quota } = options;
  const given = {
    ...options,
    headers: headers === undefined ? undefined : [...new Headers(headers)],
    permission: typeof permission === "function" ? "ask" : permission,
    quota: typeof quota === "function" ? "ask" : quota,
  };
  const handle = await ask(native.openEngine, queueHandle(), JSON.stringify(given));
  return new Engine(create, handle, options);
}

async function exportTo(path, { link = false } = {}) {
  const file = path instanceof URL ? fileURLToPath(path) : String(path);
  await exportRecord(numberOf(this), file, link);
}

Object.defineProperty(BackgroundFetchRecord.prototype, "exportTo", {
  value: exportTo,
  writable: true,
  enumerable: true,
  configurable: true,
});

export {
  BackgroundFetchEvent,
  BackgroundFetchManager,
  BackgroundFetchRecord,
  BackgroundFetchRegistration,
  BackgroundFetchUpdateUIEvent,
  Engine,
  ExtendableEvent,
  openEngine,
  Registration,
};
