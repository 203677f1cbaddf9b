// https://w3c.github.io/ServiceWorker/#extendableevent-interface, for embedders that do not have
// one. The `lifetime` of an event keeps the worker alive: `extend()` throws if the event is not
// active. Otherwise it returns a function to be called once, with undefined or with a text that
// says why the promise was rejected.
import { getterOf } from "./primordials.js";
import { configureInterface, describe, DOMException, Event } from "./platform.js";
import { boolean, dictionary, domString, member, requiredArguments } from "./webidl.js";

const typeOf = getterOf(Event.prototype, "type");

/** Called with the type of the event and the reason for which a promise was rejected. */
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
    // Add lifetime promise, steps 1 and 2: events that scripts created, or that have ended, are not
    // active.
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

/** Calls `settle` with the outcome of a promise, which may be any value. */
async function follow(promise, type, settle) {
  let rejection = undefined;
  try {
    await promise;
  } catch (reason) {
    rejection = describe(reason);
    report(type, reason);
  }
  // Step 5, in a microtask of its own: reactions that were queued before may extend the lifetime
  // again.
  await undefined;
  settle(rejection);
}

export { eventInit, ExtendableEvent, reportRejections, setLifetime };
