// https://wicg.github.io/background-fetch/#background-fetch-event and
// https://wicg.github.io/background-fetch/#background-fetch-update-ui-event
import * as engine from "./engine.js";
import { TypeError } from "./primordials.js";
import { configureInterface, DOMException } from "./platform.js";
import { eventInit, ExtendableEvent } from "./extendable_event.js";
import { isRegistration } from "./background_fetch_registration.js";
import {
  dictionary,
  domString,
  requiredArguments,
  requiredMember,
  uiOptions,
} from "./webidl.js";

class BackgroundFetchEvent extends ExtendableEvent {
  #registration;

  constructor(type, init) {
    const prefix = "Failed to construct 'BackgroundFetchEvent'";
    requiredArguments(arguments.length, 2, prefix);
    type = domString(type, prefix, "Argument 1");
    // Members of the inherited dictionary come first.
    const inherited = eventInit(init, prefix, "Argument 2");
    const { registration } = ownInit(init, prefix, "Argument 2");
    super(type, inherited);
    this.#registration = registration;
  }

  get registration() {
    return this.#registration;
  }
}

configureInterface(BackgroundFetchEvent);

class BackgroundFetchUpdateUIEvent extends BackgroundFetchEvent {
  /** The engine's number of the event; null for an event that a script created. */
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

  async updateUI(options = undefined) {
    const event = this.#event;
    const prefix = "Failed to execute 'updateUI' on 'BackgroundFetchUpdateUIEvent'";
    const { title = null, icons = null } = uiOptions(options, prefix, "Argument 1");
    // Step 1, an event that a script created has no UI.
    if (event === null) {
      throw new DOMException("The event was not fired by the user agent", "InvalidStateError");
    }
    await engine.updateUI(event, { __proto__: null, title, icons });
  }
}

const { setEvent } = BackgroundFetchUpdateUIEvent;
delete BackgroundFetchUpdateUIEvent.setEvent;
configureInterface(BackgroundFetchUpdateUIEvent);

const ownInit = dictionary("BackgroundFetchEventInit", [
  requiredMember("registration", registrationConverter),
]);

function registrationConverter(value, prefix, context) {
  if (isRegistration(value)) return value;
  throw new TypeError(prefix + ": " + context + " is not of type BackgroundFetchRegistration");
}

export { BackgroundFetchEvent, BackgroundFetchUpdateUIEvent, setEvent };
