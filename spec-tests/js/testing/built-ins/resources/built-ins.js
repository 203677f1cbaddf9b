// Patches every built-in in turn, while calls run that use none of them. Works in pages and in service
// workers.
//
// What runs while a built-in is patched looks nothing up: it calls by `apply`, awaits by `own`, and has
// no `for...of`, no spread arguments and no templates.
"use strict";

const builtIns = (() => {
  const { apply, defineProperty, getOwnPropertyDescriptor, getPrototypeOf, ownKeys } = Reflect;
  const { Array, Error, Map, Object, Promise, Set } = globalThis;
  const uncurryThis = Function.prototype.call.bind(Function.prototype.bind, Function.prototype.call);
  const isArray = Array.isArray;
  const domName = uncurryThis(getOwnPropertyDescriptor(DOMException.prototype, "name").get);

  /** Members that scripts may look for where there are none. */
  const ADDED = `
    actions badge body bubbles cacheName cancelable capture cause code composed
    configurable constructor data detail dir done downloadTotal enumerable error flags
    get handleEvent headers hostObjects icon icons ignoreMethod ignoreSearch ignoreVary image
    includeUncontrolled integrity keepalive kind label lang lastEventId length list maxByteLength message
    method mode name navigate next nodeType once options origin passive ports priority promise quota raw
    reason redirect referrer registration relatedTarget renotify requested requireInteraction return scope
    set signal silent sizes source src stack status statusText tag throw timestamp title toJSON transfer
    transferables type updateViaCache url value vibrate writable
  `.trim().split(/\s+/);

  /** Objects of the language to which no property of the global object leads. */
  const HIDDEN = {
    "%ArrayIterator%": [][Symbol.iterator](),
    "%MapIterator%": new Map()[Symbol.iterator](),
    "%SetIterator%": new Set()[Symbol.iterator](),
    "%StringIterator%": ""[Symbol.iterator](),
    "%RegExpStringIterator%": "".matchAll(/a/g),
    "%WrapForValidIterator%": Iterator.from({ next() {} }),
    "%IteratorHelper%": [].values().map(() => {}),
    "%Generator%": (function* () {})(),
    "%AsyncGenerator%": (async function* () {})(),
    "%AsyncFunction%": async () => {},
    "%AsyncGeneratorFunction%": async function* () {},
    "%GeneratorFunction%": function* () {},
  };

  /** What scripts of the test added to the global object. */
  const OWN = /^(_|add_|assert_|async_test|bgfetch|builtIns|done$|EventWatcher|expect|explicit_|fetch_|format_|generate_|on_event|once$|Pass|promise_|RemoteContext|setup$|step_|subset|test|Test|timeout$|webkit)/;

  const isObject = (value) =>
    typeof value === "function" || (typeof value === "object" && value !== null);

  /**
   * Groups of properties to be patched together: each own property, with a name or a symbol, of each
   * object that the global object and the language's hidden objects lead to; each added property of
   * Object.prototype; and all names and lengths of functions.
   */
  function groups() {
    const found = [];
    const ofFunctions = [];
    const seen = new Set([builtIns]);
    const visit = (holder, path, isInstance) => {
      if (!isObject(holder) || seen.has(holder)) return;
      seen.add(holder);
      for (const key of ownKeys(holder)) {
        const isSymbol = typeof key === "symbol";
        // A host keeps the state of its objects under symbols.
        if (isSymbol && isInstance) continue;
        if (holder === globalThis && (isSymbol || OWN.test(key))) continue;
        const descriptor = getOwnPropertyDescriptor(holder, key);
        const name = path + (isSymbol ? `[${key.description}]` : `.${key}`);
        const isOfFunction = typeof holder === "function" && (key === "name" || key === "length");
        // The length of an array can only be a number.
        if (descriptor.configurable || (descriptor.writable && !isArray(holder))) {
          const property = { holder, key, name, descriptor };
          if (isOfFunction) ofFunctions.push(property);
          else found.push({ name, properties: [property] });
        }
        const { value, get, set } = descriptor;
        visit(value, name, typeof value === "object" && key !== "prototype");
        visit(get, `get ${name}`, false);
        visit(set, `set ${name}`, false);
      }
      visit(getPrototypeOf(holder), `${path}.__proto__`, false);
    };
    visit(globalThis, "", true);
    for (const [name, object] of Object.entries(HIDDEN)) visit(getPrototypeOf(object), name, false);
    for (const key of ADDED) {
      if (key in Object.prototype) continue;
      const name = `Object.prototype.${key}`;
      found.push({ name, properties: [{ holder: Object.prototype, key, name, descriptor: undefined }] });
    }
    found.push({ name: "the names and lengths of functions", properties: ofFunctions });
    return found;
  }

  /** What the engine looks up when an op fails. A page that patches it changes no result. */
  const OF_THE_ENGINE = [".Symbol", ".Symbol.for"];

  /** The uses of patched built-ins so far. */
  let uses = [];

  function patch({ holder, key, name, descriptor }) {
    const fail = () => {
      uses[uses.length] = name + " is used at " + new Error().stack;
      throw new Error(name);
    };
    if (descriptor !== undefined && !descriptor.configurable) {
      holder[key] = fail;
      return;
    }
    const enumerable = descriptor !== undefined && descriptor.enumerable;
    defineProperty(holder, key, { __proto__: null, get: fail, set: fail, enumerable, configurable: true });
  }

  function restore({ holder, key, descriptor }) {
    if (descriptor === undefined) delete holder[key];
    else defineProperty(holder, key, descriptor);
  }

  /** Prepares a promise for an `await` that looks nothing up. */
  function own(promise) {
    defineProperty(promise, "constructor", { __proto__: null, value: Promise });
    return promise;
  }

  /** What is shown of an object, by its interface's prototype. */
  const shown = [];

  /** A text for a result of a call. */
  function describe(value) {
    if (value === null) return "null";
    if (typeof value !== "object") return typeof value === "symbol" ? "symbol" : "" + value;
    if (isArray(value)) {
      let text = "[";
      for (let i = 0; i < value.length; i++) text += describe(value[i]) + ",";
      return text + "]";
    }
    const prototype = getPrototypeOf(value);
    for (let i = 0; i < shown.length; i++) {
      if (shown[i].prototype === prototype) return shown[i].name + " " + describe(shown[i].of(value));
    }
    return "object";
  }

  function show(Interface, of) {
    shown.push({ prototype: Interface.prototype, name: Interface.name, of });
  }
  for (const Class of [EvalError, RangeError, SyntaxError, TypeError, URIError, Error]) show(Class, () => "");
  show(DOMException, domName);
  show(Object, () => "");
  show(ArrayBuffer, uncurryThis(getOwnPropertyDescriptor(ArrayBuffer.prototype, "byteLength").get));

  function isPromise(value) {
    return typeof value === "object" && value !== null && getPrototypeOf(value) === Promise.prototype;
  }

  /** The text for what a call returns or throws; a promise for it if it returns a promise. */
  function outcome(call) {
    try {
      const value = call();
      return isPromise(value) ? settled(value) : describe(value);
    } catch (error) {
      return "throws " + describe(error);
    }
  }

  async function settled(promise) {
    try {
      return describe(await own(promise));
    } catch (error) {
      return "rejects with " + describe(error);
    }
  }

  /** The outcomes of all the calls, which are made at once. */
  async function outcomes(calls) {
    const started = [];
    for (let i = 0; i < calls.length; i++) {
      defineProperty(started, i, { __proto__: null, value: outcome(calls[i]), writable: true, configurable: true });
    }
    let text = "";
    for (let i = 0; i < calls.length; i++) {
      const one = started[i];
      text += (typeof one === "string" ? one : await own(one)) + "\n";
    }
    return text;
  }

  /** The groups, with those of one object as one. */
  function byHolder(groups) {
    const found = new Map();
    for (const { name, properties } of groups) {
      const { holder } = properties[0];
      if (!found.has(holder)) found.set(holder, { name, properties: [] });
      found.get(holder).properties.push(...properties);
    }
    return [...found.values()];
  }

  function differences(name, actual, expected) {
    if (actual === expected) return [];
    const lines = expected.split("\n");
    return actual.split("\n").flatMap((line, index) =>
      line === lines[index] ? [] : [`${name}, call ${index}: ${line}, not ${lines[index]}`]);
  }

  /** A member of an interface or of one that it inherits from. */
  function descriptorOf(Interface, name) {
    let holder = Interface.prototype;
    let descriptor = getOwnPropertyDescriptor(holder, name);
    while (descriptor === undefined) {
      holder = getPrototypeOf(holder);
      descriptor = getOwnPropertyDescriptor(holder, name);
    }
    return descriptor;
  }

  return {
    describe,
    own,
    show,
    /** A method as a function of its object and the list of its arguments. */
    method: (Interface, name) => {
      const { value } = descriptorOf(Interface, name);
      return (object, list) => apply(value, object, list);
    },
    /** The getter of an attribute as a function of its object. */
    getter: (Interface, name) => {
      const { get } = descriptorOf(Interface, name);
      return (object) => apply(get, object, []);
    },
    setter: (Interface, name) => {
      const { set } = descriptorOf(Interface, name);
      return (object, value) => apply(set, object, [value]);
    },
    /**
     * Makes the calls, then again with each built-in patched in turn, or those of each object together.
     * Gives the number of built-ins and what was different.
     */
    async inTurn(calls, together = false) {
      const expected = await outcomes(calls);
      const failures = differences("a second time", await outcomes(calls), expected);
      const all = groups();
      for (const { name, properties } of together ? byHolder(all) : all) {
        uses = [];
        let actual = "";
        for (let i = 0; i < properties.length; i++) patch(properties[i]);
        try {
          actual = await own(outcomes(calls));
        } finally {
          for (let i = properties.length - 1; i >= 0; i--) restore(properties[i]);
        }
        if (!OF_THE_ENGINE.includes(name)) failures.push(...new Set(uses));
        failures.push(...differences(name, actual, expected));
      }
      return { count: all.length, failures };
    },
  };
})();
