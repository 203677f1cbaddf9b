// https://w3c.github.io/ServiceWorker/#serviceworkerglobalscope-interface: what a worker has of its
// own, and the events of its installation.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_host_send } = core.ops;
const {
  afterMicrotasks,
  DOMException,
  fire,
  webidl,
} = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { defineEventHandler } = core.loadExtScript("ext:bgfetch_deno/event_handler.js");
const { ExtendableEvent, setLifetime } = core.loadExtScript(
  "ext:bgfetch_deno/extendable_event.js",
);
const { illegalInvocation } = core.loadExtScript("ext:bgfetch_deno/webidl.js");
const { call, expose, messageInit, post, receivers, workerOf } = core.loadExtScript(
  "ext:bgfetch_host/service_worker_api.js",
);

const { stringify } = JSON;
const create = Symbol("create");

class Client {
  #info;

  constructor(key = null, info = null) {
    if (key !== create) webidl.illegalConstructor();
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

  postMessage(message, options = {}) {
    const prefix = "Failed to execute 'postMessage' on 'Client'";
    const { id } = this.#info;
    webidl.requiredArguments(arguments.length, 1, prefix);
    post({ kind: "postToClient", client: id }, message, options);
  }
}
webidl.configureInterface(Client);

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
    const { clients: [focused] } = await call("focus", { client: this.#info.id });
    return new WindowClient(create, focused);
  }

  async navigate(url) {
    const prefix = "Failed to execute 'navigate' on 'WindowClient'";
    this.#info;
    webidl.requiredArguments(arguments.length, 1, prefix);
    windowUrl(webidl.converters.USVString(url, prefix, "Argument 1"));
    throw new DOMException("Windows of this user agent do not navigate", "NotSupportedError");
  }
}
webidl.configureInterface(WindowClient);

/** Windows are at the top level. */
const NO_ORIGINS = Object.freeze([]);

/** The URL of a window that is to be opened or navigated. */
function windowUrl(text) {
  const url = new URL(text, location.href);
  if (url.href === "about:blank") throw new TypeError("A window at about:blank is nobody's client");
  return url.href;
}

const queryOptions = webidl.createDictionaryConverter("ClientQueryOptions", [
  { key: "includeUncontrolled", converter: webidl.converters.boolean, defaultValue: false },
  {
    key: "type",
    converter: webidl.createEnumConverter("ClientType", ["window", "worker", "sharedworker", "all"]),
    defaultValue: "window",
  },
]);

class Clients {
  #checked = true;

  constructor(key = null) {
    if (key !== create) webidl.illegalConstructor();
  }

  async get(id) {
    const prefix = "Failed to execute 'get' on 'Clients'";
    this.#checked;
    webidl.requiredArguments(arguments.length, 1, prefix);
    const text = webidl.converters.DOMString(id, prefix, "Argument 1");
    const { clients: [found] } = await call("getClient", { id: text });
    return found && new WindowClient(create, found);
  }

  async matchAll(options = {}) {
    const prefix = "Failed to execute 'matchAll' on 'Clients'";
    this.#checked;
    const { includeUncontrolled, type } = queryOptions(options, prefix, "Argument 1");
    // Windows are the only clients that there are.
    if (type !== "window" && type !== "all") return Object.freeze([]);
    const { clients } = await call("matchClients", { includeUncontrolled });
    return Object.freeze(clients.map((info) => new WindowClient(create, info)));
  }

  async openWindow(url) {
    const prefix = "Failed to execute 'openWindow' on 'Clients'";
    this.#checked;
    webidl.requiredArguments(arguments.length, 1, prefix);
    const text = webidl.converters.USVString(url, prefix, "Argument 1");
    const { clients: [opened] } = await call("openWindow", { url: windowUrl(text) });
    return opened === undefined ? null : new WindowClient(create, opened);
  }

  async claim() {
    this.#checked;
    await call("claim");
  }
}
webidl.configureInterface(Clients);

const functions = {
  async skipWaiting() {
    await call("skipWaiting");
  },
};

class InstallEvent extends ExtendableEvent {
  #checked = true;

  constructor(type, eventInitDict = {}) {
    webidl.requiredArguments(arguments.length, 1, "Failed to construct 'InstallEvent'");
    super(type, eventInitDict);
  }

  async addRoutes(rules) {
    this.#checked;
    webidl.requiredArguments(arguments.length, 1, "Failed to execute 'addRoutes' on 'InstallEvent'");
    // Requests do not go through service workers here: there is nothing to route.
    throw new DOMException("Routes are not supported", "NotSupportedError");
  }
}
webidl.configureInterface(InstallEvent);

class ExtendableMessageEvent extends ExtendableEvent {
  #init;

  constructor(type, eventInitDict = {}) {
    super(type, eventInitDict);
    const { data = null, origin = "", lastEventId = "", source = null, ports = [] } =
      eventInitDict ?? {};
    this.#init = {
      data,
      origin: String(origin),
      lastEventId: String(lastEventId),
      source,
      ports: Object.freeze([...ports]),
    };
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
webidl.configureInterface(ExtendableMessageEvent);

function fireMessage({ event, ...message }) {
  const sourceOf = ({ client, worker }) =>
    client === undefined ? workerOf(worker) : new WindowClient(create, client);
  const init = messageInit(message, sourceOf);
  fireExtendable(event, new ExtendableMessageEvent("message", init));
}

/** Fires an event, and tells when it is over. */
function fireExtendable(event, object) {
  let pending = 1;
  let rejected = null;
  const settle = (reason) => {
    rejected ??= reason ?? null;
    pending--;
    if (pending === 0) op_host_send(stringify({ __proto__: null, kind: "fired", event, rejected }));
  };
  setLifetime(object, {
    extend() {
      if (pending === 0) throw new DOMException("The event is over", "InvalidStateError");
      pending++;
      return settle;
    },
  });
  // The dispatch itself is what is pending first.
  afterMicrotasks(() => settle(null));
  fire(globalThis, object);
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
  for (const [name, value] of Object.entries({ clients: new Clients(create), ...functions })) {
    Object.defineProperty(global, name, {
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
  }
  receivers.fire = ({ event, name }) => {
    const Interface = name === "install" ? InstallEvent : ExtendableEvent;
    fireExtendable(event, new Interface(name));
  };
  receivers.workerMessage = fireMessage;
}

return { installServiceWorkerScope };
})();
