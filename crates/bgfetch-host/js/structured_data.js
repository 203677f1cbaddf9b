// Structured data (https://html.spec.whatwg.org/multipage/structured-data.html) as bytes, in place of
// Deno's for all callers. The backend's serializer looks built-ins up on the page's globals, follows
// cycles without an end, clones platform objects in Maps and Sets as empty objects, and ends the
// process for an object that claims to be one of Deno's own but has an unknown type.
//
// Must run before the scripts of Deno that take the ops of `BroadcastChannel`.
(function () {
"use strict";

const { core } = __bootstrap;
const { forEach, hasOwn, map, parse, setPrototypeOf, stringify, Uint8Array } = core.loadExtScript(
  "ext:bgfetch_deno/primordials.js",
);
const { bufferOfTyped, byteLengthOfTyped, byteOffsetOfTyped, forOp, setTyped } = core.loadExtScript(
  "ext:bgfetch_host/buffer_source.js",
);
const { Serializer } = core.loadExtScript("ext:bgfetch_host/structured_serialize.js");
const { Deserializer } = core.loadExtScript("ext:bgfetch_host/structured_deserialize.js");

/**
 * The bytes begin with a zero, because Deno encodes primitive values itself, with another first
 * byte. The length of the JSON text follows.
 */
const HEADER = 5;

function writeLength(bytes, length) {
  for (let i = 1; i < HEADER; i++) bytes[i] = length >>> (8 * (i - 1));
}

function readLength(bytes) {
  return (bytes[1] | (bytes[2] << 8) | (bytes[3] << 16) | (bytes[4] << 24)) >>> 0;
}

/** The bytes of a value. `transferred` are the transferred objects that it may contain. */
function serialize(value, transferred = []) {
  const serializer = new Serializer(transferred);
  serializer.write(value);
  const { list, buffers } = serializer;
  const lengths = setPrototypeOf(map(buffers, byteLengthOfTyped), null);
  const text = core.encode(stringify(setPrototypeOf([lengths, list], null)));
  let size = HEADER + byteLengthOfTyped(text);
  forEach(buffers, (buffer) => size += byteLengthOfTyped(buffer));
  const bytes = new Uint8Array(size);
  writeLength(bytes, byteLengthOfTyped(text));
  let offset = HEADER;
  const add = (part) => {
    setTyped(bytes, part, offset);
    offset += byteLengthOfTyped(part);
  };
  add(text);
  forEach(buffers, add);
  return forOp(bytes);
}

/** The value of bytes. `transferred` are the objects in the place of the transferred ones. */
function deserialize(bytes, transferred = []) {
  const buffer = bufferOfTyped(bytes);
  let offset = byteOffsetOfTyped(bytes) + HEADER;
  const take = (length) => {
    const part = new Uint8Array(buffer, offset, length);
    offset += length;
    return part;
  };
  const { 0: lengths, 1: list } = parse(core.decode(forOp(new Uint8Array(take(readLength(bytes))))));
  const buffers = map(lengths, (length) => new Uint8Array(take(length)));
  return new Deserializer(list, buffers, transferred).read();
}

/** A copy of a value without transferred objects. */
function clone(value) {
  const serializer = new Serializer([]);
  serializer.write(value);
  return new Deserializer(serializer.list, serializer.buffers, []).read();
}

/** The transferred objects in Deno's options. */
function transferredIn(options) {
  return options !== undefined && hasOwn(options, "hostObjects") ? options.hostObjects : [];
}

core.serialize = (value, options) => serialize(value, transferredIn(options));
core.deserialize = (bytes, options) => deserialize(bytes, transferredIn(options));
core.structuredClone = clone;
core.ops.op_broadcast_serialize = (value) => [serialize(value), 0];
core.ops.op_broadcast_deserialize = (bytes) => deserialize(bytes);

return { clone, serialize };
})();
