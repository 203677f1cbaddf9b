// https://html.spec.whatwg.org/multipage/structured-data.html#structureddeserialize
(function () {
"use strict";

const { core } = __bootstrap;
const { append, define, Error, Number, Uint8Array, uncurryThis } = core.loadExtScript(
  "ext:bgfetch_deno/primordials.js",
);
const { bufferOfTyped, byteLengthOfTyped, FLOAT_ARRAYS, INTEGER_ARRAYS, setTyped } = core
  .loadExtScript("ext:bgfetch_host/buffer_source.js");
const { ERRORS, INTERFACES, refuse, TAGS, withStack } = core.loadExtScript(
  "ext:bgfetch_host/serializable.js",
);
const {
  ARRAY,
  BIGINT,
  BUFFER,
  DATE,
  END,
  ERROR,
  MAP,
  NUMBER,
  OBJECT,
  PLATFORM,
  PRIMITIVE,
  REFERENCE,
  REGEXP,
  SET,
  TRANSFERRED,
  UNDEFINED,
  VIEW,
  WRAPPER,
} = TAGS;

const { ArrayBuffer, BigInt, Date, Map, Object, RegExp, Set } = globalThis;
const mapSet = uncurryThis(Map.prototype.set);
const setAdd = uncurryThis(Set.prototype.add);
const VIEWS = { __proto__: null, DataView };
for (const names of [INTEGER_ARRAYS, FLOAT_ARRAYS]) {
  for (const name of names) VIEWS[name] = globalThis[name];
}

/** https://html.spec.whatwg.org/multipage/structured-data.html#structureddeserialize */
class Deserializer {
  #list;
  #buffers;
  #transferred;
  #objects = [];
  #position = 0;
  #buffer = 0;

  constructor(list, buffers, transferred) {
    this.#list = list;
    this.#buffers = buffers;
    this.#transferred = transferred;
  }

  #next() {
    return this.#list[this.#position++];
  }

  #isAtEnd() {
    if (this.#list[this.#position] !== END) return false;
    this.#position++;
    return true;
  }

  /** Numbers an object, whose contents are read later. */
  #keep(object) {
    append(this.#objects, object);
    return object;
  }

  read() {
    switch (this.#next()) {
      case UNDEFINED:
        return undefined;
      case PRIMITIVE:
        return this.#next();
      case NUMBER:
        return Number(this.#next());
      case BIGINT:
        return BigInt(this.#next());
      case WRAPPER:
        return this.#readAfterContents((value) => Object(value));
      case DATE:
        return this.#readAfterContents((time) => new Date(time));
      case REGEXP:
        return this.#keep(new RegExp(this.#next(), this.#next()));
      case BUFFER:
        return this.#keep(this.#readBuffer(this.#next()));
      case VIEW: {
        const View = VIEWS[this.#next()];
        const offset = this.#next();
        const length = this.#next();
        return this.#readAfterContents((buffer) => new View(buffer, offset, length));
      }
      case MAP:
        return this.#readMap(this.#keep(new Map()));
      case SET:
        return this.#readSet(this.#keep(new Set()));
      case ERROR:
        return this.#readError();
      case ARRAY: {
        const array = this.#keep([]);
        array.length = this.#next();
        return this.#readProperties(array);
      }
      case OBJECT:
        return this.#readProperties(this.#keep({}));
      case PLATFORM:
        return this.#readAfterContents(INTERFACES[this.#next()].from);
      case TRANSFERRED:
        return this.#transferred[this.#next()];
      case REFERENCE:
        return this.#objects[this.#next()];
      default:
        return refuse();
    }
  }

  /** Reads an object that is created from its contents, which cannot refer to it. */
  #readAfterContents(create) {
    const number = this.#objects.length;
    this.#keep(null);
    return this.#objects[number] = create(this.read());
  }

  #readBuffer(maxByteLength) {
    const bytes = this.#buffers[this.#buffer++];
    if (maxByteLength === null) return bufferOfTyped(bytes);
    const buffer = new ArrayBuffer(byteLengthOfTyped(bytes), { __proto__: null, maxByteLength });
    setTyped(new Uint8Array(buffer), bytes);
    return buffer;
  }

  #readMap(map) {
    while (!this.#isAtEnd()) {
      const key = this.read();
      mapSet(map, key, this.read());
    }
    return map;
  }

  #readSet(set) {
    while (!this.#isAtEnd()) setAdd(set, this.read());
    return set;
  }

  #readError() {
    const name = this.#next();
    const error = this.#keep(new (ERRORS[name] ?? Error)());
    const message = this.#next();
    if (message !== null) define(error, "message", message);
    withStack(error, this.#next());
    if (!this.#isAtEnd()) define(error, "cause", this.read());
    return error;
  }

  #readProperties(object) {
    while (!this.#isAtEnd()) {
      const name = this.#next();
      define(object, name, this.read(), true);
    }
    return object;
  }
}

return { Deserializer };
})();
