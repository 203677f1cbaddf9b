// The built-ins as they were before a page's first script, in forms that look up nothing on objects
// that the page can change. All scripts of the interfaces use these; the file depends on no host.
//
// The language itself looks built-ins up, too. So after startup these scripts avoid array patterns,
// spread arguments and `for...of` (which use Array.prototype's iterator) and template literals
// (QuickJS calls String.prototype.concat), and object literals have a null prototype if members that
// may be missing are read from them. What `await` looks up is the host's to protect.
const {
  Array,
  Error,
  FinalizationRegistry,
  JSON,
  Map,
  Number,
  Object,
  Promise,
  Proxy,
  RangeError,
  Reflect,
  RegExp,
  Set,
  String,
  Symbol,
  TypeError,
  Uint8Array,
  WeakMap,
  WeakRef,
  WeakSet,
} = globalThis;
const {
  apply,
  construct,
  defineProperty,
  get,
  getOwnPropertyDescriptor,
  getPrototypeOf,
  has,
  ownKeys,
} = Reflect;
const { freeze, hasOwn, setPrototypeOf } = Object;
const { iterator } = Symbol;
const { bind, call } = Function.prototype;

/** A method as a function whose first argument is the method's `this` value. */
function uncurryThis(method) {
  return apply(bind, call, [method]);
}

/** The getter of an accessor, as a function of the object. */
function getterOf(prototype, name) {
  return uncurryThis(getOwnPropertyDescriptor(prototype, name).get);
}

/** A property that scripts may change, as if it were assigned. */
function define(object, name, value, enumerable = false) {
  defineProperty(object, name, {
    __proto__: null,
    value,
    writable: true,
    enumerable,
    configurable: true,
  });
}

/** A subclass of the collection with own copies of its methods, which no page can reach. */
function withOwnMethods(Collection) {
  class Own extends Collection {
    constructor(argument) {
      super(argument);
    }
  }
  const { prototype } = Collection;
  for (const key of ownKeys(prototype)) {
    if (key !== "constructor") {
      defineProperty(Own.prototype, key, getOwnPropertyDescriptor(prototype, key));
    }
  }
  return Own;
}

const SafeMap = withOwnMethods(Map);
const SafeSet = withOwnMethods(Set);
const SafeWeakMap = withOwnMethods(WeakMap);
const SafeWeakSet = withOwnMethods(WeakSet);
const SafeWeakRef = withOwnMethods(WeakRef);
const SafeFinalizationRegistry = withOwnMethods(FinalizationRegistry);

/** Adds to the end of a list. Unlike push(), it calls no setter of Array.prototype. */
function append(list, value) {
  define(list, list.length, value, true);
}

function forEach(list, call) {
  for (let i = 0; i < list.length; i++) call(list[i], i);
}

function map(list, convert) {
  const converted = [];
  for (let i = 0; i < list.length; i++) append(converted, convert(list[i], i));
  return converted;
}

function filter(list, test) {
  const found = [];
  for (let i = 0; i < list.length; i++) {
    const value = list[i];
    if (test(value)) append(found, value);
  }
  return found;
}

function find(list, test) {
  for (let i = 0; i < list.length; i++) {
    const value = list[i];
    if (test(value)) return value;
  }
  return undefined;
}

function some(list, test) {
  for (let i = 0; i < list.length; i++) if (test(list[i])) return true;
  return false;
}

function every(list, test) {
  return !some(list, (value) => !test(value));
}

function indexOf(list, value) {
  for (let i = 0; i < list.length; i++) if (list[i] === value) return i;
  return -1;
}

function includes(list, value) {
  return indexOf(list, value) >= 0;
}

/** The elements of all the lists, in order. */
function concat(lists) {
  const all = [];
  forEach(lists, (list) => forEach(list, (value) => append(all, value)));
  return all;
}

function join(list, separator) {
  let text = "";
  for (let i = 0; i < list.length; i++) text += (i === 0 ? "" : separator) + list[i];
  return text;
}

/** A copy of a list for callers that use its iterator, which is an own property. */
function iterable(list) {
  const copy = map(list, (element) => element);
  define(copy, iterator, () => {
    let next = 0;
    return {
      __proto__: null,
      next: () => ({ __proto__: null, done: next >= copy.length, value: copy[next++] }),
    };
  });
  return copy;
}

/** Inserts an element into a list. */
function insertAt(list, index, value) {
  append(list, value);
  for (let i = list.length - 1; i > index; i--) list[i] = list[i - 1];
  list[index] = value;
}

