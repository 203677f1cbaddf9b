// https://wicg.github.io/background-fetch/#background-fetch-record-interface
import * as engine from "./engine.js";
import { rejected, SafeFinalizationRegistry } from "./primordials.js";
import {
  configureInterface,
  fromStoredRequest,
  illegalConstructor,
  newResponse,
} from "./platform.js";
import { illegalInvocation } from "./webidl.js";

const create = Symbol("create");

class BackgroundFetchRecord {
  /** The engine's number of the record, and its request. */
  #matched;
  #request = null;
  #responseReady = null;

  constructor(key = null, matched = null) {
    if (key !== create) illegalConstructor();
    this.#matched = matched;
  }

  /** The engine's number of a record. */
  static numberOf(record) {
    return record.#matched.record;
  }

  get request() {
    const { record, request } = this.#matched;
    return this.#request ??= fromStoredRequest(request, engine.requestBody(record));
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

const { numberOf } = BackgroundFetchRecord;
delete BackgroundFetchRecord.numberOf;
configureInterface(BackgroundFetchRecord);

async function responseReady(record) {
  const { head, body } = await engine.responseReady(record);
  return newResponse(head, body);
}

const collected = new SafeFinalizationRegistry((record) => engine.closeRecord(record));

/** An object for a record that matched. */
function newRecord(matched) {
  const record = new BackgroundFetchRecord(create, matched);
  collected.register(record, matched.record);
  return record;
}

export { BackgroundFetchRecord, newRecord, numberOf };
