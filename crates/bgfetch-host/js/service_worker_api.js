// https://w3c.github.io/ServiceWorker/: the interfaces of windows and service workers. The owner of
// the service workers updates the objects through one ordered inbox.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_host_receive, op_host_send } = core.ops;
const {
  construct,
  define,
  forEach,
  freeze,
  fromJson,
  isObject,
  iterable,
  map,
  Promise,
  rejected,
  SafeMap,
  setPrototypeOf,
  split,
  toJson,
  TypeError,
  withResolvers,
} = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const {
  afterMicrotasks,
  asyncOp,
  configureInterface,
  DOMException,
  Event,
  EventTarget,
  fire,
  illegalConstructor,
  locationOrigin,
  originOfUrl,
  parseUrl,
  reportException,
} = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { defineEventHandler } = core.loadExtScript("ext:bgfetch_deno/event_handler.js");
const {
  dictionary,
  enumeration,
  illegalInvocation,
  member,
  requiredArguments,
  usvString,
} = core.loadExtScript("ext:bgfetch_deno/webidl.js");
const { defineServiceWorker } = core.loadExtScript("ext:bgfetch_host/navigator.js");

const { fromMessage, toMessage } = core.loadExtScript("ext:bgfetch_host/structured_clone.js");
const { MessageEvent } = core.loadExtScript("ext:deno_web/02_event.js");

const nextMessage = asyncOp(op_host_receive);
const create = Symbol("create");

/** Objects by the number of the item that they represent: one per item and realm. */
const registrations = new SafeMap();
const workers = new SafeMap();
/** The handlers of answers to calls, by number. */
const calls = new SafeMap();
let lastCall = 0;

class ServiceWorker extends EventTarget {
  #info;

  constructor(key = null, info = null) {
    if (key !== create) illegalConstructor();
    super();
    this.#info = info;
  }

  get scriptURL() {
    return this.#info.scriptURL;
  }

  get state() {
    return this.#info.state;
  }

