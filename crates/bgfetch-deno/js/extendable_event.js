// https://w3c.github.io/ServiceWorker/#extendableevent-interface, for embedders without one of
// their own. What keeps the worker alive is behind a `lifetime`:
// `extend()` throws where the event is not active, and returns a function that is to be called once
// with undefined, or with a text that says why the promise was rejected.
(function () {
"use strict";

const { core } = __bootstrap;
const { DOMException, Event, webidl } = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { domString, requiredArguments } = core.loadExtScript("ext:bgfetch_deno/webidl.js");

class ExtendableEvent extends Event {
  #lifetime = null;

  constructor(type, eventInitDict = {}) {
    const prefix = "Failed to construct 'ExtendableEvent'";
    requiredArguments(arguments.length, 1, prefix);
    super(
      domString(type, prefix, "Argument 1"),
      eventInit(eventInitDict, prefix, "Argument 2"),
    );
  }

  static setLifetime(event, lifetime) {
    event.#lifetime = lifetime;
  }

  waitUntil(f) {
    const lifetime = this.#lifetime;
    requiredArguments(arguments.length, 1, "Failed to execute 'waitUntil' on 'ExtendableEvent'");
    const promise = Promise.resolve(f);
    // Add lifetime promise, steps 1 and 2: events of scripts are not active, nor those that ended.
    if (lifetime === null) {
      throw new DOMException("The event was not fired by the user agent", "InvalidStateError");
    }
    const settle = lifetime.extend();
    // Step 5, in a microtask of its own: reactions that were queued before may extend again.
    promise.then(
      () => queueMicrotask(() => settle(undefined)),
      (reason) => queueMicrotask(() => settle(describe(reason))),
    );
  }
}

const { setLifetime } = ExtendableEvent;
delete ExtendableEvent.setLifetime;
webidl.configureInterface(ExtendableEvent);

/** `EventInit` */
const eventInit = webidl.createDictionaryConverter("EventInit", [
  { key: "bubbles", converter: webidl.converters.boolean, defaultValue: false },
  { key: "cancelable", converter: webidl.converters.boolean, defaultValue: false },
  { key: "composed", converter: webidl.converters.boolean, defaultValue: false },
]);

function describe(reason) {
  try {
    return String(reason);
  } catch {
    return "a value that has no text";
  }
}

return { eventInit, ExtendableEvent, setLifetime };
})();
