// Serializing with a transfer list (https://html.spec.whatwg.org/multipage/structured-data.html), on
// top of Deno's: the QuickJS backend cannot transfer an ArrayBuffer, which is copied, and then
// detached. What cannot be cloned it calls a TypeError.
(function () {
"use strict";

const { core } = __bootstrap;
const { DOMException, webidl } = core.loadExtScript("ext:bgfetch_deno/deno.js");
const {
  deserializeJsMessageData,
  MessagePort,
  serializeJsMessageData,
  structuredClone: structuredCloneOfDeno,
} = core.loadExtScript("ext:deno_web/13_message_port.js");

const { postMessage: postMessageOfDeno } = MessagePort.prototype;

/** Runs `serialize` with the list of what it is to transfer itself. */
function transferring(options, serialize) {
  const transfer = listOf(options);
  const isBuffer = (object) => object instanceof ArrayBuffer;
  const buffers = transfer.filter(isBuffer);
  if (buffers.some((buffer) => buffer.detached)) {
    throw new DOMException("An ArrayBuffer is detached", "DataCloneError");
  }
  const serialized = serialize(transfer.filter((object) => !isBuffer(object)));
  buffers.forEach((buffer) => buffer.transfer());
  return serialized;
}

/** The list in a `sequence<object>` or `StructuredSerializeOptions`. */
function listOf(options) {
  if (options === undefined || options === null) return [];
  return Symbol.iterator in options ? [...options] : [...(options.transfer ?? [])];
}

/** What a message is on its way to another realm: see `Message` in message.rs. */
function toMessage(value, options) {
  const { data, transferables } = transferring(options, (transfer) => {
    try {
      return serializeJsMessageData(value, transfer);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new DOMException(error.message, "DataCloneError");
    }
  });
  // A byte in each character is what JSON can carry.
  return { data: core.encodeBinaryString(data), transferables };
}

/** The members `data` and `ports` of the event that tells of a message. */
function fromMessage({ data, transferables }) {
  const bytes = Uint8Array.from(data, (character) => character.charCodeAt(0));
  const [value, transferred] = deserializeJsMessageData({ data: bytes, transferables });
  return { data: value, ports: transferred.filter((object) => object instanceof MessagePort) };
}

/** https://html.spec.whatwg.org/multipage/structured-data.html#dom-structuredclone */
function structuredClone(value, options = undefined) {
  return transferring(options, (transfer) => structuredCloneOfDeno(value, { transfer }));
}

const patched = {
  postMessage(message, options = undefined) {
    const prefix = "Failed to execute 'postMessage' on 'MessagePort'";
    const port = this;
    webidl.requiredArguments(arguments.length, 1, prefix);
    transferring(options, (transfer) => {
      // Deno says what is wrong with the port and the list.
      const post = (value) => Reflect.apply(postMessageOfDeno, port, [value, transfer]);
      try {
        post(message);
      } catch (error) {
        if (!(error instanceof TypeError) || !(port instanceof MessagePort)) throw error;
        throw new DOMException(error.message, "DataCloneError");
      }
    });
  },
};
MessagePort.prototype.postMessage = patched.postMessage;

return { fromMessage, structuredClone, toMessage };
})();
