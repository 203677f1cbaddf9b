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
    this.#info;
    return "top-level";
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
    return found && new Client(create, found);
  }

  async matchAll(options = {}) {
    const prefix = "Failed to execute 'matchAll' on 'Clients'";
    this.#checked;
    const { includeUncontrolled, type } = queryOptions(options, prefix, "Argument 1");
    // Windows are the only clients that there are.
    if (type !== "window" && type !== "all") return [];
    const { clients } = await call("matchClients", { includeUncontrolled });
    return clients.map((info) => new Client(create, info));
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
    client === undefined ? workerOf(worker) : new Client(create, client);
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
  for (const type of ["install", "activate"]) defineEventHandler(global, type, toTarget);
  expose([Client, Clients, ExtendableMessageEvent]);
  for (const [name, value] of Object.entries({ clients: new Clients(create), ...functions })) {
    Object.defineProperty(global, name, {
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
  }
  receivers.fire = ({ event, name }) => fireExtendable(event, new ExtendableEvent(name));
  receivers.workerMessage = fireMessage;
}

return { installServiceWorkerScope };
})();
