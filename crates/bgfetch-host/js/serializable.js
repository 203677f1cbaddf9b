// Serializable objects (https://html.spec.whatwg.org/multipage/structured-data.html#serializable-objects)
// and the form of serialized values.
(function () {
"use strict";

const { core } = __bootstrap;
const {
  define,
  Error,
  forEach,
  getOwnPropertyDescriptor,
  getPrototypeOf,
  getterOf,
  hasOwn,
  SafeMap,
  uncurryThis,
} = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const { DOMException, QuotaExceededError } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const { Blob, File } = core.loadExtScript("ext:deno_web/09_file.js");
const { byteLengthOfBuffer } = core.loadExtScript("ext:bgfetch_host/buffer_source.js");

/**
 * A serialized value is a list of strings, numbers, booleans and nulls. Each value in it begins with
 * one of these tags. The objects are numbered in the order in which their tags appear.
 */
const TAGS = {
  __proto__: null,
  UNDEFINED: 0,
  /** Followed by a string, a number, a boolean or null. */
  PRIMITIVE: 1,
  /** Followed by the text of a number that JSON does not have. */
  NUMBER: 2,
  BIGINT: 3,
  /** Followed by the value of a Boolean, Number, String or BigInt object. */
  WRAPPER: 4,
  DATE: 5,
  /** Followed by the source and the flags. */
  REGEXP: 6,
  /** Followed by the maximum length or null; the bytes are beside the list. */
  BUFFER: 7,
  /** Followed by the interface, the offset, the length and the buffer. */
  VIEW: 8,
  /** Followed by keys and values, up to an `END`. */
  MAP: 9,
  SET: 10,
  /** Followed by the name, the message or null, the stack or null, and the cause or an `END`. */
  ERROR: 11,
  /** Followed by the length, and by the properties as for `OBJECT`. */
  ARRAY: 12,
  /** Followed by names and values, up to an `END`. */
  OBJECT: 13,
  /** Followed by the interface and its data. */
  PLATFORM: 14,
  /** Followed by the index of a transferred object. */
  TRANSFERRED: 15,
  /** Followed by the number of an object. */
  REFERENCE: 16,
  END: 17,
};
const { BUFFER, DATE, ERROR, MAP, PLATFORM, REGEXP, SET, WRAPPER } = TAGS;

const { ArrayBuffer, BigInt, Date, Map, Object, RegExp, Set } = globalThis;
const ObjectPrototype = Object.prototype;

/** The classes of native errors but Error itself. */
const ERRORS = { __proto__: null, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

const timeOf = uncurryThis(Date.prototype.getTime);
const sourceOf = getterOf(RegExp.prototype, "source");
const deserializers = core.getCloneableDeserializers();
const stackOfError = getterOf(Error.prototype, "stack");
const messageOf = getterOf(DOMException.prototype, "message");
const nameOf = getterOf(DOMException.prototype, "name");
const quotaOf = getterOf(QuotaExceededError.prototype, "quota");
const requestedOf = getterOf(QuotaExceededError.prototype, "requested");

/**
 * The serializable interfaces: `check` throws for other objects, `dataOf` returns what represents an
 * object, and `from` creates one.
 */
const INTERFACES = {
  __proto__: null,
  Blob: {
    prototype: Blob.prototype,
    check: getterOf(Blob.prototype, "size"),
    dataOf: uncurryThis(Blob.prototype[core.hostObjectBrand]),
    from: deserializers.Blob,
  },
  File: {
    prototype: File.prototype,
    check: getterOf(File.prototype, "name"),
    dataOf: uncurryThis(File.prototype[core.hostObjectBrand]),
    from: deserializers.File,
  },
  DOMException: {
    prototype: DOMException.prototype,
    check: messageOf,
    dataOf: (error) => ({
      __proto__: null,
      message: messageOf(error),
      name: nameOf(error),
      stack: stackOf(error),
    }),
    from: ({ message, name, stack }) => withStack(new DOMException(message, name), stack),
  },
  QuotaExceededError: {
    prototype: QuotaExceededError.prototype,
    check: quotaOf,
    dataOf: (error) => ({
      __proto__: null,
      message: messageOf(error),
      quota: quotaOf(error),
      requested: requestedOf(error),
      stack: stackOf(error),
    }),
    from({ message, quota, requested, stack }) {
      const options = { __proto__: null };
      if (quota !== null) options.quota = quota;
      if (requested !== null) options.requested = requested;
      return withStack(new QuotaExceededError(message, options), stack);
    },
  },
};

/**
 * The kinds of objects that have internal slots, by their prototypes. `is` tells whether an object
 * has the slots, and `contentsOf` returns the value that represents it. Kinds without a tag cannot be
 * cloned.
 */
const KINDS = new SafeMap();

function addKind(prototype, tag, is, contentsOf = undefined, name = undefined) {
  KINDS.set(prototype, { __proto__: null, tag, is, contentsOf, name });
}

/** A function that tells whether `check` accepts an object without throwing. */
function passing(check) {
  return (object) => {
    try {
      check(object);
      return true;
    } catch {
      return false;
    }
  };
}

addKind(Map.prototype, MAP, passing(getterOf(Map.prototype, "size")));
addKind(Set.prototype, SET, passing(getterOf(Set.prototype, "size")));
addKind(ArrayBuffer.prototype, BUFFER, passing(byteLengthOfBuffer));
addKind(Date.prototype, DATE, passing(timeOf), timeOf);
addKind(Error.prototype, ERROR, core.isNativeError);
addKind(RegExp.prototype, REGEXP, (object) =>
  object !== RegExp.prototype && passing(sourceOf)(object));
for (const { prototype } of [globalThis.Boolean, globalThis.Number, globalThis.String, BigInt]) {
  const valueOf = uncurryThis(prototype.valueOf);
  addKind(prototype, WRAPPER, passing(valueOf), valueOf);
}
for (const [name, { prototype, check, dataOf }] of Object.entries(INTERFACES)) {
  addKind(prototype, PLATFORM, passing(check), dataOf, name);
}
for (
  const name of [
    "AsyncDisposableStack",
    "DisposableStack",
    "FinalizationRegistry",
    "Iterator",
    "Promise",
    "ShadowRealm",
    "SharedArrayBuffer",
    "Symbol",
    "WeakMap",
    "WeakRef",
    "WeakSet",
  ]
) {
  if (globalThis[name] !== undefined) addKind(globalThis[name].prototype, null, () => true);
}
for (const name of ["Intl", "Temporal", "WebAssembly"]) {
  for (const key of Object.getOwnPropertyNames(globalThis[name] ?? {})) {
    const prototype = globalThis[name][key]?.prototype;
    if (prototype === undefined || prototype instanceof Error) continue;
    addKind(prototype, null, () => true);
  }
}
addKind(getPrototypeOf((async function* () {}).prototype), null, () => true);

/** The stack of an error, which the backend has as an own accessor. */
function stackOf(error) {
  if (!hasOwn(error, "stack")) return null;
  const stack = ownValue(error, "stack") ?? stackOfError(error);
  return typeof stack === "string" ? stack : null;
}

function withStack(error, stack) {
  if (stack !== null) define(error, "stack", stack);
  return error;
}

/** The value of an own data property. */
function ownValue(object, name) {
  const descriptor = getOwnPropertyDescriptor(object, name);
  return descriptor !== undefined && hasOwn(descriptor, "value") ? descriptor.value : undefined;
}

function refuse() {
  throw new DOMException("The object cannot be cloned", "DataCloneError");
}

/**
 * The kind of an object, if it has internal slots.
 *
 * OPTIMIZATION: only those that its prototypes stand for are looked for. An object whose prototype
 * was changed by a script is cloned as an ordinary object.
 */
function kindOf(object) {
  for (
    let holder = object;
    holder !== null && holder !== ObjectPrototype;
    holder = getPrototypeOf(holder)
  ) {
    const kind = KINDS.get(holder);
    if (kind !== undefined && kind.is(object)) return kind;
  }
  return undefined;
}

/** Whether an object is a platform object, or claims with a script's own mark to be one of Deno's. */
function isMarked(object) {
  for (
    let holder = object;
    holder !== null && holder !== ObjectPrototype;
    holder = getPrototypeOf(holder)
  ) {
    if (hasOwn(holder, core.hostObjectBrand)) return true;
  }
  return false;
}

return { ERRORS, INTERFACES, isMarked, kindOf, ownValue, refuse, sourceOf, stackOf, TAGS, withStack };
})();
