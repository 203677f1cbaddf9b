// https://wicg.github.io/background-fetch/#background-fetch-registration
(function () {
"use strict";

const { core } = __bootstrap;
const {
  op_bgfetch_abort,
  op_bgfetch_attributes,
  op_bgfetch_forget,
  op_bgfetch_match_all,
  op_bgfetch_next_update,
} = core.ops;
const {
  Event,
  EventTarget,
  fire,
  Request,
  toStoredRequest,
  webidl,
} = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { newRecord } = core.loadExtScript("ext:bgfetch_deno/background_fetch_record.js");
const { defineEventHandler } = core.loadExtScript("ext:bgfetch_deno/event_handler.js");
const {
  cacheQueryOptions,
  illegalInvocation,
  requestInfo,
  requiredArguments,
} = core.loadExtScript("ext:bgfetch_deno/webidl.js");

const create = Symbol("create");

class BackgroundFetchRegistration extends EventTarget {
  /** What the engine calls the fetch. */
  #key;
  /** The attributes since the last update; see `Attributes` in registration.rs. */
  #attributes;

  constructor(key = null, fetch = null) {
    if (key !== create) webidl.illegalConstructor();
    super();
    this.#key = fetch;
    this.#attributes = op_bgfetch_attributes(fetch);
  }

  /** Whether `object` is a registration. */
  static is(object) {
    return typeof object === "object" && object !== null && #key in object;
  }

  static update(registration) {
    registration.#attributes = op_bgfetch_attributes(registration.#key);
    return registration.#attributes;
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
    return await op_bgfetch_abort(this.#key);
  }

  async match(request, options = {}) {
    const key = this.#key;
    const prefix = "Failed to execute 'match' on 'BackgroundFetchRegistration'";
    requiredArguments(arguments.length, 1, prefix);
    request = requestInfo(request, prefix, "Argument 1");
    options = cacheQueryOptions(options, prefix, "Argument 2");
    const [record] = await op_bgfetch_match_all(key, toQuery(request), options, true);
    return record && newRecord(record);
  }

  async matchAll(request = undefined, options = {}) {
    const key = this.#key;
    const prefix = "Failed to execute 'matchAll' on 'BackgroundFetchRegistration'";
    const query = request === undefined ? null : requestInfo(request, prefix, "Argument 1");
    options = cacheQueryOptions(options, prefix, "Argument 2");
    const records = await op_bgfetch_match_all(
      key,
      query === null ? null : toQuery(query),
      options,
      false,
    );
    return records.map((record) => newRecord(record));
  }
}

const { is: isRegistration, update } = BackgroundFetchRegistration;
delete BackgroundFetchRegistration.is;
delete BackgroundFetchRegistration.update;

defineEventHandler(BackgroundFetchRegistration.prototype, "progress", (object) => {
  if (!isRegistration(object)) throw illegalInvocation();
  return object;
});
webidl.configureInterface(BackgroundFetchRegistration);

/** What is matched against the records' requests. A Request's body is left alone. */
function toQuery(request) {
  return toStoredRequest(typeof request === "string" ? new Request(request) : request);
}

/**
 * The realm's registration objects by their keys: one for each fetch. They are kept as long as
 * the engine may say something of their fetch, because a script may have left its listeners with
 * one that it does not hold.
 */
const instances = new Map();
const collected = new FinalizationRegistry((key) => {
  if (instances.get(key)?.deref() === undefined) {
    instances.delete(key);
    op_bgfetch_forget(key);
  }
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
  if (registration.recordsAvailable) {
    instances.set(key, { deref: () => registration });
  } else {
    instances.set(key, new WeakRef(registration));
    collected.register(registration, key);
  }
}

/** Applies the realm's updates in their order, each in a task of its own. */
async function applyUpdates() {
  for (;;) {
    const next = op_bgfetch_next_update();
    // Waiting for updates does not keep an embedder's event loop from ending.
    core.unrefOpPromise(next);
    const changed = await next;
    if (changed === null) return;
    const registration = instances.get(changed.key)?.deref();
    if (registration === undefined) continue;
    const wereAvailable = registration.recordsAvailable;
    const { recordsAvailable } = update(registration);
    if (wereAvailable && !recordsAvailable) keep(changed.key, registration);
    if (changed.progress) fire(registration, new Event("progress"));
  }
}

return { applyUpdates, BackgroundFetchRegistration, isRegistration, registrationOf };
})();
