// Sets the realm up according to its kind: a window or one of the workers, with Deno's Web APIs.
// All uses of Deno's private interfaces are here.
import { core } from "ext:core/mod.js";
import { op_host_console, op_host_realm } from "ext:core/ops";

const load = (name) => core.loadExtScript(`ext:${name}.js`);
load("bgfetch_host/usv_strings");
load("bgfetch_host/structured_data");
const webidl = load("deno_webidl/00_webidl");
const exceptions = load("deno_web/01_dom_exception");
const event = load("deno_web/02_event");
const url = load("deno_web/00_url");
const urlPattern = load("deno_web/01_urlpattern");
const timers = load("deno_web/02_timers");
const abort = load("deno_web/03_abort_signal");
const globalInterfaces = load("deno_web/04_global_interfaces");
const base64 = load("deno_web/05_base64");
const streams = load("deno_web/06_streams");
const encoding = load("deno_web/08_text_encoding");
const file = load("deno_web/09_file");
const fileReader = load("deno_web/10_filereader");
const location = load("deno_web/12_location");
const messagePort = load("deno_web/13_message_port");
const compression = load("deno_web/14_compression");
const performance = load("deno_web/15_performance");
const broadcastChannel = load("deno_web/01_broadcast_channel");
const { Console, setNoColorFns } = load("deno_web/01_console");
const { Headers } = load("deno_fetch/20_headers");
const { FormData } = load("deno_fetch/21_formdata");
const { Request } = load("deno_fetch/23_request");
const { Response } = load("deno_fetch/23_response");
const { getterOf } = load("bgfetch_deno/primordials");
const { fire } = load("bgfetch_deno/deno");
const { install, installServiceWorker } = load("bgfetch_deno/mod");
const { markingRequest } = load("bgfetch_deno/marking_request");
const { installErrors, isMuted, writeMuted } = load("bgfetch_host/errors");
const { defineGlobalScope } = load("bgfetch_host/global_scope");
const { installCaches } = load("bgfetch_host/caches");
const { installDocument } = load("bgfetch_host/document");
const { defineObjects, installNavigator } = load("bgfetch_host/navigator");
const { installNotifications } = load("bgfetch_host/notifications");
const { patch } = load("bgfetch_host/patches");
const { permissions, Permissions, PermissionStatus } = load("bgfetch_host/permissions");
const { makeStorageManager } = load("bgfetch_host/storage_manager");
const { structuredClone } = load("bgfetch_host/structured_clone");
const { SubtleCrypto } = load("bgfetch_host/subtle_crypto");
const { installMissingDom, installMissingIndexedDb } = load("bgfetch_host/unsupported");
const { followUser } = load("bgfetch_host/user");
const { installServiceWorkerApi } = load("bgfetch_host/service_worker_api");
const { installServiceWorkerScope } = load("bgfetch_host/service_worker_scope");
const { installHook, installWindow } = load("bgfetch_host/window");
const { installWindowOrWorker } = load("bgfetch_host/window_or_worker");
const { installWorkerScope } = load("bgfetch_host/worker_scope");

const { kind, href, scope, serviceWorkers, isSecureContext, hasNetwork, hasPage, hasHook, isFrame } =
  op_host_realm();

// The errors that ops of deno_web and deno_fetch throw.
for (
  const name of [
    "AbortError",
    "DataCloneError",
    "DataError",
    "InvalidCharacterError",
    "InvalidStateError",
    "NetworkError",
    "NotSupportedError",
    "OperationError",
    "SyntaxError",
  ]
) {
  core.registerErrorBuilder(
    `DOMException${name}`,
    (message) => new exceptions.DOMException(message, name),
  );
}

// The output may not be a terminal.
setNoColorFns(() => true, () => true);
const console = new Console((message, level) => op_host_console(message, level));

