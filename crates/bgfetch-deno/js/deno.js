// Every use of what is private to Deno. The exact versions in Cargo.toml keep it as it is here.
(function () {
"use strict";

const { core } = __bootstrap;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { DOMException, QuotaExceededError } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const event = core.loadExtScript("ext:deno_web/02_event.js");
const abortSignal = core.loadExtScript("ext:deno_web/03_abort_signal.js");
const streams = core.loadExtScript("ext:deno_web/06_streams.js");
const { headerListFromHeaders } = core.loadExtScript("ext:deno_fetch/20_headers.js");
const { InnerBody } = core.loadExtScript("ext:deno_fetch/22_body.js");
const request = core.loadExtScript("ext:deno_fetch/23_request.js");
const response = core.loadExtScript("ext:deno_fetch/23_response.js");

const { Event, EventTarget } = event;
const { Request } = request;

/** Fires a trusted event. Exceptions of listeners are reported. */
function fire(target, toFire) {
  event.setIsTrusted(toFire, true);
  event.dispatch(target, toFire);
}

/** Runs `task` when the microtasks that are queued now, and those that follow from them, ran. */
function afterMicrotasks(task) {
  // Counted, so that the event loop takes another turn for it.
  core.immediateRefCount(true);
  core.queueImmediate({
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

/**
 * What the engine keeps of a Request, by the names of `bgfetch::Request`. Its headers are those
 * that the Headers object has now.
 */
function toStoredRequest(object) {
  const inner = request.toInnerRequest(object);
  return {
    method: inner.method,
    url: inner.url(),
    headers: headerListFromHeaders(object.headers),
    mode: inner.mode ?? "cors",
    credentials: inner.credentialsMode ?? "same-origin",
    redirect: inner.redirectMode,
    cache: inner.cacheMode ?? "default",
    referrer: toStoredReferrer(inner.referrer),
    referrer_policy: inner.referrerPolicy || "empty",
    integrity: inner.integrity ?? "",
  };
}

function toStoredReferrer(referrer) {
  const keyword = referrer ?? "client";
  return keyword === "client" || keyword === "no-referrer" ? keyword : { url: keyword };
}

/** A Request of what the engine kept; its headers are immutable. */
function fromStoredRequest(stored, bodyResource) {
  const body = bodyResource === null ? null : bodyOf(bodyResource);
  // What is empty was left out.
  const { headers: list = [], integrity = "" } = stored;
  const headers = () => list.map(([name, value]) => [name, value]);
  const inner = request.newInnerRequest(stored.method, stored.url, headers, body, false);
  inner.redirectMode = stored.redirect;
  inner.mode = stored.mode;
  inner.credentialsMode = stored.credentials;
  inner.cacheMode = stored.cache;
  inner.integrity = integrity;
  inner.referrer = stored.referrer.url ?? stored.referrer;
  inner.referrerPolicy = stored.referrer_policy === "empty" ? "" : stored.referrer_policy;
  return request.fromInnerRequest(inner, "immutable");
}

/** The resource behind which Rust reads a Request's body, or null. Uses the body up. */
function takeBody(object) {
  const { body } = request.toInnerRequest(object);
  return body === null ? null : streams.resourceForReadableStream(body.stream);
}

/** What can be kept of a Response but its body, in the form that newResponse() takes. */
function toStoredResponse(object) {
  const headers = headerListFromHeaders(object.headers);
  const inner = response.toInnerResponse(object);
  return {
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
  if (backing === null) return streams.resourceForReadableStream(stream, undefined, onError);
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
  inner.headerList = head.headers.map(([name, value]) => [name, value]);
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

/** Gives what ends a Response's body, read or not, with an error. */
function bodyErrorer(object) {
  const stream = response.toInnerResponse(object).body?.stream;
  return (error) => {
    if (stream !== undefined) streams.errorReadableStream(stream, error);
  };
}

function bodyOf(resource) {
  return new InnerBody(streams.readableStreamForRid(resource));
}

return {
  afterMicrotasks,
  bodyErrorer,
  DOMException,
  Event,
  EventTarget,
  fire,
  fromStoredRequest,
  isUnusable,
  newResponse,
  onAbort,
  QuotaExceededError,
  reportException: event.reportException,
  Request,
  takeBody,
  takeResponseBody,
  toStoredRequest,
  toStoredResponse,
  webidl,
};
})();
