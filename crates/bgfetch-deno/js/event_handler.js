// Event handler IDL attributes (https://html.spec.whatwg.org/multipage/webappapis.html#event-handler-idl-attributes).
// Deno's own do not check what they are called on.
(function () {
"use strict";

const { core } = __bootstrap;
/** The handlers of each target: a Map from type to { value, listener }. */
const handlers = new WeakMap();

/**
 * Defines the attribute `on...` for events of `type` on `holder`, an interface's prototype or the
 * global object. `toTarget` is given the `this` of an access, and throws where it is of another
 * type.
 */
function defineEventHandler(holder, type, toTarget) {
  const name = `on${type}`;
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
      target.removeEventListener(type, current.listener);
      ofTarget.delete(type);
    }
    return;
  }
  // A handler keeps its place among the listeners when it is replaced.
  if (current !== undefined) {
    current.value = value;
    return;
  }
  const handler = { value, listener: null };
  handler.listener = function (event) {
    if (typeof handler.value !== "function") return;
    if (Reflect.apply(handler.value, event.currentTarget, [event]) === false) {
      event.preventDefault();
    }
  };
  if (ofTarget === undefined) handlers.set(target, ofTarget = new Map());
  ofTarget.set(type, handler);
  target.addEventListener(type, handler.listener);
}

return { defineEventHandler };
})();
