// https://w3c.github.io/ServiceWorker/#serviceworkerglobalscope-interface: the members that only
// service workers have, and the events of their installation.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_host_send } = core.ops;
const { define, freeze, map, toJson, TypeError } = core.loadExtScript(
  "ext:bgfetch_deno/primordials.js",
);
const {
  afterMicrotasks,
  configureInterface,
  DOMException,
  fire,
  illegalConstructor,
  parseUrl,
} = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { defineEventHandler } = core.loadExtScript("ext:bgfetch_deno/event_handler.js");
const { ExtendableEvent, setLifetime } = core.loadExtScript(
  "ext:bgfetch_deno/extendable_event.js",
);
const {
  boolean,
  dictionary,
  domString,
  enumeration,
  illegalInvocation,
  member,
  requiredArguments,
  sequence,
  usvString,
} = core.loadExtScript("ext:bgfetch_deno/webidl.js");
const { call, expose, messageEvent, post, receivers, workerOf } = core.loadExtScript(
  "ext:bgfetch_host/service_worker_api.js",
);

const global = globalThis;
const create = Symbol("create");

class Client {
  #info;

  constructor(key = null, info = null) {
    if (key !== create) illegalConstructor();
    this.#info = info;
  }

  get url() {
    return this.#info.url;
  }

  get frameType() {
    return this.#info.isFrame ? "nested" : "top-level";
  }

  get id() {
    return this.#info.id;
  }

  get type() {
    this.#info;
    return "window";
  }

  postMessage(message, options = undefined) {
    const prefix = "Failed to execute 'postMessage' on 'Client'";
    const { id } = this.#info;
    requiredArguments(arguments.length, 1, prefix);
    post({ __proto__: null, kind: "postToClient", client: id }, message, options, prefix);
  }
}
configureInterface(Client);

class WindowClient extends Client {
  #info;

  constructor(key = null, info = null) {
    super(key, info);
    this.#info = info;
  }

  get visibilityState() {
    this.#info;
    return "visible";
  }

  get focused() {
    return this.#info.focused;
  }

  get ancestorOrigins() {
    this.#info;
    return NO_ORIGINS;
  }