const interfaces = {
  AbortController: abort.AbortController,
  AbortSignal: abort.AbortSignal,
  Blob: file.Blob,
  BroadcastChannel: broadcastChannel.BroadcastChannel,
  ByteLengthQueuingStrategy: streams.ByteLengthQueuingStrategy,
  CloseEvent: event.CloseEvent,
  CompressionStream: compression.CompressionStream,
  CountQueuingStrategy: streams.CountQueuingStrategy,
  CustomEvent: event.CustomEvent,
  DecompressionStream: compression.DecompressionStream,
  DOMException: exceptions.DOMException,
  ErrorEvent: event.ErrorEvent,
  Event: event.Event,
  EventTarget: event.EventTarget,
  File: file.File,
  FileReader: fileReader.FileReader,
  FormData,
  Headers,
  MessageChannel: messagePort.MessageChannel,
  MessageEvent: event.MessageEvent,
  MessagePort: messagePort.MessagePort,
  Performance: performance.Performance,
  ProgressEvent: event.ProgressEvent,
  PromiseRejectionEvent: event.PromiseRejectionEvent,
  QuotaExceededError: exceptions.QuotaExceededError,
  ReadableByteStreamController: streams.ReadableByteStreamController,
  ReadableStream: streams.ReadableStream,
  ReadableStreamBYOBReader: streams.ReadableStreamBYOBReader,
  ReadableStreamBYOBRequest: streams.ReadableStreamBYOBRequest,
  ReadableStreamDefaultController: streams.ReadableStreamDefaultController,
  ReadableStreamDefaultReader: streams.ReadableStreamDefaultReader,
  Request: markingRequest(Request),
  Response,
  TextDecoder: encoding.TextDecoder,
  TextDecoderStream: encoding.TextDecoderStream,
  TextEncoder: encoding.TextEncoder,
  TextEncoderStream: encoding.TextEncoderStream,
  TransformStream: streams.TransformStream,
  TransformStreamDefaultController: streams.TransformStreamDefaultController,
  URL: url.URL,
  URLPattern: urlPattern.URLPattern,
  URLSearchParams: url.URLSearchParams,
  WritableStream: streams.WritableStream,
  WritableStreamDefaultController: streams.WritableStreamDefaultController,
  WritableStreamDefaultWriter: streams.WritableStreamDefaultWriter,
};
const functions = {
  atob: base64.atob,
  btoa: base64.btoa,
  clearInterval: timers.clearInterval,
  clearTimeout: timers.clearTimeout,
  performance: performance.performance,
  reportError: event.reportError,
  setInterval: timers.setInterval,
  setTimeout: timers.setTimeout,
  structuredClone,
};

function define(properties, enumerable) {
  for (const [name, value] of Object.entries(properties)) {
    const writable = true;
    const configurable = true;
    Object.defineProperty(globalThis, name, { value, writable, enumerable, configurable });
  }
}
define(interfaces, false);
define({ console }, false);
define(functions, true);
// Some of Deno's functions check that their `this`, the global object, is an EventTarget.
Object.defineProperty(globalThis, webidl.brand, { value: webidl.brand });

location.setLocationHref(href);
performance.setTimeOrigin();
event.setEventTargetData(globalThis);
event.saveGlobalThisReference(globalThis);
defineGlobalScope(kind, { event, globalInterfaces, location, webidl });
patch(interfaces);

installErrors();
const global = globalThis;
/** The console level of uncaught errors. */
const UNCAUGHT = 4;
const { error: writeUncaught } = new Console((message) => op_host_console(message, UNCAUGHT));
const defaultPrevented = getterOf(event.Event.prototype, "defaultPrevented");
core.setUnhandledPromiseRejectionHandler((promise, reason) => {
  if (isMuted(reason)) {
    writeMuted();
    return true;
  }
  const init = { __proto__: null, cancelable: true, promise, reason };
  const rejection = new event.PromiseRejectionEvent("unhandledrejection", init);
  fire(global, rejection);
  if (!defaultPrevented(rejection)) writeUncaught("Uncaught (in promise)", reason);
  return true;
});
core.setHandledPromiseRejectionHandler((promise, reason) => {
  if (isMuted(reason)) return;
  const init = { __proto__: null, promise, reason };
  fire(global, new event.PromiseRejectionEvent("rejectionhandled", init));
});

installWindowOrWorker(globalThis, { isSecureContext, hasNetwork });
installNavigator(globalThis, kind);
defineObjects({ permissions });
define({ Permissions, PermissionStatus }, false);
installMissingIndexedDb(globalThis);
if (isSecureContext) {
  const { StorageManager, storage } = makeStorageManager(kind);
  defineObjects({ storage });
  define({ StorageManager, SubtleCrypto }, false);
  installCaches(globalThis);
  const { ServiceWorkerRegistration, scopeOf, hasActiveWorker } = installServiceWorkerApi(
    kind,
    scope,
    serviceWorkers,
  );
  install(globalThis, ServiceWorkerRegistration, scopeOf, hasActiveWorker);
  const isActive = hasActiveWorker ?? (() => true);
  installNotifications(globalThis, kind, ServiceWorkerRegistration, scopeOf, isActive);
}
if (kind !== "Window") installWorkerScope(kind, globalThis);
if (kind === "ServiceWorker") {
  installServiceWorker(globalThis, (type, reason) => {
    writeUncaught("Uncaught (in a promise that waitUntil() of " + type + " was given)", reason);
  });
  installServiceWorkerScope(globalThis);
}
if (hasPage) {
  installWindow(globalThis, isFrame);
  installMissingDom();
  installDocument(globalThis);
  followUser(globalThis.document);
}
if (hasHook) installHook(globalThis);

// Scripts see nothing of Deno.
delete globalThis.Deno;
delete globalThis.__bootstrap;
