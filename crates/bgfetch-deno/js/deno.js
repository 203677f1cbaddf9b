// All uses of Deno's private interfaces. They depend on the exact versions in Cargo.toml.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_bgfetch_parse_url, op_eval_context } = core.ops;
const {
  define,
  exec,
  find,
  getterOf,
  hasOwn,
  isObject,
  map,
  ownKeys,
  SafeWeakSet,
  String,
  toWellFormed,
  TypeError,
  uncurryThis,
} = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { DOMException, QuotaExceededError } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const event = core.loadExtScript("ext:deno_web/02_event.js");
const abortSignal = core.loadExtScript("ext:deno_web/03_abort_signal.js");
const streams = core.loadExtScript("ext:deno_web/06_streams.js");
const { getLocationHref } = core.loadExtScript("ext:deno_web/12_location.js");
const { headerListFromHeaders } = core.loadExtScript("ext:deno_fetch/20_headers.js");
const { InnerBody } = core.loadExtScript("ext:deno_fetch/22_body.js");
const request = core.loadExtScript("ext:deno_fetch/23_request.js");
const response = core.loadExtScript("ext:deno_fetch/23_response.js");

const { fire } = core.loadExtScript("ext:bgfetch_deno/event_target.js");
const { Event, EventTarget } = event;
const { Request } = request;
const { Response } = response;