  async focus() {
    const { clients } = await call("focus", { client: this.#info.id });
    return new WindowClient(create, clients[0]);
  }

  async navigate(url) {
    const prefix = "Failed to execute 'navigate' on 'WindowClient'";
    this.#info;
    requiredArguments(arguments.length, 1, prefix);
    windowUrl(usvString(url, prefix, "Argument 1"));
    throw new DOMException("Navigation of windows is not supported", "NotSupportedError");
  }
}
configureInterface(WindowClient);

/** All windows are at the top level. */
const NO_ORIGINS = freeze([]);

/** The URL of a window that is opened or navigated. */
function windowUrl(text) {
  const url = parseUrl(text);
  if (url === "about:blank") throw new TypeError("A window at about:blank is not a client");
  return url;
}

const clientType = enumeration("ClientType", ["window", "worker", "sharedworker", "all"]);

const queryOptions = dictionary("ClientQueryOptions", [
  member("includeUncontrolled", boolean, false),
  member("type", clientType, "window"),
]);

class Clients {
  #checked = true;

  constructor(key = null) {
    if (key !== create) illegalConstructor();
  }

  async get(id) {
    const prefix = "Failed to execute 'get' on 'Clients'";
    this.#checked;
    requiredArguments(arguments.length, 1, prefix);
    const text = usvString(id, prefix, "Argument 1");
    const { clients } = await call("getClient", { id: text });
    return clients.length === 0 ? undefined : new WindowClient(create, clients[0]);
  }

  async matchAll(options = undefined) {
    const prefix = "Failed to execute 'matchAll' on 'Clients'";
    this.#checked;
    const { includeUncontrolled, type } = queryOptions(options, prefix, "Argument 1");
    // Windows are the only clients.
    if (type !== "window" && type !== "all") return freeze([]);
    const { clients } = await call("matchClients", { includeUncontrolled });
    return freeze(map(clients, (info) => new WindowClient(create, info)));
  }

  async openWindow(url) {
    const prefix = "Failed to execute 'openWindow' on 'Clients'";
    this.#checked;
    requiredArguments(arguments.length, 1, prefix);
    const opened = windowUrl(usvString(url, prefix, "Argument 1"));
    const { clients } = await call("openWindow", { url: opened });
    return clients.length === 0 ? null : new WindowClient(create, clients[0]);
  }

  async claim() {
    this.#checked;
    await call("claim");
  }
}
configureInterface(Clients);

const functions = {
  async skipWaiting() {
    await call("skipWaiting");
  },
};

class InstallEvent extends ExtendableEvent {
  #checked = true;

  constructor(type, eventInitDict = undefined) {
    requiredArguments(arguments.length, 1, "Failed to construct 'InstallEvent'");
    super(type, eventInitDict);
  }

  async addRoutes(rules) {
    this.#checked;
    requiredArguments(arguments.length, 1, "Failed to execute 'addRoutes' on 'InstallEvent'");
    // Requests do not pass through service workers here, so there is nothing to route.
    throw new DOMException("Routes are not supported", "NotSupportedError");
  }
}
configureInterface(InstallEvent);

class ExtendableMessageEvent extends ExtendableEvent {
  #init;

  constructor(type, eventInitDict = undefined) {
    const prefix = "Failed to construct 'ExtendableMessageEvent'";
    super(type, eventInitDict);
    this.#init = messageEventInit(eventInitDict, prefix, "Argument 2");
    this.#init.ports = freeze(this.#init.ports ?? []);
  }

  get data() {
    return this.#init.data;
  }

  get origin() {
    return this.#init.origin;
  }

  get lastEventId() {
    return this.#init.lastEventId;
  }

  get source() {
    return this.#init.source;
  }

  get ports() {
    return this.#init.ports;
  }
}
configureInterface(ExtendableMessageEvent);

const any = (value) => value;

/** `ExtendableMessageEventInit` without inherited members. */
const messageEventInit = dictionary("ExtendableMessageEventInit", [
  member("data", any, null),
  member("lastEventId", domString, ""),
  member("origin", usvString, ""),
  member("ports", sequence(any)),
  member("source", any, null),
]);

function fireMessage({ event, ...message }) {
  const sourceOf = ({ client, worker }) =>
    client === undefined ? workerOf(worker) : new WindowClient(create, client);
  const { type, init } = messageEvent(message, sourceOf);
  fireExtendable(event, new ExtendableMessageEvent(type, init));
}

/** Fires an event, and reports its end. */
function fireExtendable(event, object) {
  let pending = 1;
  let rejected = null;
  const settle = (reason) => {
    rejected ??= reason ?? null;
    pending--;
    if (pending === 0) op_host_send(toJson({ __proto__: null, kind: "fired", event, rejected }));
  };
  setLifetime(object, {
    __proto__: null,
    extend() {
      if (pending === 0) throw new DOMException("The event is over", "InvalidStateError");
      pending++;
      return settle;
    },
  });
  // The dispatch itself is the first pending item.
  afterMicrotasks(() => settle(null));
  fire(global, object);
}

function installServiceWorkerScope(global) {
  const toTarget = (object) => {
    if ((object ?? global) !== global) throw illegalInvocation();
    return global;
  };
  for (const type of ["install", "activate", "messageerror"]) {
    defineEventHandler(global, type, toTarget);
  }
  expose([Client, Clients, ExtendableMessageEvent, InstallEvent, WindowClient]);
  define(global, "clients", new Clients(create), true);
  define(global, "skipWaiting", functions.skipWaiting, true);
  receivers.fire = ({ event, name }) => {
    const Interface = name === "install" ? InstallEvent : ExtendableEvent;
    fireExtendable(event, new Interface(name));
  };
  receivers.workerMessage = fireMessage;
}

return { installServiceWorkerScope };
})();
