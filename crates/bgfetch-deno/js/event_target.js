// Events (https://dom.spec.whatwg.org/#events) over the state of Deno's events and targets, which is under
// symbols. Deno's own methods use attributes that a page can replace.
(function () {
"use strict";

const { core } = __bootstrap;
const {
  append,
  apply,
  find,
  forEach,
  getOwnPropertyDescriptor,
  getterOf,
  hasOwn,
  includes,
  indexOf,
  isObject,
  map,
  ownKeys,
  removeAt,
  String,
  TypeError,
} = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const event = core.loadExtScript("ext:deno_web/02_event.js");
const abortSignal = core.loadExtScript("ext:deno_web/03_abort_signal.js");

const { Event, EventTarget, reportException, setEventTargetData } = event;
const { prototype } = EventTarget;
const isAborted = getterOf(abortSignal.AbortSignal.prototype, "aborted");
const global = globalThis;

const CAPTURING_PHASE = 1;
const AT_TARGET = 2;
const BUBBLING_PHASE = 3;

/** The symbol of a member that Deno's objects have. */
function symbolOf(object, description) {
  return find(
    ownKeys(object),
    (key) => typeof key === "symbol" && key !== webidl.brand && key.description === description,
  );
}

const sample = new Event("");
/** `type`, `bubbles`, `target` and so on. */
const ATTRIBUTES = symbolOf(sample, "[[attributes]]");
const CANCELED = symbolOf(sample, "[[canceledFlag]]");
const DISPATCHED = symbolOf(sample, "[[dispatched]]");
const IN_PASSIVE_LISTENER = symbolOf(sample, "[[inPassiveListener]]");
const IS_TRUSTED = symbolOf(sample, "[[isTrusted]]");
const PATH = symbolOf(sample, "[[path]]");
const STOPPED = symbolOf(sample, "[[stopPropagationFlag]]");
const STOPPED_AT_ONCE = symbolOf(sample, "[[stopImmediatePropagationFlag]]");
const sampleTarget = new EventTarget();
setEventTargetData(sampleTarget);
/** The listeners of a target. */
const DATA = symbolOf(sampleTarget, undefined);

/** https://dom.spec.whatwg.org/#get-the-parent */
let parentOf = () => null;

function setParentOf(other) {
  parentOf = other;
}

/** The listeners of a target for a type of event. */
function listenersOf(target, type) {
  return hasOwn(target, DATA) ? target[DATA].listeners[type] ?? [] : [];
}

/** https://dom.spec.whatwg.org/#concept-event-dispatch. There are no shadow trees. */
function dispatch(target, event) {
  const attributes = event[ATTRIBUTES];
  const path = [];
  for (let item = target; item !== null; item = parentOf(item)) append(path, item);
  event[DISPATCHED] = true;
  event[PATH] = map(path, (item) => ({
    __proto__: null,
    item,
    rootOfClosedTree: false,
    slotInClosedTree: false,
  }));
  attributes.target = target;
  for (let i = path.length - 1; i >= 0; i--) {
    attributes.eventPhase = i === 0 ? AT_TARGET : CAPTURING_PHASE;
    invoke(path[i], event, true);
  }
  for (let i = 0; i < path.length && (i === 0 || attributes.bubbles); i++) {
    attributes.eventPhase = i === 0 ? AT_TARGET : BUBBLING_PHASE;
    invoke(path[i], event, false);
  }
  attributes.eventPhase = 0;
  attributes.currentTarget = null;
  event[PATH] = [];
  event[DISPATCHED] = false;
  event[STOPPED] = false;
  event[STOPPED_AT_ONCE] = false;
  return !event[CANCELED];
}

/** https://dom.spec.whatwg.org/#concept-event-listener-invoke */
function invoke(target, event, capture) {
  if (event[STOPPED]) return;
  const attributes = event[ATTRIBUTES];
  attributes.currentTarget = target;
  const { type } = attributes;
  const atStart = map(listenersOf(target, type), (listener) => listener);
  forEach(atStart, (listener) => {
    const { callback, options } = listener;
    if (options.capture !== capture || event[STOPPED_AT_ONCE]) return;
    if (!includes(listenersOf(target, type), listener)) return;
    if (options.once) remove(target, type, callback, capture);
    event[IN_PASSIVE_LISTENER] = options.passive;
    try {
      if (typeof callback === "function") apply(callback, target, [event]);
      else apply(callback.handleEvent, callback, [event]);
    } catch (error) {
      report(error);
    }
    event[IN_PASSIVE_LISTENER] = false;
  });
}

function report(error) {
  try {
    reportException(error);
  } catch {
    // The page broke error reporting, too, so nothing is reported.
  }
}

/** Fires a trusted event. Exceptions of listeners are reported. */
function fire(target, toFire) {
  toFire[IS_TRUSTED] = true;
  dispatch(target, toFire);
}

/** https://dom.spec.whatwg.org/#add-an-event-listener */
function add(target, type, callback, { capture, once, passive, signal }) {
  if (signal !== undefined && isAborted(signal)) return;
  const known = listenersOf(target, type);
  if (positionOf(known, callback, capture) >= 0) return;
  if (!hasOwn(target, DATA)) setEventTargetData(target);
  const { listeners } = target[DATA];
  if (!hasOwn(listeners, type)) listeners[type] = [];
  const options = { __proto__: null, capture, once, passive };
  append(listeners[type], { __proto__: null, callback, options });
  if (signal !== undefined) signal[abortSignal.add](() => remove(target, type, callback, capture));
}

/** https://dom.spec.whatwg.org/#remove-an-event-listener */
function remove(target, type, callback, capture) {
  const listeners = listenersOf(target, type);
  const index = positionOf(listeners, callback, capture);
  if (index >= 0) removeAt(listeners, index);
}

function positionOf(listeners, callback, capture) {
  const same = find(
    listeners,
    (listener) => listener.callback === callback && listener.options.capture === capture,
  );
  return same === undefined ? -1 : indexOf(listeners, same);
}

function toTarget(object) {
  const target = object ?? global;
  webidl.assertBranded(target, prototype);
  return target;
}

function requiredArguments(given, required, method) {
  if (given >= required) return;
  throw new TypeError("Failed to execute '" + method + "' on 'EventTarget': too few arguments");
}

/** https://webidl.spec.whatwg.org/#es-callback-interface, which may be null. */
function toCallback(value) {
  if (value === null || value === undefined) return null;
  if (isObject(value)) return value;
  throw new TypeError("The listener is not an object");
}

/** https://dom.spec.whatwg.org/#event-flatten-more */
function toOptions(options) {
  if (!isObject(options)) {
    return { __proto__: null, capture: !!options, once: false, passive: false, signal: undefined };
  }
  const capture = !!options.capture;
  const once = !!options.once;
  const passive = !!options.passive;
  const { signal } = options;
  // Throws for other objects.
  if (signal !== undefined) isAborted(signal);
  return { __proto__: null, capture, once, passive, signal };
}

const methods = {
  addEventListener(type, callback, options = undefined) {
    const target = toTarget(this);
    requiredArguments(arguments.length, 2, "addEventListener");
    const text = String(type);
    const listener = toCallback(callback);
    const converted = toOptions(options);
    if (listener !== null) add(target, text, listener, converted);
  },

  removeEventListener(type, callback, options = undefined) {
    const target = toTarget(this);
    requiredArguments(arguments.length, 2, "removeEventListener");
    const text = String(type);
    const listener = toCallback(callback);
    const capture = isObject(options) ? !!options.capture : !!options;
    if (listener !== null) remove(target, text, listener, capture);
  },

  dispatchEvent(event) {
    const target = toTarget(this);
    requiredArguments(arguments.length, 1, "dispatchEvent");
    if (!isObject(event) || !hasOwn(event, ATTRIBUTES)) {
      throw new TypeError("The argument is not an Event");
    }
    if (event[DISPATCHED]) {
      throw new DOMException("The event is being dispatched", "InvalidStateError");
    }
    return dispatch(target, event);
  },
};

/** Replaces Deno's methods in a realm. */
function installEventTarget() {
  forEach(ownKeys(methods), (name) => {
    const { value } = getOwnPropertyDescriptor(methods, name);
    const descriptor = getOwnPropertyDescriptor(prototype, name);
    descriptor.value = value;
    Object.defineProperty(prototype, name, descriptor);
  });
}

const LISTENER = { __proto__: null, capture: false, once: false, passive: false, signal: undefined };

return {
  addListener: (target, type, callback) => add(target, type, callback, LISTENER),
  dispatch,
  fire,
  hasListener: (target, type) => listenersOf(target, type).length > 0,
  installEventTarget,
  removeListener: (target, type, callback) => remove(target, type, callback, false),
  setParentOf,
};
})();
