// Serializing with a transfer list (https://html.spec.whatwg.org/multipage/structured-data.html), and
// what uses it. The QuickJS backend cannot transfer an ArrayBuffer, so it is copied and then detached.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_message_port_post_message } = core.ops;
const {
  append,
  define,
  filter,
  find,
  forEach,
  getterOf,
  includes,
  isObject,
  iterator,
  map,
  SafeSet,
  some,
  stringCharCodeAt,
  TypeError,
  Uint8Array,
  uncurryThis,
} = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const { dictionary, illegalInvocation, member, requiredArguments, sequence } = core.loadExtScript(
  "ext:bgfetch_deno/webidl.js",
);
const { byteLengthOfBuffer, isDetached, transferBuffer } = core.loadExtScript(
  "ext:bgfetch_host/buffer_source.js",
);
const { refuse } = core.loadExtScript("ext:bgfetch_host/serializable.js");
const { clone, serialize } = core.loadExtScript("ext:bgfetch_host/structured_data.js");
const { deserializeJsMessageData, getMessagePortId, MessagePort } = core.loadExtScript(
  "ext:deno_web/13_message_port.js",
);
const { ReadableStream, TransformStream, WritableStream } = core.loadExtScript(
  "ext:deno_web/06_streams.js",
);

const isPrototypeOf = uncurryThis(Object.prototype.isPrototypeOf);

/** The transferable interfaces; `check` throws for other objects. */
const TRANSFERABLE = [
  { name: "MessagePort", check: getMessagePortId },
  { name: "ReadableStream", check: getterOf(ReadableStream.prototype, "locked") },
  { name: "TransformStream", check: getterOf(TransformStream.prototype, "readable") },
  { name: "WritableStream", check: getterOf(WritableStream.prototype, "locked") },
];

function passes(check, object) {
  try {
    check(object);
    return true;
  } catch {
    return false;
  }
}

function isBuffer(object) {
  return passes(byteLengthOfBuffer, object);
}

/**
 * https://html.spec.whatwg.org/multipage/structured-data.html#structuredserializewithtransfer, in
 * the form in which Deno sends messages.
 */
function serializeWithTransfer(value, transfer) {
  const seen = new SafeSet();
  const objects = [];
  forEach(transfer, (object) => {
    if (seen.has(object)) refuse();
    seen.add(object);
    if (isBuffer(object)) return;
    const found = find(TRANSFERABLE, ({ check }) => passes(check, object));
    if (found === undefined) refuse();
    append(objects, { __proto__: null, name: found.name, object });
  });
  const data = serialize(value, map(objects, ({ object }) => object));
  detach(transfer);
  const transferables = map(objects, ({ name, object }) => {
    const sent = core.getTransferableResource(name).send(object);
    const kind = typeof sent === "number" ? "resource" : "multiResource";
    return { __proto__: null, kind, data: [name, sent] };
  });
  return { __proto__: null, data, transferables };
}

/** Detaches the buffers that are transferred. */
function detach(transfer) {
  const buffers = filter(transfer, isBuffer);
  if (some(buffers, isDetached)) refuse();
  forEach(buffers, (buffer) => transferBuffer(buffer));
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
  const { data, transferables } = serializeWithTransfer(value, transferOrOptions(options, prefix));
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
  const transfer = transferOf(options, prefix);
  if (transfer.length === 0) return clone(value);
  return deserializeJsMessageData(serializeWithTransfer(value, transfer))[0];
}

const patched = {
  /** https://html.spec.whatwg.org/multipage/web-messaging.html#message-port-post-message-steps */
  postMessage(message, options = undefined) {
    const prefix = "Failed to execute 'postMessage' on 'MessagePort'";
    requiredArguments(arguments.length, 1, prefix);
    if (!passes(getMessagePortId, this)) throw illegalInvocation();
    const transfer = transferOrOptions(options, prefix);
    if (includes(transfer, this)) refuse();
    const serialized = serializeWithTransfer(message, transfer);
    // Getters of the message may have closed the port.
    const port = getMessagePortId(this);
    if (port !== null) op_message_port_post_message(port, serialized);
  },
};

define(MessagePort.prototype, "postMessage", patched.postMessage, true);

return { fromMessage, structuredClone, toMessage };
})();
