// The engine's operations, for the interfaces. Fetches, records, events and extensions are known by
// the handles of the addon. A service worker registration is known by an object with its `handle`, the
// `fetches` of its engine, and its `events`.
import { attempt } from "./exceptions.js";
import * as native from "./native.js";
import { ask, call, listen, queueHandle } from "./queue.js";
import { pump } from "./streams.js";

/** The `fetches` of each fetch's engine: a Map from the identities of fetches to handles. */
const owners = new Map();
/** The registration of each event that has not ended. */
const active = new Map();
/** The registration of each extension that is not settled. */
const extensions = new Map();

const updates = [];
let toUpdate = null;
let unapplied = null;

function nextUpdate() {
  if (unapplied !== null) native.release(unapplied);
  unapplied = null;
  return new Promise((resolve) => {
    toUpdate = resolve;
    deliverUpdate();
  });
}

function deliverUpdate() {
  if (toUpdate === null || updates.length === 0) return;
  const { key, progress, guard } = updates.shift();
  const resolve = toUpdate;
  toUpdate = null;
  unapplied = guard;
  resolve({ key, progress });
}

/** The one handle of a fetch. Another handle of it is freed. */
function adopt(fetches, { fetch, key }) {
  const known = fetches.get(key);
  if (known !== undefined) {
    native.freeFetch(fetch);
    return known;
  }
  fetches.set(key, fetch);
  owners.set(fetch, { fetches, key });
  listen(fetch, (_, { progress }, guard) => {
    updates.push({ key: fetch, progress, guard });
    deliverUpdate();
  });
  return fetch;
}

/** The handle in the answer to a call, whose updates may come now. */
function found({ fetches }, { value, guard }) {
  if (value === null) return null;
  const fetch = adopt(fetches, value);
  native.release(guard);
  return fetch;
}

function forget(key) {
  const { fetches, key: identity } = owners.get(key) ?? {};
  if (fetches === undefined) return;
  owners.delete(key);
  fetches.delete(identity);
  listen(key);
  native.freeFetch(key);
}

async function fetch(owner, id, stored, options, seesActiveWorker) {
  const sources = [];
  const requests = stored.map(({ request, body }) => {
    if (body === null) return request;
    const source = native.newSource(queueHandle());
    sources.push({ source, body });
    return { ...request, body: source };
  });
  const arguments_ = JSON.stringify({ id, requests, ...options, seesActiveWorker, held: true });
  const stops = sources.map(({ source, body }) => pump(body, source));
  try {
    return found(owner, await call(native.fetch, owner.handle, arguments_));
  } finally {
    for (const stop of stops) stop();
  }
}

async function get(owner, id) {
  return found(owner, await call(native.get, owner.handle, id));
}

async function getIds(owner) {
  const { value } = await call(native.getIds, owner.handle);
  return { list: value };
}

async function abort(key) {
  return (await call(native.abort, key)).value;
}

/** Makes the body of a record a file, or leaves it if a file has just its bytes already. */
async function exportRecord(record, path, link) {
  try {
    await ask(native.exportRecord, record, path, link);
  } catch (error) {
    // An event that is told again after a crash may have exported it before.
    const isThere = await ask(native.isExportedAt, record, path).catch(() => false);
    if (!isThere) throw error;
  }
}

async function matchAll(key, query, options, first) {
  const text = query === null ? "" : JSON.stringify(query);
  const { value } = await call(native.matchAll, key, text, JSON.stringify(options), first);
  return { list: value };
}

async function responseReady(record) {
  return (await call(native.responseReady, record)).value;
}

/** Keeps an event for the registration until it asks for it. */
function queueEvent(owner, { event, fetch, key, type, updatesUi }) {
  const registration = adopt(owner.fetches, { fetch, key });
  listen(event, () => {
    active.delete(event);
    listen(event);
    native.freeEvent(event);
  });
  active.set(event, owner);
  owner.events.push({ event, type, updatesUi, registration });
  deliverEvent(owner);
}

function deliverEvent(owner) {
  if (owner.toFire === null || (owner.events.length === 0 && !owner.isClosed)) return;
  const resolve = owner.toFire;
  owner.toFire = null;
  resolve(owner.events.shift() ?? null);
}

/** The next event of a registration, or null when its engine is closed. */
function nextEvent(owner) {
  return new Promise((resolve) => {
    owner.toFire = resolve;
    deliverEvent(owner);
  });
}

function ifActive(event, run) {
  if (active.has(event)) return attempt(run);
  throw new DOMException("The event is no longer active", "InvalidStateError");
}

function extend(event) {
  const extension = ifActive(event, () => native.extend(event));
  extensions.set(extension, active.get(event));
  return extension;
}

function settle(extension, rejection) {
  const owner = extensions.get(extension);
  // The engine may have ended with the extension.
  if (owner === undefined || owner.isClosed) return;
  extensions.delete(extension);
  native.settle(extension, rejection);
}

function endDispatch(event) {
  const owner = active.get(event);
  if (owner === undefined || owner.isClosed) return;
  native.endDispatch(event);
}

/** A registration as the interfaces know it, in an engine with these fetches. */
function newOwner(handle, fetches) {
  const owner = { handle, fetches, events: [], toFire: null, isClosed: false };
  listen(handle, (_, event) => queueEvent(owner, event));
  return owner;
}

/** Ends what belongs to a registration whose engine is closed. */
function closeOwner(owner) {
  owner.isClosed = true;
  deliverEvent(owner);
  listen(owner.handle);
  native.freeRegistration(owner.handle);
}

const attributes = (key) => JSON.parse(attempt(() => native.attributes(key)));
const checkRequest = (request) => attempt(() => native.checkRequest(JSON.stringify(request)));
const closeRecord = (record) => native.freeRecord(record);
const requestBody = (record) => attempt(() => native.requestBody(record));
const start = (key) => owners.has(key) && native.startFetch(key);

async function updateUI(event, { title, icons }) {
  const options = JSON.stringify({ title, icons });
  await ifActive(event, () => call(native.updateUi, event, options));
}

export {
  abort,
  attributes,
  checkRequest,
  closeOwner,
  closeRecord,
  endDispatch,
  exportRecord,
  extend,
  fetch,
  forget,
  get,
  getIds,
  matchAll,
  newOwner,
  nextEvent,
  nextUpdate,
  requestBody,
  responseReady,
  settle,
  start,
  updateUI,
};
