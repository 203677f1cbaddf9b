// Bodies: WHATWG streams over handles of the addon.
import { attempt } from "./exceptions.js";
import * as native from "./native.js";
import { call, listen, ref, unref } from "./queue.js";

/**
 * How many bytes of a response's body are read at once, unless the reader brings its own buffer. Deno
 * collects larger buffers so late that they add up.
 */
const CHUNK = 64 * 1024;
/** How many bytes of a request's body the engine certainly takes at once. */
const MOST = 128 * 1024;

/** Frees the handles of streams that nobody can read any more. */
const collected = new FinalizationRegistry((free) => free());

/** The body of a response, whose bytes are read from the stored file straight into the reader's buffer. */
function responseBody(body) {
  let isOpen = true;
  let offset = 0;
  let wake = () => {};
  const free = () => {
    if (!isOpen) return;
    isOpen = false;
    listen(body);
    native.freeBody(body);
    wake();
  };
  /** Resolves when a read in vain is worth another try. It keeps the process alive. */
  const untilReadable = async () => {
    ref();
    await new Promise((resolve) => {
      wake = resolve;
      listen(body, resolve);
    });
    unref();
  };
  const stream = new ReadableStream({
    type: "bytes",
    autoAllocateChunkSize: CHUNK,
    async pull(controller) {
      const { byobRequest } = controller;
      const { view } = byobRequest;
      try {
        let read = readAt(body, offset, view);
        while (read < 0) {
          await untilReadable();
          // It was cancelled meanwhile.
          if (!isOpen) return;
          read = readAt(body, offset, view);
        }
        offset += read;
        if (read === 0) {
          free();
          controller.close();
        }
        byobRequest.respond(read);
      } catch (error) {
        free();
        throw error;
      }
    },
    cancel: free,
  });
  collected.register(stream, free);
  return stream;
}

function readAt(body, offset, view) {
  return attempt(() => native.readBody(body, offset, view));
}

/** The body of a stored request. */
function requestBody(handle) {
  let isOpen = true;
  const free = () => {
    if (isOpen) native.freeStream(handle);
    isOpen = false;
  };
  const stream = new ReadableStream({
    async pull(controller) {
      const { bytes } = await call(native.readStream, handle);
      if (bytes.length > 0) {
        controller.enqueue(bytes);
        return;
      }
      free();
      controller.close();
    },
    cancel: free,
  }, { highWaterMark: 0 });
  collected.register(stream, free);
  return stream;
}

/**
 * Feeds the source from a stream, as fast as the engine takes it. Returns a function that ends that,
 * when the engine has everything or does not want it.
 */
function pump(stream, source) {
  const reader = stream.getReader();
  let isDone = false;
  let credit = 0;
  let awaitCredit = () => {};
  listen(source, (_, bytes) => {
    credit += bytes;
    awaitCredit();
  });
  const until = async (bytes) => {
    while (credit < bytes && !isDone) await new Promise((resolve) => awaitCredit = resolve);
  };
  const feed = async () => {
    // A script's stream is not read before there is room for its bytes.
    await until(1);
    while (!isDone) {
      const { value, done } = await reader.read();
      if (done) break;
      if (!(value instanceof Uint8Array)) throw new TypeError("A chunk of the body is no Uint8Array");
      for (let from = 0; from < value.length && !isDone; from += MOST) {
        const bytes = value.subarray(from, from + MOST);
        await until(bytes.length);
        if (isDone) return;
        native.writeSource(source, bytes);
        credit -= bytes.length;
      }
    }
    if (!isDone) native.endSource(source, null);
  };
  feed().catch((error) => {
    try {
      if (!isDone) native.endSource(source, String(error));
    } catch {
      // The engine reads the source no more, and says so in its answer to the call.
    }
  });
  return () => {
    isDone = true;
    awaitCredit();
    listen(source);
    native.freeSource(source);
    // The stream may have ended already.
    reader.cancel().catch(() => {});
  };
}

export { pump, requestBody, responseBody };
