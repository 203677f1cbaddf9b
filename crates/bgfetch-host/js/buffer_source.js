// The internal slots of buffers and their views, read without a look-up.
(function () {
"use strict";

const { core } = __bootstrap;
const { define, getPrototypeOf, getterOf, Uint8Array, uncurryThis } = core.loadExtScript(
  "ext:bgfetch_deno/primordials.js",
);

const { ArrayBuffer, DataView } = globalThis;
const TypedArrayPrototype = getPrototypeOf(Uint8Array.prototype);

/** The names of the classes of typed arrays. */
const INTEGER_ARRAYS = [
  "Int8Array",
  "Uint8Array",
  "Uint8ClampedArray",
  "Int16Array",
  "Uint16Array",
  "Int32Array",
  "Uint32Array",
  "BigInt64Array",
  "BigUint64Array",
];
const FLOAT_ARRAYS = ["Float16Array", "Float32Array", "Float64Array"];

const bufferOfTyped = getterOf(TypedArrayPrototype, "buffer");

return {
  bufferOfDataView: getterOf(DataView.prototype, "buffer"),
  bufferOfTyped,
  byteLengthOfBuffer: getterOf(ArrayBuffer.prototype, "byteLength"),
  byteLengthOfDataView: getterOf(DataView.prototype, "byteLength"),
  byteLengthOfTyped: getterOf(TypedArrayPrototype, "byteLength"),
  byteOffsetOfDataView: getterOf(DataView.prototype, "byteOffset"),
  byteOffsetOfTyped: getterOf(TypedArrayPrototype, "byteOffset"),
  FLOAT_ARRAYS,
  /** Prepares bytes of our own for an op. The backend looks `resizable` up on their buffer. */
  forOp(bytes) {
    define(bufferOfTyped(bytes), "resizable", false);
    return bytes;
  },
  INTEGER_ARRAYS,
  isDetached: getterOf(ArrayBuffer.prototype, "detached"),
  isResizable: getterOf(ArrayBuffer.prototype, "resizable"),
  isView: ArrayBuffer.isView,
  lengthOfTyped: getterOf(TypedArrayPrototype, "length"),
  maxByteLengthOf: getterOf(ArrayBuffer.prototype, "maxByteLength"),
  /** The name of a typed array's class, or undefined for other values. */
  nameOfTyped: getterOf(TypedArrayPrototype, Symbol.toStringTag),
  /** Copies the elements of one typed array into another one. */
  setTyped: uncurryThis(TypedArrayPrototype.set),
  transferBuffer: uncurryThis(ArrayBuffer.prototype.transfer),
};
})();
