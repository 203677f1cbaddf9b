// Serializing with a transfer list (https://html.spec.whatwg.org/multipage/structured-data.html),
// on top of Deno's implementation. The QuickJS backend cannot transfer an ArrayBuffer, so it is
// copied and then detached. It also throws a TypeError for objects that cannot be cloned.
(function () {
"use strict";

const { core } = __bootstrap;
const {
  apply,
  define,
  filter,
  forEach,
  getterOf,
  hasOwn,
  isObject,
  iterable,
  iterator,
  Proxy,
  some,
  stringCharCodeAt,
  TypeError,
  Uint8Array,
  uncurryThis,
} = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const { DOMException } = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { dictionary, illegalInvocation, member, requiredArguments, sequence } = core.loadExtScript(
  "ext:bgfetch_deno/webidl.js",
);
const {
  deserializeJsMessageData,
  getMessagePortId,
  MessagePort,
  serializeJsMessageData,
} = core.loadExtScript("ext:deno_web/13_message_port.js");

const { postMessage: postMessageOfDeno } = MessagePort.prototype;
const isPrototypeOf = uncurryThis(Object.prototype.isPrototypeOf);
const typeErrorPrototype = TypeError.prototype;
const byteLengthOf = getterOf(ArrayBuffer.prototype, "byteLength");
const isDetached = getterOf(ArrayBuffer.prototype, "detached");
const transferBuffer = uncurryThis(ArrayBuffer.prototype.transfer);
const messageOf = (error) => hasOwn(error, "message") ? error.message : "";

// Deno calls the deserializer without checking that it exists, and a script can give any object the
// brand of those that Deno clones, with any type.
const known = core.getCloneableDeserializers();
const deserializers = new Proxy(known, {
  __proto__: null,
  get: (_, type) => hasOwn(known, type) ? known[type] : refuse,
});
core.getCloneableDeserializers = () => deserializers;

/** The error of the last refused object. Deno throws a RangeError in its place. */
let refusal = null;

function refuse() {
  refusal = new DOMException("The object cannot be cloned", "DataCloneError");
  throw refusal;
}

function isBuffer(object) {
  try {
    byteLengthOf(object);
    return true;
  } catch {
    return false;
  }
}

/** Runs `serialize` with the objects that it transfers itself. */
function transferring(transfer, serialize) {
  const buffers = filter(transfer, isBuffer);
  if (some(buffers, isDetached)) {
    throw new DOMException("An ArrayBuffer is detached", "DataCloneError");
  }
  let serialized;
  refusal = null;
  try {
    serialized = serialize(filter(transfer, (object) => !isBuffer(object)));
  } catch (error) {
    if (refusal !== null) throw refusal;
    if (!isPrototypeOf(typeErrorPrototype, error)) throw error;
    throw new DOMException(messageOf(error), "DataCloneError");
  }
  forEach(buffers, (buffer) => transferBuffer(buffer));
  return serialized;
}

function object(value, prefix, context) {
  if (isObject(value)) return value;
  throw new TypeError(prefix + ": " + context + " is not an object");
}

const objects = sequence(object);

/** `StructuredSerializeOptions` */
const serializeOptions = dictionary("StructuredSerializeOptions", [member("transfer", objects)]);

function transferOf(options, prefix) {
  return serializeOptions(options, prefix, "Argument 2").transfer ?? [];
}

/** The list in a `sequence<object>` or `StructuredSerializeOptions`. */
function transferOrOptions(options, prefix) {
  const method = isObject(options) ? options[iterator] : undefined;
  if (method === undefined || method === null) return transferOf(options, prefix);
  return objects(options, prefix, "Argument 2");
}

/** The form of a message on its way to another realm: see `Message` in message.rs. */
function toMessage(value, options, prefix) {
  const { data, transferables } = transferring(
    transferOrOptions(options, prefix),
    (transfer) => serializeJsMessageData(value, transfer),
  );
  // One byte per character, which JSON can represent.
  return { __proto__: null, data: core.encodeBinaryString(data), transferables };
}

/** The members `data` and `ports` of the event for a message. */
function fromMessage({ data, transferables }) {
  const bytes = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i++) bytes[i] = stringCharCodeAt(data, i);
  const { 0: value, 1: transferred } = deserializeJsMessageData({
    __proto__: null,
    data: bytes,
    transferables,
  });
  const ports = filter(transferred, (object) => isPrototypeOf(MessagePort.prototype, object));
  return { __proto__: null, data: value, ports };
}

/** https://html.spec.whatwg.org/multipage/structured-data.html#dom-structuredclone */
function structuredClone(value, options = undefined) {
  const prefix = "Failed to execute 'structuredClone'";
  requiredArguments(arguments.length, 1, prefix);
  return transferring(transferOf(options, prefix), (transfer) =>
    transfer.length === 0
      ? core.structuredClone(value, deserializers)
      : deserializeJsMessageData(serializeJsMessageData(value, transfer))[0]);
}

const patched = {
  postMessage(message, options = undefined) {
    const prefix = "Failed to execute 'postMessage' on 'MessagePort'";
    requiredArguments(arguments.length, 1, prefix);
    if (!isPort(this)) throw illegalInvocation();
    transferring(transferOrOptions(options, prefix), (transfer) => {
      // Deno uses the list's iterator, and that of an array can be the page's.
      const list = transfer.length === 0 ? undefined : iterable(transfer);
      apply(postMessageOfDeno, this, [message, list]);
    });
  },
};

function isPort(object) {
  try {
    getMessagePortId(object);
    return true;
  } catch {
    return false;
  }
}

define(MessagePort.prototype, "postMessage", patched.postMessage, true);

return { fromMessage, structuredClone, toMessage };
})();
