// https://w3c.github.io/ServiceWorker/: the interfaces that windows and service workers have. What
// the objects say is told by the owner of the service workers, in one ordered inbox.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_host_receive, op_host_send } = core.ops;
const {
  afterMicrotasks,
  DOMException,
  Event,
  EventTarget,
  fire,
  webidl,
} = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { defineEventHandler } = core.loadExtScript("ext:bgfetch_deno/event_handler.js");
const { illegalInvocation } = core.loadExtScript("ext:bgfetch_deno/webidl.js");
const { defineServiceWorker } = core.loadExtScript("ext:bgfetch_host/navigator.js");

const { fromMessage, toMessage } = core.loadExtScript("ext:bgfetch_host/structured_clone.js");
const { MessageEvent } = core.loadExtScript("ext:deno_web/02_event.js");

const { parse, stringify } = JSON;
const create = Symbol("create");

/** Objects by the numbers of what they stand for: one for each and realm. */
const registrations = new Map();
const workers = new Map();
/** What is done with the answers to calls, by their numbers. */
const calls = new Map();
let lastCall = 0;

class ServiceWorker extends EventTarget {
  #info;

  constructor(key = null, info = null) {
    if (key !== create) webidl.illegalConstructor();
    super();
    this.#info = info;
  }

  get scriptURL() {
    return this.#info.scriptURL;
  }

  get state() {
    return this.#info.state;
  }

  postMessage(message, options = {}) {
    const prefix = "Failed to execute 'postMessage' on 'ServiceWorker'";
    const { id } = this.#info;
    webidl.requiredArguments(arguments.length, 1, prefix);
    post({ kind: "postToWorker", worker: id }, message, options);
  }

  static update(worker, info) {
    const { state } = worker.#info;
    worker.#info = info;
    if (info.state !== state) fire(worker, new Event("statechange"));
  }

