// https://html.spec.whatwg.org/multipage/structured-data.html#structuredserialize
(function () {
"use strict";

const { core } = __bootstrap;
const {
  append,
  forEach,
  getterOf,
  hasOwn,
  map,
  SafeMap,
  setPrototypeOf,
  String,
  Uint8Array,
  uncurryThis,
} = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const {
  bufferOfDataView,
  bufferOfTyped,
  byteLengthOfDataView,
  byteOffsetOfDataView,
  byteOffsetOfTyped,
  isDetached,
  isResizable,
  isView,
  lengthOfTyped,
  maxByteLengthOf,
  nameOfTyped,
} = core.loadExtScript("ext:bgfetch_host/buffer_source.js");
const { ERRORS, isMarked, kindOf, ownValue, refuse, sourceOf, stackOf, TAGS } = core.loadExtScript(
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

const { isArray } = Array;
const { is, keys } = Object;
const { isProxy } = core;
const mapForEach = uncurryThis(Map.prototype.forEach);
const setForEach = uncurryThis(Set.prototype.forEach);
const FLAGS = map(
  [
    ["d", "hasIndices"],
    ["g", "global"],
    ["i", "ignoreCase"],
    ["m", "multiline"],
    ["s", "dotAll"],
    ["u", "unicode"],
    ["v", "unicodeSets"],
    ["y", "sticky"],
  ],
  ({ 0: flag, 1: name }) => ({ __proto__: null, flag, isSet: getterOf(RegExp.prototype, name) }),
);

/** https://html.spec.whatwg.org/multipage/structured-data.html#structuredserializeinternal */
class Serializer {
  /** Has no prototype, so that adding to it calls no setters. */
  list = setPrototypeOf([], null);
  buffers = [];
  #numbers = new SafeMap();
  #transferred = new SafeMap();

  constructor(transferred) {
    forEach(transferred, (object, index) => this.#transferred.set(object, index));
  }

  #put(item) {
    this.list[this.list.length] = item;
  }

  write(value) {
    switch (typeof value) {
      case "undefined":
        return this.#put(UNDEFINED);
      case "number":
        return this.#writeNumber(value);
      case "boolean":
      case "string":
        this.#put(PRIMITIVE);
        return this.#put(value);
      case "bigint":
        this.#put(BIGINT);
        return this.#put(String(value));
      case "object":
        if (value !== null) return this.#writeObject(value);
        this.#put(PRIMITIVE);
        return this.#put(null);
      default:
        refuse();
    }
  }

  #writeNumber(value) {
    const isInJson = value - value === 0 && !is(value, -0);
    this.#put(isInJson ? PRIMITIVE : NUMBER);
    if (isInJson) this.#put(value);
    else this.#put(value === 0 ? "-0" : String(value));
  }

  #writeObject(value) {
    const index = this.#transferred.get(value);
    if (index !== undefined) {
      this.#put(TRANSFERRED);
      return this.#put(index);
    }
    const number = this.#numbers.get(value);
    if (number !== undefined) {
      this.#put(REFERENCE);
      return this.#put(number);
    }
    this.#numbers.set(value, this.#numbers.size);
    if (isProxy(value)) refuse();
    if (isArray(value)) return this.#writeArray(value);
    if (isView(value)) return this.#writeView(value);
    const kind = kindOf(value);
    if (kind !== undefined) return this.#writeKind(kind, value);
    if (isMarked(value)) refuse();
    this.#put(OBJECT);
    this.#writeProperties(value);
  }

  #writeKind({ tag, contentsOf, name }, value) {
    switch (tag) {
      case MAP:
        return this.#writeMap(value);
      case SET:
        return this.#writeSet(value);
      case BUFFER:
        return this.#writeBuffer(value);
      case ERROR:
        return this.#writeError(value);
      case REGEXP:
        return this.#writeRegExp(value);
      case DATE:
      case WRAPPER:
        this.#put(tag);
        return this.write(contentsOf(value));
      case PLATFORM:
        this.#put(PLATFORM);
        this.#put(name);
        return this.write(contentsOf(value));
      default:
        refuse();
    }
  }

  #writeArray(value) {
    this.#put(ARRAY);
    this.#put(value.length);
    this.#writeProperties(value);
  }

  #writeProperties(value) {
    forEach(keys(value), (name) => {
      if (!hasOwn(value, name)) return;
      this.#put(name);
      this.write(value[name]);
    });
    this.#put(END);
  }

  #writeView(view) {
    const name = nameOfTyped(view);
    this.#put(VIEW);
    if (name === undefined) {
      this.#put("DataView");
      this.#put(byteOffsetOfDataView(view));
      this.#put(byteLengthOfDataView(view));
      this.write(bufferOfDataView(view));
    } else {
      this.#put(name);
      this.#put(byteOffsetOfTyped(view));
      this.#put(lengthOfTyped(view));
      this.write(bufferOfTyped(view));
    }
  }

  #writeRegExp(value) {
    this.#put(REGEXP);
    this.#put(sourceOf(value));
    let flags = "";
    forEach(FLAGS, ({ flag, isSet }) => flags += isSet(value) ? flag : "");
    this.#put(flags);
  }

  #writeMap(value) {
    const entries = [];
    mapForEach(value, (value, key) => append(entries, { __proto__: null, key, value }));
    this.#put(MAP);
    forEach(entries, ({ key, value }) => {
      this.write(key);
      this.write(value);
    });
    this.#put(END);
  }

  #writeSet(value) {
    const elements = [];
    setForEach(value, (element) => append(elements, element));
    this.#put(SET);
    forEach(elements, (element) => this.write(element));
    this.#put(END);
  }

  #writeBuffer(buffer) {
    if (isDetached(buffer)) refuse();
    this.#put(BUFFER);
    this.#put(isResizable(buffer) ? maxByteLengthOf(buffer) : null);
    append(this.buffers, new Uint8Array(new Uint8Array(buffer)));
  }

  #writeError(error) {
    const { name } = error;
    const message = ownValue(error, "message");
    this.#put(ERROR);
    this.#put(typeof name === "string" && hasOwn(ERRORS, name) ? name : "Error");
    this.#put(message === undefined ? null : String(message));
    this.#put(stackOf(error));
    // The standard allows accompanying data, and browsers keep the cause.
    if (hasOwn(error, "cause")) this.write(error.cause);
    else this.#put(END);
  }
}

return { Serializer };
})();
