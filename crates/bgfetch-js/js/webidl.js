// Conversions of arguments (https://webidl.spec.whatwg.org/).
import {
  append,
  apply,
  define,
  filter,
  isObject,
  iterator,
  Number,
  String,
  toWellFormed,
  TypeError,
} from "./primordials.js";
import { isRequest, parseUrl } from "./platform.js";

/** The error of an access on an object of the wrong type. */
function illegalInvocation() {
  return new TypeError("Illegal invocation");
}

function requiredArguments(given, required, prefix) {
  if (given >= required) return;
  const noun = required === 1 ? " argument" : " arguments";
  throw new TypeError(prefix + ": " + required + noun + " required, but only " + given + " present");
}

function boolean(value) {
  return !!value;
}

function domString(value, prefix, context) {
  if (typeof value === "symbol") {
    throw new TypeError(prefix + ": " + context + " is a Symbol, which cannot be converted to a string");
  }
  return String(value);
}

function usvString(value, prefix, context) {
  return toWellFormed(domString(value, prefix, context));
}

/** A DOMString that scripts never get back. */
const shownString = usvString;

const TWO_TO_64 = 2 ** 64;

/** Beyond 2^53 the result is as exact as a Number can be. */
function unsignedLongLong(value, prefix, context) {
  if (typeof value === "bigint") {
    throw new TypeError(prefix + ": " + context + " is a BigInt, which is not a Number");
  }
  const number = Number(value);
  // NaN and the infinities have no remainder either.
  const remainder = number % TWO_TO_64;
  if (!(remainder < 0 || remainder > 0)) return 0;
  const integer = remainder - remainder % 1;
  return integer < 0 ? integer + TWO_TO_64 : integer + 0;
}

/**
 * The conversion to a dictionary. Members are read in order of their names. Absent members without
 * a `fallback` are undefined.
 */
function dictionary(name, members) {
  return (value, prefix, context) => {
    const isAbsent = value === undefined || value === null;
    if (!isAbsent && !isObject(value)) {
      throw new TypeError(prefix + ": " + context + " is not an object");
    }
    const converted = { __proto__: null };
    for (let i = 0; i < members.length; i++) {
      const { key, converter, required, fallback } = members[i];
      const member = isAbsent ? undefined : value[key];
      if (member !== undefined) {
        const where = "'" + key + "' of '" + name + "' (" + context + ")";
        converted[key] = converter(member, prefix, where);
      } else if (required) {
        throw new TypeError(prefix + ": " + context + " lacks '" + key + "' of '" + name + "'");
      } else {
        converted[key] = fallback;
      }
    }
    return converted;
  };
}

/** A member of a dictionary, see `dictionary()`. */
function member(key, converter, fallback = undefined) {
  return { __proto__: null, key, converter, required: false, fallback };
}

function requiredMember(key, converter) {
  return { __proto__: null, key, converter, required: true, fallback: undefined };
}

/** The conversion to one of the values. */
function enumeration(name, values) {
  return (value, prefix, context) => {
    const text = domString(value, prefix, context);
    for (let i = 0; i < values.length; i++) if (values[i] === text) return text;
    throw new TypeError(prefix + ": '" + text + "' is not a value of '" + name + "'");
  };
}

/** The conversion to a sequence, which is an array. */
function sequence(converter) {
  return (value, prefix, context) => {
    const method = isObject(value) ? value[iterator] : undefined;
    if (method === undefined || method === null) {
      throw new TypeError(prefix + ": " + context + " is not a sequence");
    }
    return iterate(value, method, converter, prefix, context);
  };
}

/** The converted elements of an iterable. */
function iterate(iterable, method, converter, prefix, context) {
  if (typeof method !== "function") {
    throw new TypeError(prefix + ": " + context + " is not iterable");
  }
  const values = [];
  const given = apply(method, iterable, []);
  if (!isObject(given)) {
    throw new TypeError(prefix + ": the iterator of " + context + " is not an object");
  }
  const { next } = given;
  for (;;) {
    const result = apply(next, given, []);
    if (!isObject(result)) {
      throw new TypeError(prefix + ": the iterator of " + context + " did not return an object");
    }
    if (result.done) return values;
    append(values, converter(result.value, prefix, context + ", index " + values.length));
  }
}

const ImageResource = dictionary("ImageResource", [
  member("label", usvString),
  member("sizes", shownString),
  requiredMember("src", usvString),
  member("type", usvString),
]);

const ownUiOptions = dictionary("BackgroundFetchUIOptions", [
  member("icons", sequence(ImageResource)),
  member("title", shownString),
]);

/**
 * `BackgroundFetchUIOptions`, with the URLs of the icons parsed. Icons whose URLs cannot be parsed
 * are left out, as in browsers.
 */
function uiOptions(value, prefix, context) {
  const { icons, title } = ownUiOptions(value, prefix, context);
  const parsed = icons === undefined ? undefined : filter(icons, parseSource);
  return { __proto__: null, icons: parsed, title };
}

/** Parses the URL of an icon in its place. Returns whether that was possible. */
function parseSource(icon) {
  try {
    icon.src = parseUrl(icon.src);
    return true;
  } catch {
    return false;
  }
}

const ownFetchOptions = dictionary("BackgroundFetchOptions", [
  member("downloadTotal", unsignedLongLong, 0),
]);

/** `BackgroundFetchOptions`. Members of the inherited dictionary come first. */
function fetchOptions(value, prefix, context) {
  const { icons, title } = uiOptions(value, prefix, context);
  const { downloadTotal } = ownFetchOptions(value, prefix, context);
  return { __proto__: null, icons: icons ?? [], title: title ?? "", downloadTotal };
}

/** `CacheQueryOptions` */
const cacheQueryOptions = dictionary("CacheQueryOptions", [
  member("ignoreMethod", boolean, false),
  member("ignoreSearch", boolean, false),
  member("ignoreVary", boolean, false),
]);

/** `RequestInfo`: a Request, or a USVString. */
function requestInfo(value, prefix, context) {
  return isRequest(value) ? value : usvString(value, prefix, context);
}

/** `(RequestInfo or sequence<RequestInfo>)`, as an array. */
function requestInfos(value, prefix, context) {
  if (!isObject(value) || isRequest(value)) return [requestInfo(value, prefix, context)];
  // An object is a sequence if it has an iterator, and a string otherwise.
  const method = value[iterator];
  if (method === undefined || method === null) return [requestInfo(value, prefix, context)];
  return iterate(value, method, requestInfo, prefix, context);
}

/** Exposes the interface object as a property of the global object. */
function exposeInterface(global, type) {
  define(global, type.name, type);
}

export {
  boolean,
  cacheQueryOptions,
  dictionary,
  domString,
  enumeration,
  exposeInterface,
  fetchOptions,
  illegalInvocation,
  member,
  requestInfo,
  requestInfos,
  requiredArguments,
  requiredMember,
  sequence,
  uiOptions,
  usvString,
};
