// https://wicg.github.io/background-fetch/#service-worker-global-events: the handlers of a service
// worker's global, and the events that the engine fires.
(function () {
"use strict";

const { core } = __bootstrap;
const {
  op_bgfetch_end_dispatch,
  op_bgfetch_extend,
  op_bgfetch_next_event,
  op_bgfetch_settle,
} = core.ops;
const { afterMicrotasks, asyncOp, fire } = core.loadExtScript("ext:bgfetch_deno/deno.js");
const {
  BackgroundFetchEvent,
  BackgroundFetchUpdateUIEvent,
  setEvent,
} = core.loadExtScript("ext:bgfetch_deno/background_fetch_event.js");
const { registrationOf } = core.loadExtScript("ext:bgfetch_deno/background_fetch_registration.js");
const { setLifetime } = core.loadExtScript("ext:bgfetch_deno/extendable_event.js");
const { defineEventHandler } = core.loadExtScript("ext:bgfetch_deno/event_handler.js");
const { illegalInvocation } = core.loadExtScript("ext:bgfetch_deno/webidl.js");

const nextEvent = asyncOp(op_bgfetch_next_event);

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
    const next = nextEvent();
    core.unrefOpPromise(next);
    const event = await next;
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
      const extension = op_bgfetch_extend(event);
      return (rejection) => op_bgfetch_settle(extension, rejection ?? null);
    },
  });
  if (updatesUi) setEvent(object, event);
  // The dispatch flag is cleared before the next task of the script.
  afterMicrotasks(() => op_bgfetch_end_dispatch(event));
  fire(global, object);
}

return { defineHandlers, fireEvents };
})();
