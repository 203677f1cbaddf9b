// https://wicg.github.io/background-fetch/#service-worker-global-events: the handlers of a service
// worker's global, or of what stands for it, and the events that the engine fires.
import * as engine from "./engine.js";
import { afterMicrotasks, fire } from "./platform.js";
import {
  BackgroundFetchEvent,
  BackgroundFetchUpdateUIEvent,
  setEvent,
} from "./background_fetch_event.js";
import { registrationOf } from "./background_fetch_registration.js";
import { setLifetime } from "./extendable_event.js";
import { defineEventHandler } from "./event_handler.js";

const TYPES = [
  "backgroundfetchsuccess",
  "backgroundfetchfail",
  "backgroundfetchabort",
  "backgroundfetchclick",
];

/** Defines `onbackgroundfetch...` on `holder`: see `defineEventHandler()`. */
function defineHandlers(holder, toTarget) {
  for (let i = 0; i < TYPES.length; i++) defineEventHandler(holder, TYPES[i], toTarget);
}

/**
 * Fires events at `target` in order of arrival: those of the service worker registration that the
 * engine knows as `owner`, or of the realm.
 */
async function fireEvents(target, owner = null) {
  for (;;) {
    const event = await engine.nextEvent(owner);
    if (event === null) return;
    dispatch(target, event);
  }
}

function dispatch(target, { event, type, updatesUi, registration }) {
  const Interface = updatesUi ? BackgroundFetchUpdateUIEvent : BackgroundFetchEvent;
  const object = new Interface(type, {
    __proto__: null,
    registration: registrationOf(registration),
  });
  setLifetime(object, {
    extend() {
      const extension = engine.extend(event);
      return (rejection) => engine.settle(extension, rejection ?? null);
    },
  });
  if (updatesUi) setEvent(object, event);
  // The dispatch flag is cleared before the next task of the script.
  afterMicrotasks(() => engine.endDispatch(event));
  fire(target, object);
}

export { defineHandlers, fireEvents };