  static check(object) {
    if (!(#info in object)) throw illegalInvocation();
    return object;
  }
}
const { check: checkWorker, update: updateWorker } = ServiceWorker;
delete ServiceWorker.check;
delete ServiceWorker.update;
for (const type of ["error", "statechange"]) {
  defineEventHandler(ServiceWorker.prototype, type, checkWorker);
}
webidl.configureInterface(ServiceWorker);

/** The object of a worker, or null. */
function workerOf(info) {
  if (info === null) return null;
  let worker = workers.get(info.id);
  if (worker === undefined) workers.set(info.id, worker = new ServiceWorker(create, info));
  return worker;
}

class ServiceWorkerRegistration extends EventTarget {
  #info;

  constructor(key = null, info = null) {
    if (key !== create) webidl.illegalConstructor();
    super();
    updateRegistration(this, info);
  }

  get scope() {
    return this.#info.scope;
  }

  get installing() {
    return workerOf(this.#info.installing);
  }

  get waiting() {
    return workerOf(this.#info.waiting);
  }

  get active() {
    return workerOf(this.#info.active);
  }

  get updateViaCache() {
    return this.#info.updateViaCache;
  }

  async update() {
    const { registrations: [registration] } = await call("update", { registration: this.#info.id });
    return registrationOf(registration);
  }

  async unregister() {
    const { bool } = await call("unregister", { registration: this.#info.id });
    return bool;
  }

  static update(registration, info) {
    registration.#info = info;
    // Objects of workers are there before they are told of their next states.
    [info.installing, info.waiting, info.active].forEach(workerOf);
  }

  static check(object) {
    if (!(#info in object)) throw illegalInvocation();
    return object;
  }

  static scopeOf(registration) {
    return registration.#info.scope;
  }

  static hasActiveWorker(registration) {
    return registration.#info.active !== null;
  }
}
const {
  check: checkRegistration,
  hasActiveWorker,
  scopeOf,
  update: updateRegistration,
} = ServiceWorkerRegistration;
delete ServiceWorkerRegistration.check;
delete ServiceWorkerRegistration.hasActiveWorker;
delete ServiceWorkerRegistration.scopeOf;
delete ServiceWorkerRegistration.update;
defineEventHandler(ServiceWorkerRegistration.prototype, "updatefound", checkRegistration);
webidl.configureInterface(ServiceWorkerRegistration);

/** The object of a registration. */
function registrationOf(info) {
  let registration = registrations.get(info.id);
  if (registration === undefined) {
    registration = new ServiceWorkerRegistration(create, info);
    registrations.set(info.id, registration);
  }
  return registration;
}

class ServiceWorkerContainer extends EventTarget {
  #controller;
  #ready = Promise.withResolvers();

  constructor(key = null, controller = null) {
    if (key !== create) webidl.illegalConstructor();
    super();
    this.#controller = controller;
  }

  get controller() {
    return this.#controller;
  }

  get ready() {
    // An attribute whose type is a promise does not throw.
    try {
      return this.#ready.promise;
    } catch {
      return Promise.reject(illegalInvocation());
    }
  }

  async register(scriptURL, options = {}) {
    const prefix = "Failed to execute 'register' on 'ServiceWorkerContainer'";
    this.#controller;
    webidl.requiredArguments(arguments.length, 1, prefix);
    const script = parseUrl(webidl.converters.USVString(scriptURL, prefix, "Argument 1"));
    const { scope, updateViaCache } = registrationOptions(options, prefix, "Argument 2");
    const { registrations: [registration] } = await call("register", {
      script,
      scope: scope === undefined ? null : parseUrl(scope),
      updateViaCache,
    });
    return registrationOf(registration);
  }

  async getRegistration(clientURL = "") {
    const prefix = "Failed to execute 'getRegistration' on 'ServiceWorkerContainer'";
    this.#controller;
    const url = new URL(parseUrl(webidl.converters.USVString(clientURL, prefix, "Argument 1")));
    url.hash = "";
    if (url.origin !== new URL(location.href).origin) {
      throw new DOMException("The URL is of another origin", "SecurityError");
    }
    const { registrations: [found] } = await call("getRegistration", { url: url.href });
    return found && registrationOf(found);
  }

  async getRegistrations() {
    this.#controller;
    const { registrations } = await call("getRegistrations");
    return Object.freeze(registrations.map(registrationOf));
  }

  /** Messages are fired as they come: a realm has no document that is still being parsed. */
  startMessages() {
    this.#controller;
  }

  static resolveReady(container, registration) {
    container.#ready.resolve(registration);
  }

  static setController(container, worker) {
    container.#controller = worker;
    fire(container, new Event("controllerchange"));
  }

  static check(object) {
    if (!(#ready in object)) throw illegalInvocation();
    return object;
  }
}
const { check: checkContainer, resolveReady, setController } = ServiceWorkerContainer;
delete ServiceWorkerContainer.check;
delete ServiceWorkerContainer.resolveReady;
delete ServiceWorkerContainer.setController;
for (const type of ["controllerchange", "message", "messageerror"]) {
  defineEventHandler(ServiceWorkerContainer.prototype, type, checkContainer);
}
webidl.configureInterface(ServiceWorkerContainer);

const registrationOptions = webidl.createDictionaryConverter("RegistrationOptions", [
  { key: "scope", converter: webidl.converters.USVString },
  {
    key: "updateViaCache",
    converter: webidl.createEnumConverter("ServiceWorkerUpdateViaCache", ["imports", "all", "none"]),
    defaultValue: "imports",
  },
]);

function parseUrl(text) {
  return new URL(text, location.href).href;
}

/** Asks the owner of the service workers. Gives its answer. */
function call(kind, options = {}) {
  const { promise, resolve, reject } = Promise.withResolvers();
  const number = ++lastCall;
  op_host_send(stringify({ __proto__: null, kind, call: number, ...options }));
  calls.set(number, { resolve, reject });
  return promise;
}

/** Sends a message with a copy of `data`. */
function post(message, data, options) {
  const serialized = toMessage(data, options);
  op_host_send(stringify({ __proto__: null, ...message, message: serialized }));
}

/** The members that a message event has: a copy of the data, the ports, and who sent it. */
function messageInit({ message, source }, sourceOf) {
  return { ...fromMessage(message), origin: location.origin, source: sourceOf(source) };
}

function answered({ call, answer }) {
  const { resolve, reject } = calls.get(call);
  calls.delete(call);
  const { error } = answer;
  if (error === undefined) return resolve(answer);
  const { name, message } = error;
  reject(name === "TypeError" ? new TypeError(message) : new DOMException(message, name));
}

/** What is done with messages from the owner of the service workers, by their kind. */
const receivers = {
  __proto__: null,
  answer: answered,
  worker({ worker }) {
    const object = workers.get(worker.id);
    if (object !== undefined) updateWorker(object, worker);
  },
  registration({ registration }) {
    const object = registrations.get(registration.id);
    if (object !== undefined) updateRegistration(object, registration);
  },
  updateFound({ registration }) {
    const object = registrations.get(registration.id);
    if (object !== undefined) fire(object, new Event("updatefound"));
  },
};

async function receive() {
  for (;;) {
    const next = op_host_receive();
    core.unrefOpPromise(next);
    const message = await next;
    if (message === null) return;
    const { kind, ...content } = parse(message);
    receivers[kind](content);
    // Each message is a task: what awaits it sees how things stood then.
    await new Promise(afterMicrotasks);
  }
}

function expose(interfaces) {
  for (const Interface of interfaces) {
    Object.defineProperty(globalThis, Interface.name, {
      value: Interface,
      writable: true,
      enumerable: false,
      configurable: true,
    });
  }
}

/**
 * Brings the interfaces to a realm. Without `atStart` nothing owns service workers, and there is
 * only the registration with `scope`, where that is not null.
 */
function installServiceWorkerApi(kind, scope, atStart) {
  expose([ServiceWorker, ServiceWorkerRegistration]);
  const none = { updateViaCache: "imports", installing: null, waiting: null, active: null };
  const alone = scope && { id: 0, scope, ...none };
  const info = atStart?.registration ?? alone;
  const registration = info && registrationOf(info);
  const container = new ServiceWorkerContainer(create, workerOf(atStart?.controller ?? null));
  expose([ServiceWorkerContainer]);
  defineServiceWorker(container);
  if (kind !== "ServiceWorker" && registration !== null) resolveReady(container, registration);
  if (kind === "Window") {
    receivers.ready = ({ registration }) => resolveReady(container, registrationOf(registration));
    receivers.clientMessage = (message) => {
      const init = messageInit(message, ({ worker }) => workerOf(worker));
      fire(container, new MessageEvent("message", init));
    };
    receivers.controller = ({ worker }) => setController(container, workerOf(worker));
  } else if (kind === "ServiceWorker") {
    define("registration", registration);
    define("serviceWorker", workerOf(atStart?.worker ?? null));
  }
  if (atStart !== null) receive();
  const checkedScope = (object) => scopeOf(checkRegistration(object));
  return {
    ServiceWorkerRegistration,
    scopeOf: checkedScope,
    // Where nothing owns service workers, no realm sees their workers.
    hasActiveWorker: atStart === null ? undefined : hasActiveWorker,
  };
}

function define(name, value) {
  const writable = true;
  const configurable = true;
  Object.defineProperty(globalThis, name, { value, writable, enumerable: true, configurable });
}

return { call, expose, installServiceWorkerApi, messageInit, post, receivers, workerOf };
})();
