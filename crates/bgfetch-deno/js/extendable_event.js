// https://w3c.github.io/ServiceWorker/#extendableevent-interface, for embedders without one of
// their own. What keeps the worker alive is behind a `lifetime`:
// `extend()` throws where the event is not active, and returns a function that is to be called once
// with undefined, or with a text that says why the promise was rejected.
(function () {
"use strict";

const { core } = __bootstrap;
const { getterOf } = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const { configureInterface, describe, DOMException, Event } = core.loadExtScript(
  "ext:bgfetch_deno/deno.js",
);
const { boolean, dictionary, domString, member, requiredArguments } = core.loadExtScript(
  "ext:bgfetch_deno/webidl.js",
);

const typeOf = getterOf(Event.prototype, "type");

/** Told of the type of the event and of what a promise was rejected with. */
let report = () => {};

function reportRejections(callback) {
  report = callback;
}

class ExtendableEvent extends Event {
  #lifetime = null;

  constructor(type, eventInitDict = undefined) {
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
    // Add lifetime promise, steps 1 and 2: events of scripts are not active, nor those that ended.
    if (lifetime === null) {
      throw new DOMException("The event was not fired by the user agent", "InvalidStateError");
    }
    follow(f, typeOf(this), lifetime.extend());
  }
}

const { setLifetime } = ExtendableEvent;
delete ExtendableEvent.setLifetime;
configureInterface(ExtendableEvent);

/** `EventInit` */
const eventInit = dictionary("EventInit", [
  member("bubbles", boolean, false),
  member("cancelable", boolean, false),
  member("composed", boolean, false),
]);

/** Calls `settle` with what becomes of a promise, which may be any value. */
async function follow(promise, type, settle) {
  let rejection = undefined;
  try {
    await promise;
  } catch (reason) {
    rejection = describe(reason);
    report(type, reason);
  }
  // Step 5, in a microtask of its own: reactions that were queued before may extend again.
  await undefined;
  settle(rejection);
}

return { eventInit, ExtendableEvent, reportRejections, setLifetime };
})();
