// Event handler IDL attributes (https://html.spec.whatwg.org/multipage/webappapis.html#event-handler-idl-attributes).
import { apply, SafeMap, SafeWeakMap, uncurryThis } from "./primordials.js";
import { addListener, Event, removeListener } from "./platform.js";

const preventDefault = uncurryThis(Event.prototype.preventDefault);

/** The handlers of each target: a Map from type to { value, listener }. */
const handlers = new SafeWeakMap();

/**
 * Defines the attribute `on...` for events of `type` on `holder`, an interface's prototype or the
 * global object. `toTarget` gets the `this` value of an access, and throws if that has another
 * type.
 */
function defineEventHandler(holder, type, toTarget) {
  const name = "on" + type;
  const accessors = {
    get [name]() {
      return handlers.get(toTarget(this))?.get(type)?.value ?? null;
    },
    set [name](value) {
      setEventHandler(toTarget(this), type, value);
    },
  };
  Object.defineProperty(holder, name, Object.getOwnPropertyDescriptor(accessors, name));
}

function setEventHandler(target, type, value) {
  const isObject = typeof value === "function" || (typeof value === "object" && value !== null);
  let ofTarget = handlers.get(target);
  const current = ofTarget?.get(type);
  if (!isObject) {
    if (current !== undefined) {
      removeListener(target, type, current.listener);
      ofTarget.delete(type);
    }
    return;
  }
  // A handler keeps its position among the listeners when it is replaced.
  if (current !== undefined) {
    current.value = value;
    return;
  }
  const handler = { value, listener: null };
  handler.listener = function (event) {
    if (typeof handler.value !== "function") return;
    if (apply(handler.value, this, [event]) === false) preventDefault(event);
  };
  if (ofTarget === undefined) handlers.set(target, ofTarget = new SafeMap());
  ofTarget.set(type, handler);
  addListener(target, type, handler.listener);
}

export { defineEventHandler };
