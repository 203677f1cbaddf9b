// Conversions of arguments (https://webidl.spec.whatwg.org/), on top of deno_webidl's.
(function () {
"use strict";

const { core } = __bootstrap;
const { webidl } = core.loadExtScript("ext:bgfetch_deno/deno.js");

const { converters } = webidl;

/** The error of an access on an object of another type. */
function illegalInvocation() {
  return new TypeError("Illegal invocation");
}

const ImageResource = webidl.createDictionaryConverter("ImageResource", [
  { key: "label", converter: converters.USVString },
  { key: "sizes", converter: converters.DOMString },
  { key: "src", converter: converters.USVString, required: true },
  { key: "type", converter: converters.USVString },
]);

/** `BackgroundFetchUIOptions`; absent members stay absent. */
const uiOptions = webidl.createDictionaryConverter("BackgroundFetchUIOptions", [
  { key: "icons", converter: webidl.createSequenceConverter(ImageResource) },
  { key: "title", converter: converters.DOMString },
]);

const ownFetchOptions = webidl.createDictionaryConverter("BackgroundFetchOptions", [
  { key: "downloadTotal", converter: converters["unsigned long long"], defaultValue: 0 },
]);

/** `BackgroundFetchOptions`. Members of the inherited dictionary come first. */
function fetchOptions(value, prefix, context) {
  const { icons = [], title = "" } = uiOptions(value, prefix, context);
  const { downloadTotal } = ownFetchOptions(value, prefix, context);
  return { icons, title, downloadTotal };
}

/** `CacheQueryOptions` */
const cacheQueryOptions = webidl.createDictionaryConverter("CacheQueryOptions", [
  { key: "ignoreMethod", converter: converters.boolean, defaultValue: false },
  { key: "ignoreSearch", converter: converters.boolean, defaultValue: false },
  { key: "ignoreVary", converter: converters.boolean, defaultValue: false },
]);

/** `RequestInfo`: a Request, or a string. */
const requestInfo = (value, prefix, context) =>
  converters.RequestInfo_DOMString(value, prefix, context);

/** `(RequestInfo or sequence<RequestInfo>)`, as an array. */
function requestInfos(value, prefix, context) {
  const isObject = typeof value === "function" || (typeof value === "object" && value !== null);
  if (!isObject || webidl.type(value) !== "Object" || isRequest(value)) {
    return [requestInfo(value, prefix, context)];
  }
  // An object is a sequence when it has an iterator, and a string otherwise.
  const iterate = value[Symbol.iterator];
  if (iterate === undefined || iterate === null) return [requestInfo(value, prefix, context)];
  if (typeof iterate !== "function") {
    throw new TypeError(`${prefix}: ${context} is not iterable`);
  }
  const requests = [];
  const iterator = Reflect.apply(iterate, value, []);
  if (webidl.type(iterator) !== "Object") {
    throw new TypeError(`${prefix}: the iterator of ${context} is not an object`);
  }
  const { next } = iterator;
  for (;;) {
    const result = Reflect.apply(next, iterator, []);
    if (webidl.type(result) !== "Object") {
      throw new TypeError(`${prefix}: the iterator of ${context} gave no object`);
    }
    if (result.done) return requests;
    requests.push(requestInfo(result.value, prefix, `${context}, index ${requests.length}`));
  }
}

function isRequest(value) {
  try {
    converters.Request(value);
    return true;
  } catch {
    return false;
  }
}

function requiredArguments(given, required, prefix) {
  webidl.requiredArguments(given, required, prefix);
}

const domString = converters.DOMString;

/** The interface object as a property of the global object. */
function exposeInterface(global, type) {
  Object.defineProperty(global, type.name, {
    value: type,
    writable: true,
    enumerable: false,
    configurable: true,
  });
}

return {
  cacheQueryOptions,
  domString,
  exposeInterface,
  fetchOptions,
  illegalInvocation,
  requestInfo,
  requestInfos,
  requiredArguments,
  uiOptions,
};
})();
