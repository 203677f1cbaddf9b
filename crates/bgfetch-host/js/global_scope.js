// The interface of the global object, by the kind of the realm.
(function () {
"use strict";

const WORKERS = {
  __proto__: null,
  DedicatedWorker: "DedicatedWorkerGlobalScope",
  ServiceWorker: "ServiceWorkerGlobalScope",
  SharedWorker: "SharedWorkerGlobalScope",
};

function defineGlobalScope(kind, { event, globalInterfaces, location, webidl }) {
  if (kind === "Window") {
    const { Window } = globalInterfaces;
    Object.setPrototypeOf(globalThis, Window.prototype);
    define("Window", Window, false);
    define("window", globalThis, true);
    Object.defineProperties(globalThis, {
      Location: location.locationConstructorDescriptor,
      location: location.locationDescriptor,
    });
  } else {
    const { WorkerGlobalScope } = globalInterfaces;
    const name = WORKERS[kind];
    const GlobalScope = {
      [name]: class extends WorkerGlobalScope {
        constructor() {
          webidl.illegalConstructor();
        }
      },
    }[name];
    Object.defineProperty(GlobalScope.prototype, Symbol.toStringTag, {
      value: name,
      configurable: true,
    });
    Object.setPrototypeOf(globalThis, GlobalScope.prototype);
    define("WorkerGlobalScope", WorkerGlobalScope, false);
    define(name, GlobalScope, false);
    Object.defineProperties(globalThis, {
      WorkerLocation: location.workerLocationConstructorDescriptor,
      location: location.workerLocationDescriptor,
    });
  }
  define("self", globalThis, true);
  event.defineEventHandler(globalThis, "error", undefined, true);
  for (const type of ["message", "rejectionhandled", "unhandledrejection"]) {
    event.defineEventHandler(globalThis, type);
  }
}

function define(name, value, enumerable) {
  const writable = true;
  const configurable = true;
  Object.defineProperty(globalThis, name, { value, writable, enumerable, configurable });
}

return { defineGlobalScope };
})();
