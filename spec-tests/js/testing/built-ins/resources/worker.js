// A worker that answers messages, and one that patches its built-ins in turn.
"use strict";

importScripts("built-ins.js");

const { describe, getter, method, own, show } = builtIns;
const {
  BackgroundFetchEvent,
  BackgroundFetchManager,
  BackgroundFetchUpdateUIEvent,
  Client,
  Clients,
  clients,
  ExtendableEvent,
  ExtendableMessageEvent,
  importScripts: importAgain,
  InstallEvent,
  registration,
  skipWaiting,
  WindowClient,
} = globalThis;

self.oninstall = () => skipWaiting();

show(WindowClient, getter(Client, "frameType"));
show(ExtendableEvent, getter(Event, "type"));
show(BackgroundFetchUpdateUIEvent, getter(Event, "type"));
show(ServiceWorkerRegistration, getter(ServiceWorkerRegistration, "scope"));

function callsIn(event) {
  const { source } = event;
  const { id } = source;
  const init = { __proto__: null, bubbles: undefined, cancelable: undefined, composed: undefined };
  const manager = registration.backgroundFetch;
  const get = method(Clients, "get");
  const waitUntil = method(ExtendableEvent, "waitUntil");
  const untrusted = new ExtendableEvent("install");
  const updateUI = method(BackgroundFetchUpdateUIEvent, "updateUI");
  const getIds = method(BackgroundFetchManager, "getIds");
  const matchAll = method(Clients, "matchAll");
  const openWindow = method(Clients, "openWindow");
  const postMessage = method(Client, "postMessage");
  const focus = method(WindowClient, "focus");
  const navigate = method(WindowClient, "navigate");
  const ofClient = ["url", "id", "type", "frameType"].map((name) => getter(Client, name));
  const ofWindow = ["focused", "visibilityState", "ancestorOrigins"].map((name) => getter(WindowClient, name));
  const ofEvent = ["data", "origin", "source", "ports", "lastEventId"].map((name) => getter(ExtendableMessageEvent, name));
  const options = { __proto__: null, includeUncontrolled: true, type: "window" };
  const resolved = own(Promise.resolve(1));
  return [
    ...[...ofClient, ...ofWindow].flatMap((get) => [() => get(source), () => get(clients)]),
    ...ofEvent.map((get) => () => get(event)),
    () => get(clients, [id]),
    () => get(clients, ["nothing"]),
    () => get(source, [id]),
    () => matchAll(clients, [options]),
    () => openWindow(clients, ["/"]),
    () => openWindow(clients, ["http://["]),
    () => focus(source, []),
    () => navigate(source, ["/"]),
    () => postMessage(source, [() => {}]),
    () => skipWaiting(),
    () => importAgain("http://["),
    () => waitUntil(event, [resolved]),
    () => waitUntil(untrusted, [resolved]),
    () => new ExtendableEvent("type", init),
    () => new InstallEvent("type", init) !== null,
    () => new BackgroundFetchEvent("type", init),
    () => updateUI(event, []),
    () => getIds(manager, []),
  ];
}

async function patchAll(event) {
  event.source.postMessage(await builtIns.inTurn(callsIn(event)));
}

self.onmessage = (event) => {
  const { data, source } = event;
  if (data === "patch") event.waitUntil(patchAll(event));
  else source.postMessage(typeof data);
};
