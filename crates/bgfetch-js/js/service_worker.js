// https://wicg.github.io/background-fetch/#service-worker-global-events: the handlers of a service
// worker's global, and the events that the engine fires.
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
import { illegalInvocation } from "./webidl.js";

const TYPES = [
  "backgroundfetchsuccess",
  "backgroundfetchfail",
  "backgroundfetchabort",
  "backgroundfetchclick",
];

/**
 * Defines `onbackgroundfetch...`, which are own properties because the interface is that of a
 * global.
 */
function defineHandlers(global) {
  const toTarget = (object) => {
    if ((object ?? global) !== global) throw illegalInvocation();
    return global;
  };
  for (const type of TYPES) defineEventHandler(global, type, toTarget);
}

/** Fires the realm's events in order of arrival. */
async function fireEvents(global) {
  for (;;) {
    const event = await engine.nextEvent();
    if (event === null) return;
    dispatch(global, event);
  }
}

function dispatch(global, { event, type, updatesUi, registration }) {
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
  fire(global, object);
}

export { defineHandlers, fireEvents };
