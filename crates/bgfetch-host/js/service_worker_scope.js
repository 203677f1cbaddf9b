// https://w3c.github.io/ServiceWorker/#serviceworkerglobalscope-interface: what a worker has of its
// own, and the events of its installation.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_host_import_script, op_host_send } = core.ops;
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
const { call, expose, receivers } = core.loadExtScript("ext:bgfetch_host/service_worker_api.js");

const { stringify } = JSON;
const create = Symbol("create");

class Clients {
  #checked = true;

  constructor(key = null) {
    if (key !== create) webidl.illegalConstructor();
  }

  async claim() {
    this.#checked;
    await call("claim");
  }
}
webidl.configureInterface(Clients);

const functions = {
  importScripts(...urls) {
    const prefix = "Failed to execute 'importScripts' on 'WorkerGlobalScope'";
    const parsed = urls.map((url, index) => {
      const text = webidl.converters.USVString(url, prefix, `Argument ${index + 1}`);
      try {
        return new URL(text, location.href).href;
      } catch {
        throw new DOMException(`${prefix}: '${text}' is not a URL`, "SyntaxError");
      }
    });
    for (const url of parsed) {
      const { source, error: failure } = op_host_import_script(url);
      if (failure) throw new DOMException(`${prefix}: ${url}: ${failure}`, "NetworkError");
      const [, error] = core.evalContext(source, url);
      if (error) throw error.thrown;
    }
  },

  async skipWaiting() {
    await call("skipWaiting");
  },
};

/** Fires an event of the installation, and tells when it is over. */
function fireLifecycleEvent({ event, name }) {
  const object = new ExtendableEvent(name);
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
  expose([Clients]);
  for (const [name, value] of Object.entries({ clients: new Clients(create), ...functions })) {
    Object.defineProperty(global, name, {
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
  }
  receivers.fire = fireLifecycleEvent;
}

return { installServiceWorkerScope };
})();
