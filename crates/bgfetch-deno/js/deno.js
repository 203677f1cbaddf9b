// Every use of what is private to Deno. The exact versions in Cargo.toml keep it as it is here.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_bgfetch_parse_url, op_eval_context } = core.ops;
const {
  awaitable,
  define,
  exec,
  getterOf,
  hasOwn,
  map,
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

const { Event, EventTarget } = event;
const { Request } = request;
const { Response } = response;

const isPrototypeOf = uncurryThis(Object.prototype.isPrototypeOf);
const SyntaxErrorPrototype = SyntaxError.prototype;
/** The scheme and the host of a serialized URL that has a host. */
const ORIGIN = /^([a-z][a-z0-9+.-]*:\/\/)(?:[^/?#@]*@)?([^/?#]*)/;
const headersOfRequest = getterOf(Request.prototype, "headers");
const headersOfResponse = getterOf(Response.prototype, "headers");

/**
 * An asynchronous op as a function whose promise `await` takes as it is. Deno calls the op behind
 * its own function by the op's property `call`, which a page can change on Function.prototype: the
 * op is given one of its own. To find the op, `call` is changed here for as long as it is looked for.
 */
function asyncOp(stub) {
  const { call } = Function.prototype;
  let op = null;
  define(Function.prototype, "call", function () {
    op = this;
    // Deno takes what is not undefined for the result.
    return null;
  });
  stub();
  define(Function.prototype, "call", call);
  define(op, "call", call);
  return (a, b, c, d, e) => awaitable(stub(a, b, c, d, e));
}

/**
 * Fires a trusted event. Exceptions of listeners are reported. Deno's dispatch uses attributes of
 * Event and EventTarget, which a page can break: its listeners are not called then, and whoever fires
 * goes on.
 */
function fire(target, toFire) {
  event.setIsTrusted(toFire, true);
  try {
    event.dispatch(target, toFire);
  } catch (error) {
    report(error);
  }
}

function report(error) {
  try {
    event.reportException(error);
  } catch {
    // A page that broke this, too, does not learn of it.
  }
}

/** A text for any value. */
function describe(value) {
  try {
    return String(value);
  } catch {
    return "a value that has no text";
  }
}

/** Runs `task` when the microtasks that are queued now, and those that follow from them, ran. */
function afterMicrotasks(task) {
  // Counted, so that the event loop takes another turn for it.
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

/** Whether a script that was run threw an error of its syntax. */
function isSyntaxError(value) {
  return isPrototypeOf(SyntaxErrorPrototype, value);
}

/** Runs a script. Gives null, or what it threw in a record. */
function evaluate(source, url) {
  const { 1: error } = op_eval_context(source, url, undefined);
  return error ? { __proto__: null, thrown: error[0] } : null;
}

/** Makes an interface of the class. Its objects cannot be serialized. */
function configureInterface(type) {
  webidl.configureInterface(type);
  forbidSerializing(type.prototype);
}

/** Deno calls what has this name for the serialized form of an object, also of one within another. */
function forbidSerializing(prototype) {
  define(prototype, core.hostObjectBrand, () => {
    throw new DOMException("The object cannot be cloned", "DataCloneError");
  });
}

/** What gives the API base URL, where that is another than the realm's location. */
let baseUrl = getLocationHref;

function setBaseUrl(other) {
  baseUrl = other;
}

/** The URL that a text is, serialized: in this realm, where no other base URL is given. */
function parseUrl(text, base = baseUrl()) {
  const url = op_bgfetch_parse_url(toWellFormed(text), base ?? null);
  if (url === null) throw new TypeError("'" + text + "' is not a URL");
  return url;
}

/** The serialized origin of the realm's location. */
function locationOrigin() {
  return originOfUrl(getLocationHref());
}

/** The serialized origin of a serialized URL of HTTP, and no such origin for others. */
function originOfUrl(url) {
  const parts = exec(ORIGIN, url);
  return parts === null ? "null" : parts[1] + parts[2];
}

function isRequest(value) {
  if (typeof value !== "object" || value === null) return false;
  if (!isPrototypeOf(Request.prototype, value)) return false;
  try {
    headersOfRequest(value);
    return true;
  } catch {
    return false;
  }
}

/** An own member of one of Deno's records, which leave out what has a default. */
function own(record, name, fallback) {
  return hasOwn(record, name) ? record[name] ?? fallback : fallback;
}

/**
 * What the engine keeps of a RequestInfo, by the names of `bgfetch::Request`. A Request's headers are
 * those that the Headers object has now, and its body is left alone.
 */
function toStoredRequest(info) {
  if (typeof info === "string") return { __proto__: null, method: "GET", url: parseUrl(info) };
  const inner = request.toInnerRequest(info);
  return {
    __proto__: null,
    method: inner.method,
    url: inner.url(),
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

/** A Request of what the engine kept; its headers are immutable. */
function fromStoredRequest(stored, bodyResource) {
  const body = bodyResource === null ? null : bodyOf(bodyResource);
  // What is empty was left out.
  const { headers: list = [], integrity = "", keepalive = false } = stored;
  const headers = () => map(list, (header) => [header[0], header[1]]);
  const inner = request.newInnerRequest(stored.method, stored.url, headers, body, false);
  // Defined, as Object.prototype may have setters of these names.
  define(inner, "redirectMode", stored.redirect, true);
  define(inner, "mode", stored.mode, true);
  define(inner, "credentialsMode", stored.credentials, true);
  define(inner, "cacheMode", stored.cache, true);
  define(inner, "integrity", integrity, true);
  define(inner, "keepalive", keepalive, true);
  define(inner, "referrer", stored.referrer.url ?? stored.referrer, true);
  const { referrer_policy: policy } = stored;
  define(inner, "referrerPolicy", policy === "empty" ? "" : policy, true);
  return request.fromInnerRequest(inner, "immutable");
}

/** Throws where the body of a RequestInfo was read, or is being read. */
function checkBody(info) {
  if (typeof info === "string") return;
  if (request.toInnerRequest(info).body?.unusable()) {
    throw new TypeError("The body of a Request is used already");
  }
}

/** The resource behind which Rust reads the body of a RequestInfo, or null. Uses the body up. */
function takeBody(info) {
  const body = typeof info === "string" ? null : request.toInnerRequest(info).body;
  return body === null ? null : streams.resourceForReadableStream(body.createProxy().stream);
}

/** What can be kept of a Response but its body, in the form that newResponse() takes. */
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

/** Whether a Response's body was read, or is being read. */
function isUnusable(object) {
  return response.toInnerResponse(object).body?.unusable() ?? false;
}

/**
 * The resource behind which Rust reads a Response's body, or null. Uses the body up. `onError` is
 * called with what a script's stream fails with.
 */
function takeResponseBody(object, onError) {
  const { body } = response.toInnerResponse(object);
  if (body === null) return null;
  const { stream } = body;
  const backing = streams.getReadableStreamResourceBacking(stream);
  if (backing === null || endable.has(stream)) {
    return streams.resourceForReadableStream(stream, undefined, onError);
  }
  // What comes from Rust goes back there: nothing of it was read, so that all is in the resource.
  streams.acquireReadableStreamDefaultReader(stream);
  streams.readableStreamDisturb(stream);
  streams.readableStreamClose(stream);
  return backing.rid;
}

/** A Response with immutable headers, whose body is pulled from a resource, where it has one. */
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

/** Runs `algorithm` when the signal is aborted, before scripts are told. */
function onAbort(signal, algorithm) {
  signal[abortSignal.add](algorithm);
}

/** Streams that may be ended with an error, which whoever reads them must see. */
const endable = new SafeWeakSet();

/** Gives what ends a Response's body, read or not, with an error. */
function bodyErrorer(object) {
  const stream = response.toInnerResponse(object).body?.stream;
  if (stream !== undefined) endable.add(stream);
  return (error) => {
    if (stream !== undefined) streams.errorReadableStream(stream, error);
  };
}

function bodyOf(resource) {
  return new InnerBody(streams.readableStreamForRid(resource));
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
  illegalConstructor: webidl.illegalConstructor,
  isRequest,
  isSyntaxError,
  isUnusable,
  locationHref: getLocationHref,
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
};
})();
