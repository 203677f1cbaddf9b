// https://wicg.github.io/background-fetch/#background-fetch-registration
import * as engine from "./engine.js";
import { map, SafeFinalizationRegistry, SafeMap, SafeWeakRef } from "./primordials.js";
import {
  configureInterface,
  DOMException,
  Event,
  EventTarget,
  fire,
  illegalConstructor,
  toStoredRequest,
} from "./platform.js";
import { newRecord } from "./background_fetch_record.js";
import { fromText } from "./dom_string.js";
import { defineEventHandler } from "./event_handler.js";
import {
  cacheQueryOptions,
  illegalInvocation,
  requestInfo,
  requiredArguments,
} from "./webidl.js";

const create = Symbol("create");

class BackgroundFetchRegistration extends EventTarget {
  /** The engine's key of the fetch. */
  #key;
  /** The attributes since the last update; see `attributesOf()`. */
  #attributes;

  constructor(key = null, fetch = null) {
    if (key !== create) illegalConstructor();
    super();
    this.#key = fetch;
    this.#attributes = attributesOf(fetch);
  }

  /** Whether `object` is a registration. */
  static is(object) {
    return typeof object === "object" && object !== null && #key in object;
  }

  /** Whether its records are available, as scripts see it. */
  static areRecordsAvailable(registration) {
    return registration.#attributes.recordsAvailable;
  }

  static update(registration) {
    registration.#attributes = attributesOf(registration.#key);
  }

  get id() {
    return this.#attributes.id;
  }

  get uploadTotal() {
    return this.#attributes.uploadTotal;
  }

  get uploaded() {
    return this.#attributes.uploaded;
  }

  get downloadTotal() {
    return this.#attributes.downloadTotal;
  }

  get downloaded() {
    return this.#attributes.downloaded;
  }

  get result() {
    return this.#attributes.result;
  }

  get failureReason() {
    return this.#attributes.failureReason;
  }

  get recordsAvailable() {
    return this.#attributes.recordsAvailable;
  }

  async abort() {
    return await engine.abort(this.#key);
  }

  async match(request, options = undefined) {
    const key = this.#key;
    const prefix = "Failed to execute 'match' on 'BackgroundFetchRegistration'";
    requiredArguments(arguments.length, 1, prefix);
    request = requestInfo(request, prefix, "Argument 1");
    options = cacheQueryOptions(options, prefix, "Argument 2");
    const { list } = await recordsOf(key, this.#attributes, request, options, true);
    return list.length === 0 ? undefined : newRecord(list[0]);
  }

  async matchAll(request = undefined, options = undefined) {
    const key = this.#key;
    const prefix = "Failed to execute 'matchAll' on 'BackgroundFetchRegistration'";
    if (request !== undefined) request = requestInfo(request, prefix, "Argument 1");
    options = cacheQueryOptions(options, prefix, "Argument 2");
    const { list } = await recordsOf(key, this.#attributes, request, options, false);
    return map(list, newRecord);
  }
}

const { areRecordsAvailable, is: isRegistration, update } = BackgroundFetchRegistration;
delete BackgroundFetchRegistration.areRecordsAvailable;
delete BackgroundFetchRegistration.is;
delete BackgroundFetchRegistration.update;

defineEventHandler(BackgroundFetchRegistration.prototype, "progress", (object) => {
  if (!isRegistration(object)) throw illegalInvocation();
  return object;
});
configureInterface(BackgroundFetchRegistration);

/** The current attributes of a fetch, with the names of the interface. */
function attributesOf(key) {
  const attributes = engine.attributes(key);
  attributes.id = fromText(attributes.id);
  return attributes;
}

/** A promise for the records that match, or the first of them. */
function recordsOf(key, { recordsAvailable }, info, options, first) {
  // Step 1, before the argument is converted to a request.
  if (!recordsAvailable) {
    throw new DOMException("The records are no longer available", "InvalidStateError");
  }
  const query = info === undefined ? null : toStoredRequest(info);
  return engine.matchAll(key, query, options, first);
}

/**
 * The realm's registration objects by key: one per fetch. They are kept as long as the engine may
 * send updates of their fetch, because a script may have added listeners to an object that it no
 * longer holds.
 */
const instances = new SafeMap();
const collected = new SafeFinalizationRegistry((key) => {
  if (instances.get(key)?.deref() === undefined) forget(key);
});

/** The realm's object of the fetch with that key. */
function registrationOf(key) {
  const known = instances.get(key)?.deref();
  if (known !== undefined) return known;
  const registration = new BackgroundFetchRegistration(create, key);
  keep(key, registration);
  return registration;
}

function keep(key, registration) {
  if (areRecordsAvailable(registration)) {
    instances.set(key, { deref: () => registration });
  } else {
    instances.set(key, new SafeWeakRef(registration));
    collected.register(registration, key);
  }
}

/** Ends what belongs to a fetch whose engine has ended: there will be no updates of it. */
function forget(key) {
  instances.delete(key);
  engine.forget(key);
}

/** Applies the realm's updates in order, each in a task of its own. */
async function applyUpdates() {
  for (;;) {
    const changed = await engine.nextUpdate();
    if (changed === null) return;
    const registration = instances.get(changed.key)?.deref();
    if (registration === undefined) continue;
    const wereAvailable = areRecordsAvailable(registration);
    update(registration);
    if (wereAvailable && !areRecordsAvailable(registration)) keep(changed.key, registration);
    if (changed.progress) fire(registration, new Event("progress"));
  }
}

export {
  applyUpdates,
  BackgroundFetchRegistration,
  forget,
  isRegistration,
  registrationOf,
};