/** Removes an element from a list. */
function removeAt(list, index) {
  for (let i = index; i < list.length - 1; i++) list[i] = list[i + 1];
  list.length--;
}

const { isArray } = Array;
const { parse, stringify } = JSON;

/**
 * Serializes values, records and lists as JSON, without looking up `toJSON` on objects of the page.
 */
function toJson(value) {
  return stringify(withoutToJson(value));
}

function withoutToJson(value) {
  if (typeof value !== "object" || value === null) return value;
  if (isArray(value)) {
    const list = map(value, withoutToJson);
    define(list, "toJSON", undefined);
    return list;
  }
  return toRecord(value, withoutToJson);
}

/** Parses a JSON text into records without a prototype. */
function fromJson(text) {
  return withoutPrototypes(parse(text));
}

function withoutPrototypes(value) {
  if (typeof value !== "object" || value === null) return value;
  return isArray(value) ? map(value, withoutPrototypes) : toRecord(value, withoutPrototypes);
}

/** An object's own members, converted, in an object without a prototype. */
function toRecord(object, convert) {
  const record = { __proto__: null };
  forEach(ownKeys(object), (key) => record[key] = convert(object[key]));
  return record;
}

const stringCharCodeAt = uncurryThis(String.prototype.charCodeAt);
const stringEndsWith = uncurryThis(String.prototype.endsWith);
const stringIncludes = uncurryThis(String.prototype.includes);
const stringIndexOf = uncurryThis(String.prototype.indexOf);
const stringSlice = uncurryThis(String.prototype.slice);
const stringStartsWith = uncurryThis(String.prototype.startsWith);
const stringToLowerCase = uncurryThis(String.prototype.toLowerCase);
const stringToUpperCase = uncurryThis(String.prototype.toUpperCase);
const stringTrim = uncurryThis(String.prototype.trim);
/** Replaces each lone surrogate with one U+FFFD. */
const toWellFormed = uncurryThis(String.prototype.toWellFormed);

/** The parts of a text between the separators. */
function split(text, separator) {
  const parts = [];
  let start = 0;
  for (;;) {
    const end = stringIndexOf(text, separator, start);
    if (end < 0) break;
    append(parts, stringSlice(text, start, end));
    start = end + separator.length;
  }
  append(parts, stringSlice(text, start));
  return parts;
}

const exec = uncurryThis(RegExp.prototype.exec);

/** Whether a regular expression without the flags `g` and `y` matches. */
function matches(regexp, text) {
  return exec(regexp, text) !== null;
}

/** A promise with its resolving functions. */
function withResolvers() {
  let resolve;
  let reject;
  const promise = new Promise((resolving, rejecting) => {
    resolve = resolving;
    reject = rejecting;
  });
  return { __proto__: null, promise, resolve, reject };
}

/**
 * Resolves when all of our promises have resolved, and puts their values into the list in order.
 */
function allInto(list, promises) {
  const { promise, resolve, reject } = withResolvers();
  let pending = promises.length;
  const take = async (each, index) => {
    try {
      list[index] = await each;
    } catch (error) {
      reject(error);
    }
    pending--;
    if (pending === 0) resolve();
  };
  forEach(promises, () => append(list, undefined));
  forEach(promises, take);
  if (pending === 0) resolve();
  return promise;
}

/** A rejected promise, for a script. */
function rejected(reason) {
  return new Promise((_, reject) => reject(reason));
}

function isObject(value) {
  return typeof value === "function" || (typeof value === "object" && value !== null);
}

export {
  allInto,
  append,
  apply,
  concat,
  construct,
  define,
  defineProperty,
  Error,
  every,
  exec,
  filter,
  find,
  forEach,
  freeze,
  fromJson,
  get,
  getOwnPropertyDescriptor,
  getPrototypeOf,
  getterOf,
  has,
  hasOwn,
  includes,
  indexOf,
  insertAt,
  isObject,
  iterable,
  iterator,
  join,
  map,
  matches,
  Number,
  ownKeys,
  parse,
  Promise,
  Proxy,
  RangeError,
  rejected,
  removeAt,
  SafeFinalizationRegistry,
  SafeMap,
  SafeSet,
  SafeWeakMap,
  SafeWeakRef,
  SafeWeakSet,
  setPrototypeOf,
  some,
  split,
  String,
  stringCharCodeAt,
  stringEndsWith,
  stringify,
  stringIncludes,
  stringIndexOf,
  stringSlice,
  stringStartsWith,
  stringToLowerCase,
  stringToUpperCase,
  stringTrim,
  toJson,
  toWellFormed,
  TypeError,
  Uint8Array,
  uncurryThis,
  withResolvers,
};
