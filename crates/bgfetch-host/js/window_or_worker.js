// https://html.spec.whatwg.org/multipage/webappapis.html#windoworworkerglobalscope-mixin, and what
// else all realms have.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_host_random, op_host_uuid } = core.ops;
const { DOMException, QuotaExceededError, webidl } = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { fetch } = core.loadExtScript("ext:bgfetch_host/fetch.js");

const create = Symbol("create");
const INTEGER_ARRAYS = new Set(
  ["Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array", "Uint16Array", "Int32Array",
    "Uint32Array", "BigInt64Array", "BigUint64Array"],
);
const typedArrayName = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  Symbol.toStringTag,
).get;

/** https://w3c.github.io/webcrypto/#Crypto-interface, without `subtle`. */
class Crypto {
  #checked = true;

  constructor(key = null) {
    if (key !== create) webidl.illegalConstructor();
  }

  getRandomValues(array) {
    this.#checked;
    if (!INTEGER_ARRAYS.has(Reflect.apply(typedArrayName, array, []))) {
      throw new DOMException("The argument is no array of integers", "TypeMismatchError");
    }
    if (array.byteLength > 65536) {
      throw new QuotaExceededError("More than 65536 bytes were asked for");
    }
    op_host_random(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    return array;
  }

  randomUUID() {
    this.#checked;
    return op_host_uuid();
  }
}
webidl.configureInterface(Crypto);

function installWindowOrWorker(global, { isSecureContext, hasNetwork }) {
  // [SecureContext]
  if (!isSecureContext) delete Crypto.prototype.randomUUID;
  const crypto = new Crypto(create);
  const attributes = {
    get crypto() {
      return crypto;
    },
    get isSecureContext() {
      return isSecureContext;
    },
    get origin() {
      return location.origin;
    },
  };
  Object.defineProperties(global, Object.getOwnPropertyDescriptors(attributes));
  define(global, "Crypto", Crypto, false);
  if (hasNetwork) define(global, "fetch", fetch, true);
}

function define(global, name, value, enumerable) {
  const writable = true;
  const configurable = true;
  Object.defineProperty(global, name, { value, writable, enumerable, configurable });
}

return { installWindowOrWorker };
})();
