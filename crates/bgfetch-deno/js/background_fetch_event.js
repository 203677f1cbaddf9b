// https://wicg.github.io/background-fetch/#background-fetch-event and
// https://wicg.github.io/background-fetch/#background-fetch-update-ui-event
(function () {
"use strict";

const { core } = __bootstrap;
const { op_bgfetch_update_ui } = core.ops;
const { DOMException, webidl } = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { eventInit, ExtendableEvent } = core.loadExtScript("ext:bgfetch_deno/extendable_event.js");
const { isRegistration } = core.loadExtScript("ext:bgfetch_deno/background_fetch_registration.js");
const { domString, requiredArguments, uiOptions } = core.loadExtScript("ext:bgfetch_deno/webidl.js");

class BackgroundFetchEvent extends ExtendableEvent {
  #registration;

  constructor(type, init) {
    const prefix = "Failed to construct 'BackgroundFetchEvent'";
    requiredArguments(arguments.length, 2, prefix);
    type = domString(type, prefix, "Argument 1");
    const { registration, ...inherited } = backgroundFetchEventInit(init, prefix, "Argument 2");
    super(type, inherited);
    this.#registration = registration;
  }

  get registration() {
    return this.#registration;
  }
}

webidl.configureInterface(BackgroundFetchEvent);

class BackgroundFetchUpdateUIEvent extends BackgroundFetchEvent {
  /** What the engine calls the event; null for one that a script made. */
  #event = null;

  constructor(type, init) {
    requiredArguments(
      arguments.length,
      2,
      "Failed to construct 'BackgroundFetchUpdateUIEvent'",
    );
    super(type, init);
  }

  static setEvent(object, event) {
    object.#event = event;
  }

  async updateUI(options = {}) {
    const event = this.#event;
    const prefix = "Failed to execute 'updateUI' on 'BackgroundFetchUpdateUIEvent'";
    const { title = null, icons = null } = uiOptions(options, prefix, "Argument 1");
    // Step 1, an event that a script made has no UI behind it.
    if (event === null) {
      throw new DOMException("The event was not fired by the user agent", "InvalidStateError");
    }
    await op_bgfetch_update_ui(event, { title, icons });
  }
}

const { setEvent } = BackgroundFetchUpdateUIEvent;
delete BackgroundFetchUpdateUIEvent.setEvent;
webidl.configureInterface(BackgroundFetchUpdateUIEvent);

const ownInit = webidl.createDictionaryConverter("BackgroundFetchEventInit", [
  { key: "registration", converter: registrationConverter, required: true },
]);

/** `BackgroundFetchEventInit`. Members of the inherited dictionary come first. */
function backgroundFetchEventInit(value, prefix, context) {
  return { ...eventInit(value, prefix, context), ...ownInit(value, prefix, context) };
}

function registrationConverter(value, prefix, context) {
  if (isRegistration(value)) return value;
  throw new TypeError(`${prefix}: ${context} is not of type BackgroundFetchRegistration`);
}

return { BackgroundFetchEvent, BackgroundFetchUpdateUIEvent, setEvent };
})();
