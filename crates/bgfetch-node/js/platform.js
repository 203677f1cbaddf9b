// What the interfaces need of Node, Bun and Deno: only what they all have as globals.
import { setImmediate } from "node:timers";
import * as streams from "./streams.js";

const { DOMException, Event, EventTarget, Request, Response, URL } = globalThis;

const addListener = (target, type, listener) => target.addEventListener(type, listener);
const removeListener = (target, type, listener) => target.removeEventListener(type, listener);
const fire = (target, event) => target.dispatchEvent(event);

/** Runs `task` after the queued microtasks, and those that they queue, have run. */
function afterMicrotasks(task) {
  setImmediate(task);
}

/** A text for any value. */
function describe(value) {
  try {
    return String(value);
  } catch {
    return "a value that cannot be converted to a string";
  }
}

function illegalConstructor() {
  throw new TypeError("Illegal constructor");
}

/** Gives a class the properties of an interface. */
function configureInterface(type) {
  const { prototype } = type;
  for (const key of Object.getOwnPropertyNames(prototype)) {
    if (key !== "constructor") Object.defineProperty(prototype, key, { enumerable: true });
  }
  Object.defineProperty(prototype, Symbol.toStringTag, { value: type.name, configurable: true });
  Object.defineProperty(type, "prototype", { writable: false });
}

/** Parses a URL, which has no base, and serializes it. */
function parseUrl(text) {
  const url = URL.parse?.(text) ?? parse(text);
  if (url === null) throw new TypeError("'" + text + "' is not a URL");
  return url.href;
}

function parse(text) {
  return URL.canParse(text) ? new URL(text) : null;
}

function isRequest(value) {
  return value instanceof Request;
}

/** The engine's form of a RequestInfo, without its body. Not all runtimes have all attributes. */
function toStoredRequest(info) {
  if (typeof info === "string") return { method: "GET", url: parseUrl(info) };
  const { referrer = "about:client" } = info;
  return {
    method: info.method,
    url: info.url,
    headers: [...info.headers],
    mode: info.mode === "navigate" ? "same-origin" : info.mode ?? "cors",
    credentials: info.credentials ?? "same-origin",
    redirect: info.redirect ?? "follow",
    cache: info.cache ?? "default",
    referrer: toStoredReferrer(referrer),
    referrer_policy: info.referrerPolicy || "empty",
    integrity: info.integrity ?? "",
    keepalive: info.keepalive ?? false,
  };
}

function toStoredReferrer(referrer) {
  if (referrer === "about:client") return "client";
  return referrer === "" ? "no-referrer" : { url: referrer };
}

function fromStoredReferrer(referrer) {
  if (referrer === "client") return "about:client";
  return referrer === "no-referrer" ? "" : referrer.url;
}

/** A Request from its stored form; empty members were omitted. */
function fromStoredRequest(stored, body) {
  const { method, url, headers = [], mode, credentials, redirect, cache } = stored;
  const { integrity = "", keepalive = false, referrer_policy: policy } = stored;
  const init = {
    method,
    headers,
    mode,
    credentials,
    redirect,
    cache,
    integrity,
    keepalive,
    referrer: fromStoredReferrer(stored.referrer),
    referrerPolicy: policy === "empty" ? "" : policy,
  };
  if (body === null) return new Request(url, init);
  return new Request(url, { ...init, body: streams.requestBody(body), duplex: "half" });
}

/** Throws if the body of a RequestInfo is disturbed or locked. */
function checkBody(info) {
  if (typeof info === "string") return;
  if (info.bodyUsed || info.body?.locked) {
    throw new TypeError("The body of a Request is already used");
  }
}

/** The body of a RequestInfo, or null. */
function takeBody(info) {
  return typeof info === "string" ? null : info.body ?? null;
}

const NULL_BODY = [101, 103, 204, 205, 304];

/** A Response whose body is pulled from the engine. */
function newResponse(head, body) {
  const { status, status_text: statusText = "", headers = [], url_list: urls, response_type } = head;
  const stream = streams.responseBody(body);
  const hasBody = !NULL_BODY.includes(status) && response_type !== "opaque-redirect";
  if (!hasBody) stream.cancel();
  const isOrdinary = status >= 200 && status <= 599;
  const response = new Response(hasBody ? stream : null, {
    status: isOrdinary ? status : 200,
    statusText,
    headers,
  });
  // What the constructor does not take.
  const own = {
    url: urls.at(-1).split("#")[0],
    redirected: urls.length > 1,
    type: response_type === "opaque-redirect" ? "opaqueredirect" : response_type,
    ...(isOrdinary ? {} : { status, ok: false }),
  };
  for (const [name, value] of Object.entries(own)) {
    Object.defineProperty(response, name, { value, configurable: true, enumerable: true });
  }
  return response;
}

export {
  addListener,
  afterMicrotasks,
  checkBody,
  configureInterface,
  describe,
  DOMException,
  Event,
  EventTarget,
  fire,
  fromStoredRequest,
  illegalConstructor,
  isRequest,
  newResponse,
  parseUrl,
  removeListener,
  takeBody,
  toStoredRequest,
};