  postMessage(message, options = undefined) {
    const prefix = "Failed to execute 'postMessage' on 'ServiceWorker'";
    const { id } = this.#info;
    requiredArguments(arguments.length, 1, prefix);
    post({ __proto__: null, kind: "postToWorker", worker: id }, message, options, prefix);
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
configureInterface(ServiceWorker);

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
    if (key !== create) illegalConstructor();
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
    const { registrations } = await call("update", { registration: this.#info.id });
    return registrationOf(registrations[0]);
  }

  async unregister() {
    const { bool } = await call("unregister", { registration: this.#info.id });
    return bool;
  }

  static update(registration, info) {
    registration.#info = info;
    // The objects of workers must exist before their next states arrive.
    forEach([info.installing, info.waiting, info.active], workerOf);
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
configureInterface(ServiceWorkerRegistration);

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
  #ready = withResolvers();

  constructor(key = null, controller = null) {
    if (key !== create) illegalConstructor();
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
      return rejected(illegalInvocation());
    }
  }

  async register(scriptURL, options = undefined) {
    const prefix = "Failed to execute 'register' on 'ServiceWorkerContainer'";
    this.#controller;
    requiredArguments(arguments.length, 1, prefix);
    const script = parseUrl(usvString(scriptURL, prefix, "Argument 1"));
    const { scope, type, updateViaCache } = registrationOptions(options, prefix, "Argument 2");
    if (type === "module") {
      throw new DOMException(prefix + ": modules are not supported", "NotSupportedError");
    }
    const { registrations } = await call("register", {
      script,
      scope: scope === undefined ? null : parseUrl(scope),
      updateViaCache,
    });
    return registrationOf(registrations[0]);
  }

  async getRegistration(clientURL = "") {
    const prefix = "Failed to execute 'getRegistration' on 'ServiceWorkerContainer'";
    this.#controller;
    const url = parseUrl(usvString(clientURL, prefix, "Argument 1"));
    if (originOfUrl(url) !== locationOrigin()) {
      throw new DOMException("The URL is of another origin", "SecurityError");
    }
    const withoutFragment = split(url, "#")[0];
    const { registrations } = await call("getRegistration", { url: withoutFragment });
    return registrations.length === 0 ? undefined : registrationOf(registrations[0]);
  }

  async getRegistrations() {
    this.#controller;
    const { registrations } = await call("getRegistrations");
    return freeze(map(registrations, registrationOf));
  }

  /** Messages are fired on arrival: a realm has no document that is still being parsed. */
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
configureInterface(ServiceWorkerContainer);

const updateViaCache = enumeration("ServiceWorkerUpdateViaCache", ["imports", "all", "none"]);

const registrationOptions = dictionary("RegistrationOptions", [
  member("scope", usvString),
  member("type", enumeration("WorkerType", ["classic", "module"]), "classic"),
  member("updateViaCache", updateViaCache, "imports"),
]);

/** Asks the owner of the service workers. Returns a promise for its answer. */
function call(kind, options = undefined) {
  const { promise, resolve, reject } = withResolvers();
  const number = ++lastCall;
  op_host_send(toJson({ __proto__: null, kind, call: number, ...options }));
  calls.set(number, { __proto__: null, resolve, reject });
  return promise;
}

/** Sends a message with a copy of `data`. */
function post(message, data, options, prefix) {
  message.message = toMessage(data, options, prefix);
  op_host_send(toJson(message));
}

/**
 * The type and the members of the event for a message: a copy of the data, the ports, and the
 * sender. Data that cannot be copied here results in a `messageerror`.
 */
function messageEvent({ message, source }, sourceOf) {
  const init = { __proto__: null, origin: locationOrigin(), source: sourceOf(source) };
  try {
    const { data, ports } = fromMessage(message);
    init.data = data;
    init.ports = iterable(ports);
    return { __proto__: null, type: "message", init };
  } catch {
    return { __proto__: null, type: "messageerror", init };
  }
}

/** Assigned members are created on the event, where Object.prototype may have setters of their names. */
function MembersOfMessageEvent() {}
MembersOfMessageEvent.prototype = Object.create(MessageEvent.prototype);
for (const name of ["data", "lastEventId", "origin", "ports"]) {
  define(MembersOfMessageEvent.prototype, name, undefined);
}

/** A MessageEvent. Deno's constructor assigns its members. */
function newMessageEvent(type, init) {
  const event = construct(MessageEvent, [type, init], MembersOfMessageEvent);
  return setPrototypeOf(event, MessageEvent.prototype);
}

function answered({ call, answer }) {
  const { resolve, reject } = calls.get(call);
  calls.delete(call);
  // An answer without contents is a string.
  const error = isObject(answer) ? answer.error : undefined;
  if (error === undefined) return resolve(answer);
  const { name, message } = error;
  reject(name === "TypeError" ? new TypeError(message) : new DOMException(message, name));
}

/** The handlers of messages from the owner of the service workers, by kind. */
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
    const next = nextMessage();
    core.unrefOpPromise(next);
    const message = await next;
    if (message === null) return;
    const content = fromJson(message);
    try {
      receivers[content.kind](content);
    } catch (error) {
      reportException(error);
    }
    // Each message is a task: reactions to it see the state at that time.
    await new Promise(afterMicrotasks);
  }
}

function expose(interfaces) {
  for (const Interface of interfaces) define(globalThis, Interface.name, Interface);
}

/**
 * Adds the interfaces to a realm. Without `atStart` there is no owner of service workers, and there
 * is only the registration with `scope`, if that is not null.
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
      const { type, init } = messageEvent(message, ({ worker }) => workerOf(worker));
      fire(container, newMessageEvent(type, init));
    };
    receivers.controller = ({ worker }) => setController(container, workerOf(worker));
  } else if (kind === "ServiceWorker") {
    define(globalThis, "registration", registration, true);
    define(globalThis, "serviceWorker", workerOf(atStart?.worker ?? null), true);
  }
  if (atStart !== null) receive();
  const checkedScope = (object) => scopeOf(checkRegistration(object));
  return {
    ServiceWorkerRegistration,
    scopeOf: checkedScope,
    // Without an owner of service workers, realms see no workers.
    hasActiveWorker: atStart === null ? undefined : hasActiveWorker,
  };
}

return { call, expose, installServiceWorkerApi, messageEvent, post, receivers, workerOf };
})();
