// Tells what looks built-ins up. Works in pages and in service workers.
"use strict";

const globalsWatch = (() => {
  const { apply, defineProperty, getOwnPropertyDescriptor, getPrototypeOf, ownKeys } = Reflect;
  const { Error, Object, Promise, Set, String } = globalThis;
  const uncurryThis = Function.prototype.call.bind(Function.prototype.bind, Function.prototype.call);
  const includes = uncurryThis(String.prototype.includes);
  const indexOf = uncurryThis(String.prototype.indexOf);
  const slice = uncurryThis(String.prototype.slice);
  const create = Object.create;

  /** Members that scripts may find on Object.prototype where they look for one that is not there. */
  const INHERITED = [
    "then", "toJSON", "get", "set", "value", "writable", "enumerable", "configurable", "done", "next",
    "bubbles", "cancelable", "composed", "registration", "title", "icons", "downloadTotal", "src",
    "ignoreSearch", "ignoreMethod", "ignoreVary", "cacheName", "transfer", "mode", "keepalive", "body",
    "body_length", "referrer", "integrity", "type", "kind", "error", "scope", "data", "ports", "source",
  ];

  /** Functions of the global object, beside the interfaces. */
  const FUNCTIONS = [
    "addEventListener", "atob", "caches", "clearTimeout", "clients", "console", "crypto",
    "dispatchEvent", "document", "fetch", "location", "navigator", "performance", "queueMicrotask",
    "registration", "reportError", "setTimeout", "skipWaiting", "structuredClone",
  ];

  /** Every property that can be changed: of built-in objects, and of the global object that name them. */
  function properties() {
    const found = [];
    const seen = new Set();
    const isObject = (value) =>
      typeof value === "function" || (typeof value === "object" && value !== null);
    const isOfTheLanguage = (key) => typeof key === "string" || Object.values(WELL_KNOWN).includes(key);
    const visit = (holder, path) => {
      if (!isObject(holder) || seen.has(holder)) return;
      seen.add(holder);
      for (const key of ownKeys(holder)) {
        // Symbols of their own are what a host's scripts call each other by.
        if (!isOfTheLanguage(key)) continue;
        if (typeof holder === "function" && (key === "length" || key === "name")) continue;
        const descriptor = getOwnPropertyDescriptor(holder, key);
        const name = typeof key === "string" ? `${path}.${key}` : `${path}[${key.description}]`;
        if (descriptor.configurable) found.push({ holder, key, name, descriptor });
        if ("value" in descriptor) visit(descriptor.value, name);
      }
      visit(getPrototypeOf(holder), `${path}.__proto__`);
    };
    const names = Object.getOwnPropertyNames(globalThis).filter((name) => /^[A-Z]/.test(name));
    seen.add(globalThis);
    for (const name of [...names, ...FUNCTIONS]) {
      const descriptor = getOwnPropertyDescriptor(globalThis, name);
      if (descriptor?.configurable) found.push({ holder: globalThis, key: name, name, descriptor });
      const value = globalThis[name];
      if (typeof value === "function" || /^[A-Z]/.test(name) || name === "console") visit(value, name);
    }
    const iterators = {
      "%ArrayIteratorPrototype%": [][Symbol.iterator](),
      "%MapIteratorPrototype%": new Map()[Symbol.iterator](),
      "%SetIteratorPrototype%": new Set()[Symbol.iterator](),
      "%StringIteratorPrototype%": ""[Symbol.iterator](),
      "%RegExpStringIteratorPrototype%": "".matchAll(/a/g),
      "%GeneratorPrototype%": (function* () {})(),
      "%AsyncGeneratorPrototype%": (async function* () {})(),
    };
    for (const [name, iterator] of Object.entries(iterators)) visit(getPrototypeOf(iterator), name);
    visit(getPrototypeOf(async () => {}), "%AsyncFunction.prototype%");
    for (const name of INHERITED) {
      const key = { holder: Object.prototype, key: name, name: `Object.prototype.${name}` };
      found.push({ ...key, descriptor: undefined });
    }
    return found;
  }

  /** What deno_core looks up by itself on QuickJS, when it makes an error known. */
  const OF_THE_ENGINE = ["Symbol", "Symbol.for"];

  const WELL_KNOWN = Object.fromEntries(
    ownKeys(Symbol).filter((name) => typeof Symbol[name] === "symbol")
      .map((name) => [name, Symbol[name]]),
  );

  let isOn = false;
  let found = [];
  /** What scripts were given: looking for `then` on it is what resolving a promise with it does. */
  const given = new Set();
  const has = uncurryThis(Set.prototype.has);
  const add = uncurryThis(Set.prototype.add);

  /** Whether the line of a stack is of this file, or of the engine. */
  function isInBetween(line) {
    return includes(line, "/globals.js") || includes(line, "(native)");
  }

  function note(name, receiver) {
    if (!isOn) return;
    isOn = false;
    let rest = `${new Error().stack}\n`;
    let caller = "";
    // The first line is the error's own.
    for (let at = indexOf(rest, "\n"); at >= 0; at = indexOf(rest, "\n")) {
      rest = slice(rest, at + 1);
      const end = indexOf(rest, "\n");
      caller = end < 0 ? "" : slice(rest, 0, end);
      if (caller === "" || !isInBetween(caller)) break;
    }
    if (caller === "" || includes(caller, "ext:bgfetch")) {
      found[found.length] = { name, caller, receiver };
    }
    isOn = true;
  }

  /** Prepares a promise for an `await` that looks nothing up. */
  function own(promise) {
    defineProperty(promise, "constructor", { __proto__: null, value: Promise });
    return promise;
  }

  function watch({ holder, key, name, descriptor }) {
    const get = descriptor?.get;
    const isAccessor = descriptor !== undefined && !("value" in descriptor);
    let value = descriptor?.value;
    defineProperty(holder, key, {
      __proto__: null,
      get() {
        note(name, this);
        if (isAccessor) return get === undefined ? undefined : apply(get, this, []);
        return value;
      },
      set(other) {
        note(name, this);
        if (isAccessor) {
          if (descriptor.set !== undefined) apply(descriptor.set, this, [other]);
        } else if (this === holder) {
          value = other;
        } else {
          // As an assignment does where a property of data is inherited.
          defineProperty(this, key, {
            __proto__: null,
            value: other,
            writable: true,
            enumerable: true,
            configurable: true,
          });
        }
      },
      enumerable: descriptor?.enumerable ?? false,
      configurable: true,
    });
  }

  function restore({ holder, key, descriptor }) {
    if (descriptor === undefined) delete holder[key];
    else defineProperty(holder, key, descriptor);
  }

  let watched = [];

  return {
    /** Watches everything from now on. */
    start() {
      watched = properties();
      for (const property of watched) watch(property);
      isOn = true;
    },
    /** A value that a script was given by the interfaces, as a promise of theirs resolves with it. */
    async take(promise) {
      const value = await own(promise);
      add(given, value);
      return value;
    },
    own,
    /** What was looked up so far. */
    stop() {
      isOn = false;
      for (let i = watched.length - 1; i >= 0; i--) restore(watched[i]);
      const isExpected = ({ name, caller, receiver }) =>
        (name === "Object.prototype.then" && has(given, receiver)) || (caller === "" && OF_THE_ENGINE.includes(name));
      const unexpected = found.filter((one) => !isExpected(one));
      const texts = unexpected.map(({ name, caller, receiver }) => {
        const kind = Object.prototype.toString.call(receiver);
        return `${name} of ${kind} by ${caller === "" ? "the engine" : caller.trim()}`;
      });
      return [...new Set(texts)];
    },
  };
})();
