// https://html.spec.whatwg.org/multipage/webappapis.html#windoworworkerglobalscope-mixin, and the
// other members that all realms have.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_host_random, op_host_uuid } = core.ops;
const { define, includes, Uint8Array } = core.loadExtScript(
  "ext:bgfetch_deno/primordials.js",
);
const {
  configureInterface,
  DOMException,
  illegalConstructor,
  locationOrigin,
  QuotaExceededError,
} = core.loadExtScript("ext:bgfetch_deno/deno.js");
const {
  bufferOfTyped,
  byteLengthOfTyped,
  byteOffsetOfTyped,
  forOp,
  INTEGER_ARRAYS,
  nameOfTyped,
  setTyped,
} = core.loadExtScript("ext:bgfetch_host/buffer_source.js");
const { fetch } = core.loadExtScript("ext:bgfetch_host/fetch.js");
const { subtle } = core.loadExtScript("ext:bgfetch_host/subtle_crypto.js");

const create = Symbol("create");

/** https://w3c.github.io/webcrypto/#Crypto-interface */
class Crypto {
  #checked = true;

  constructor(key = null) {
    if (key !== create) illegalConstructor();
  }

  getRandomValues(array) {
    this.#checked;
    if (!includes(INTEGER_ARRAYS, nameOfTyped(array))) {
      throw new DOMException("The argument is not an array of integers", "TypeMismatchError");
    }
    const length = byteLengthOfTyped(array);
    if (length > 65536) {
      throw new QuotaExceededError("More than 65536 bytes were requested");
    }
    const random = new Uint8Array(length);
    op_host_random(forOp(random));
    setTyped(new Uint8Array(bufferOfTyped(array), byteOffsetOfTyped(array), length), random);
    return array;
  }

  get subtle() {
    this.#checked;
    return subtle;
  }

  randomUUID() {
    this.#checked;
    return op_host_uuid();
  }
}
configureInterface(Crypto);

function installWindowOrWorker(global, { isSecureContext, hasNetwork }) {
  // [SecureContext]
  if (!isSecureContext) {
    delete Crypto.prototype.randomUUID;
    delete Crypto.prototype.subtle;
  }
  const crypto = new Crypto(create);
  const attributes = {
    get crypto() {
      return crypto;
    },
    get isSecureContext() {
      return isSecureContext;
    },
    get origin() {
      return locationOrigin();
    },
  };
  Object.defineProperties(global, Object.getOwnPropertyDescriptors(attributes));
  define(global, "Crypto", Crypto, false);
  if (hasNetwork) define(global, "fetch", fetch, true);
}

return { installWindowOrWorker };
})();