const createObject = Object.create;
const isPrototypeOf = uncurryThis(Object.prototype.isPrototypeOf);
const SyntaxErrorPrototype = SyntaxError.prototype;
/** The scheme and the host of a serialized URL that has a host. */
const ORIGIN = /^([a-z][a-z0-9+.-]*:\/\/)(?:[^/?#@]*@)?([^/?#]*)/;
/** Throws for other objects. */
const redirectOf = getterOf(Request.prototype, "redirect");
const headersOfRequest = internalGetterOf(Request.prototype, "headers");
const headersOfResponse = getterOf(Response.prototype, "headers");

/**
 * An asynchronous op that can be called safely. Deno calls the actual op through its property `call`,
 * which a page can replace on Function.prototype, so the op gets a `call` of its own. To find the op,
 * `call` is replaced here for a moment.
 */
function asyncOp(stub) {
  const { call } = Function.prototype;
  let op = null;
  define(Function.prototype, "call", function () {
    op = this;
    // Deno returns any value but undefined as the result.
    return null;
  });
  stub();
  define(Function.prototype, "call", call);
  define(op, "call", call);
  return stub;
}

/** A text for any value. */
function describe(value) {
  try {
    return String(value);
  } catch {
    return "a value that cannot be converted to a string";
  }
}

/** Runs `task` after the queued microtasks, and those that they queue, have run. */
function afterMicrotasks(task) {
  // Referenced, so that the event loop runs another turn for it.
  core.immediateRefCount(true);
  core.queueImmediate({
    __proto__: null,
    _idleNext: null,
    _idlePrev: null,
    _onImmediate: task,
    _argv: undefined,
    _destroyed: false,
    asyncId: 0,
    triggerAsyncId: 0,
    [core.kRefed]: true,
  });
}

/** Whether a script failed with an error of its own syntax. */
function isSyntaxError(value) {
  return isPrototypeOf(SyntaxErrorPrototype, value);
}

/** Runs a script. Returns null, or a record with the exception. */
function evaluate(source, url) {
  const { 1: error } = op_eval_context(source, url, undefined);
  return error ? { __proto__: null, thrown: error[0] } : null;
}

function illegalConstructor() {
  throw new TypeError("Illegal constructor");
}

/** Turns a class into an interface whose objects cannot be serialized. */
function configureInterface(type) {
  webidl.configureInterface(type);
  forbidSerializing(type.prototype);
}

/** Deno calls the method of this name to serialize an object, also within another object. */
function forbidSerializing(prototype) {
  define(prototype, core.hostObjectBrand, () => {
    throw new DOMException("The object cannot be cloned", "DataCloneError");
  });
}

/** The URL of the realm's location, which does not change. Deno's look-up uses URL.prototype. */
let location = undefined;

function locationHref() {
  return location ??= getLocationHref();
}

/** Returns the API base URL. */
let baseUrl = locationHref;

function setBaseUrl(other) {
  baseUrl = other;
}

/** Parses a URL and serializes it, relative to the realm's API base URL unless `base` is given. */
function parseUrl(text, base = baseUrl()) {
  const url = op_bgfetch_parse_url(toWellFormed(text), base ?? null);
  if (url === null) throw new TypeError("'" + text + "' is not a URL");
  return url;
}

/**
 * The members of a Request for Deno, which parses the referrer relative to the realm's location.
 */
function withAbsoluteReferrer(init) {
  if (!isObject(init) || baseUrl() === locationHref()) return init;
  const { referrer } = init;
  if (referrer === undefined || referrer === "" || typeof referrer === "symbol") return init;
  return { __proto__: init, referrer: parseUrl(String(referrer)) };
}

/** The serialized origin of the realm's location. */
function locationOrigin() {
  return originOfUrl(locationHref());
}

/** The serialized origin of a serialized HTTP URL. The result for other URLs is not an origin. */
function originOfUrl(url) {
  const parts = exec(ORIGIN, url);
  return parts === null ? "null" : parts[1] + parts[2];
}

function isRequest(value) {
  if (typeof value !== "object" || value === null) return false;
  if (!isPrototypeOf(Request.prototype, value)) return false;
  try {
    redirectOf(value);
    return true;
  } catch {
    return false;
  }
}

/** The getter of an attribute that Deno has under a symbol, too, because its own uses that symbol. */
function internalGetterOf(prototype, description) {
  const isInternal = (key) => typeof key === "symbol" && key.description === description;
  return getterOf(prototype, find(ownKeys(prototype), isInternal));
}

/** The URL of one of Deno's requests. */
function urlOf({ urlList, urlListProcessed }) {
  return hasOwn(urlListProcessed, 0) ? urlListProcessed[0] : urlList[0]();
}

/** An own member of one of Deno's records, which omit members with default values. */
function own(record, name, fallback) {
  return hasOwn(record, name) ? record[name] ?? fallback : fallback;
}

/**
 * The engine's form of a RequestInfo, with the names of `bgfetch::Request`. It takes the current
 * headers of a Request's Headers object, and leaves the body alone.
 */
function toStoredRequest(info) {
  if (typeof info === "string") return { __proto__: null, method: "GET", url: parseUrl(info) };
  const inner = request.toInnerRequest(info);
  return {
    __proto__: null,
    method: inner.method,
    url: urlOf(inner),
    headers: headerListFromHeaders(headersOfRequest(info)),
    mode: own(inner, "mode", "cors"),
    credentials: own(inner, "credentialsMode", "same-origin"),
    redirect: inner.redirectMode,
    cache: own(inner, "cacheMode", "default"),
    referrer: toStoredReferrer(own(inner, "referrer", "client")),
    referrer_policy: own(inner, "referrerPolicy", "") || "empty",
    integrity: own(inner, "integrity", ""),
    keepalive: own(inner, "keepalive", false),
  };
}

function toStoredReferrer(referrer) {
  const isKeyword = referrer === "client" || referrer === "no-referrer";
  return isKeyword ? referrer : { __proto__: null, url: referrer };
}

/** A Request from its stored form; its headers are immutable. */
function fromStoredRequest(stored, bodyResource) {
  const body = bodyResource === null ? null : bodyOf(bodyResource);
  // Empty members were omitted.
  const { headers: list = [], integrity = "", keepalive = false } = stored;
  const headers = () => map(list, (header) => [header[0], header[1]]);
  const inner = request.newInnerRequest(stored.method, stored.url, headers, body, false);
  // Defined, because Object.prototype may have setters of these names.
  define(inner, "redirectMode", stored.redirect, true);
  define(inner, "mode", stored.mode, true);
  define(inner, "credentialsMode", stored.credentials, true);
  define(inner, "cacheMode", stored.cache, true);
  define(inner, "integrity", integrity, true);
  define(inner, "keepalive", keepalive, true);
  const { referrer, referrer_policy: policy } = stored;
  define(inner, "referrer", typeof referrer === "string" ? referrer : referrer.url, true);
  define(inner, "referrerPolicy", policy === "empty" ? "" : policy, true);
  return request.fromInnerRequest(inner, "immutable");
}

/** Throws if the body of a RequestInfo is disturbed or locked. */
function checkBody(info) {
  if (typeof info === "string") return;
  if (request.toInnerRequest(info).body?.unusable()) {
    throw new TypeError("The body of a Request is already used");
  }
}

/** The resource from which Rust reads the body of a RequestInfo, or null. Consumes the body. */
function takeBody(info) {
  const body = typeof info === "string" ? null : request.toInnerRequest(info).body;
  return body === null ? null : streams.resourceForReadableStream(body.createProxy().stream);
}

/** The storable form of a Response without its body, as newResponse() takes it. */
function toStoredResponse(object) {
  const headers = headerListFromHeaders(headersOfResponse(object));
  const inner = response.toInnerResponse(object);
  return {
    __proto__: null,
    status: inner.status,
    status_text: inner.statusMessage,
    headers,
    url_list: inner.urlList,
    response_type: inner.type,
  };
}

/** Whether a Response's body is disturbed or locked. */
function isUnusable(object) {
  return response.toInnerResponse(object).body?.unusable() ?? false;
}

/**
 * The resource from which Rust reads a Response's body, or null. Consumes the body. `onError` is
 * called with the error of a script's stream.
 */
function takeResponseBody(object, onError) {
  const { body } = response.toInnerResponse(object);
  if (body === null) return null;
  const { stream } = body;
  const backing = streams.getReadableStreamResourceBacking(stream);
  if (backing === null || endable.has(stream)) {
    return streams.resourceForReadableStream(stream, undefined, onError);
  }
  // A stream that came from Rust goes back there: nothing of it was read, so its resource has
  // everything.
  streams.acquireReadableStreamDefaultReader(stream);
  streams.readableStreamDisturb(stream);
  streams.readableStreamClose(stream);
  return backing.rid;
}

/** A Response with immutable headers, whose body is pulled from a resource, if it has one. */
function newResponse(head, bodyResource) {
  const inner = response.newInnerResponse(head.status, head.status_text ?? "");
  inner.type = head.response_type === "opaque-redirect" ? "opaqueredirect" : head.response_type;
  inner.urlList = head.url_list;
  inner.headerList = map(head.headers, (header) => [header[0], header[1]]);
  if (bodyResource !== null && response.nullBodyStatus(head.status)) {
    core.tryClose(bodyResource);
  } else if (bodyResource !== null) {
    inner.body = bodyOf(bodyResource);
  }
  return response.fromInnerResponse(inner, "immutable");
}

/** Runs `algorithm` when the signal is aborted, before scripts are notified. */
function onAbort(signal, algorithm) {
  signal[abortSignal.add](algorithm);
}

/** Streams that may be ended with an error, which their readers must see. */
const endable = new SafeWeakSet();

/** Returns a function that ends a Response's body, read or not, with an error. */
function bodyErrorer(object) {
  const stream = response.toInnerResponse(object).body?.stream;
  if (stream !== undefined) endable.add(stream);
  return (error) => {
    if (stream !== undefined) streams.errorReadableStream(stream, error);
  };
}

/** Deno's form of a body. Its constructor would call setters of Object.prototype. */
function bodyOf(resource) {
  const body = createObject(InnerBody.prototype);
  define(body, "streamOrStatic", streams.readableStreamForRid(resource), true);
  define(body, "source", null, true);
  define(body, "length", null, true);
  return body;
}

return {
  AbortController: abortSignal.AbortController,
  AbortSignal: abortSignal.AbortSignal,
  afterMicrotasks,
  asyncOp,
  bodyErrorer,
  checkBody,
  configureInterface,
  describe,
  DOMException,
  Event,
  evaluate,
  EventTarget,
  fire,
  forbidSerializing,
  fromStoredRequest,
  illegalConstructor,
  isRequest,
  isSyntaxError,
  isUnusable,
  locationHref,
  locationOrigin,
  newResponse,
  onAbort,
  originOfUrl,
  parseUrl,
  QuotaExceededError,
  reportException: event.reportException,
  Request,
  setBaseUrl,
  takeBody,
  takeResponseBody,
  toStoredRequest,
  toStoredResponse,
  webidl,
  withAbsoluteReferrer,
};
})();
