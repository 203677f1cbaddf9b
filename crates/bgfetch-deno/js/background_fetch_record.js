// https://wicg.github.io/background-fetch/#background-fetch-record-interface
(function () {
"use strict";

const { core } = __bootstrap;
const {
  op_bgfetch_close_record,
  op_bgfetch_request_body,
  op_bgfetch_response_ready,
} = core.ops;
const { rejected, SafeFinalizationRegistry } = core.loadExtScript(
  "ext:bgfetch_deno/primordials.js",
);
const {
  asyncOp,
  configureInterface,
  fromStoredRequest,
  illegalConstructor,
  newResponse,
} = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { illegalInvocation } = core.loadExtScript("ext:bgfetch_deno/webidl.js");

const responseReadyInEngine = asyncOp(op_bgfetch_response_ready);
const create = Symbol("create");

class BackgroundFetchRecord {
  /** See `Matched` in registration.rs. */
  #matched;
  #request = null;
  #responseReady = null;

  constructor(key = null, matched = null) {
    if (key !== create) illegalConstructor();
    this.#matched = matched;
  }

  get request() {
    const { record, request } = this.#matched;
    return this.#request ??= fromStoredRequest(request, op_bgfetch_request_body(record));
  }

  // DEVIATION(D31): the promise is created on first access: a page that matches thousands of
  // records opens only the bodies that it reads, and gets no rejections of promises that it never
  // asked for.
  get responseReady() {
    try {
      return this.#responseReady ??= responseReady(this.#matched.record);
    } catch {
      // An attribute whose type is a promise does not throw.
      return rejected(illegalInvocation());
    }
  }
}

configureInterface(BackgroundFetchRecord);

async function responseReady(record) {
  const { head, body } = await responseReadyInEngine(record);
  return newResponse(head, body);
}

const collected = new SafeFinalizationRegistry((record) => op_bgfetch_close_record(record));

/** An object for a record that matched. */
function newRecord(matched) {
  const record = new BackgroundFetchRecord(create, matched);
  collected.register(record, matched.record);
  return record;
}

return { BackgroundFetchRecord, newRecord };
})();
