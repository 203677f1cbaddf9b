// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// Objects of interfaces that are not serializable cannot be cloned or sent, alone or within others
// (https://html.spec.whatwg.org/multipage/structured-data.html#serializable-objects).
"use strict";

function assert_not_serializable(object, description) {
  const { port1 } = new MessageChannel();
  const channel = new BroadcastChannel("name");
  const values = [
    object,
    [object],
    { member: object },
    new Map([[1, object]]),
    new Map([[object, 1]]),
    new Set([[object]]),
    new Error("text", { cause: object }),
  ];
  for (const value of values) {
    assert_throws_dom("DataCloneError", () => structuredClone(value), description);
    assert_throws_dom("DataCloneError", () => port1.postMessage(value), description);
    assert_throws_dom("DataCloneError", () => port1.postMessage([value, port1], []), description);
    assert_throws_dom("DataCloneError", () => channel.postMessage(value), description);
    assert_throws_dom("DataCloneError", () => performance.mark("name", { detail: value }), description);
    assert_throws_dom("DataCloneError", () => new Notification("title", { data: value }), description);
  }
  channel.close();
  port1.close();
}

background_fetch_test(async ({ manager, reporter, id }) => {
  const { registration: serviceWorker } = reporter;
  const registration = await manager.fetch(id, new Server([{ holdHead: true }]).url);
  const record = await registration.match("", { ignoreSearch: true }) ?? (await registration.matchAll())[0];
  const objects = { manager, registration, record, request: record.request, serviceWorker };
  for (const [name, object] of Object.entries(objects)) assert_not_serializable(object, name);
  assert_throws_dom("DataCloneError", () => serviceWorker.active.postMessage({ registration }));
}, "Background Fetch's objects are not serializable");

test(() => {
  const objects = [
    navigator,
    navigator.serviceWorker,
    caches,
    crypto,
    document,
    document.createElement("p"),
    document.childNodes,
    new AbortController(),
    new Event("type"),
    new EventTarget(),
    new Headers(),
    new Response(),
    new URL(location),
    window,
  ];
  for (const object of objects) assert_not_serializable(object, String(object));
}, "Nor are those of other interfaces");

test(() => {
  assert_equals(structuredClone(new Error("text")).message, "text");
  assert_equals(structuredClone(new DOMException("text", "AbortError")).name, "AbortError");
  assert_equals(structuredClone(new Blob(["text"])).size, 4);
  assert_equals(structuredClone({ list: [new Date(0)] }).list[0].getTime(), 0);
}, "Errors, blobs and what the language has are");

test(() => {
  const objects = [
    (async function* () {})(),
    (function* () {})(),
    [].values(),
    new Proxy({}, {}),
    // Only pages that are isolated from other origins have it.
    ...("SharedArrayBuffer" in self ? [new SharedArrayBuffer(1)] : []),
    new WeakMap(),
    new WeakRef({}),
    Object(Symbol()),
    Promise.resolve(),
    Symbol(),
    () => {},
  ];
  for (const object of objects) assert_not_serializable(object, typeof object);
}, "Nor are objects of the language with other internal slots");

const mark = Symbol.for("Deno.core.hostObject");

test(() => {
  for (const type of ["unknown", "constructor", "__proto__", "Blob", "Error", undefined, 1, mark]) {
    assert_not_serializable({ [mark]: () => ({ type }) });
    assert_not_serializable(new class { [mark]() { return { type }; } }());
  }
  assert_not_serializable({ [mark]: "MessagePort" });
  const object = { [mark]: "MessagePort" };
  assert_throws_dom("DataCloneError", () => structuredClone(object, { transfer: [object] }));
}, "Nor is an object with a host's own mark, whatever it says of itself");

promise_test(async (t) => {
  const source = new ReadableStream({
    start: (controller) => controller.enqueue({ [mark]: () => ({ type: "unknown" }) }),
  });
  const reader = new Response(source).clone().body.getReader();
  await promise_rejects_dom(t, "DataCloneError", reader.read());
}, "Nor as a chunk of a stream of which a branch is cloned");

test(() => {
  const object = { list: [1, , 3], text: "\ud800", numbers: [-0, NaN, -Infinity, 2n ** 70n] };
  object.itself = object;
  object.map = new Map([[object, new Set([object.list])]]);
  object.error = new RangeError("text", { cause: object });
  const clone = structuredClone(object);
  assert_not_equals(clone, object);
  assert_equals(clone.itself, clone);
  assert_true(clone.map.get(clone).has(clone.list));
  assert_equals(clone.error.cause, clone);
  assert_equals(clone.error.name, "RangeError");
  assert_equals(clone.error.stack, object.error.stack);
  assert_array_equals(Object.keys(clone.list), ["0", "2"]);
  assert_equals(clone.list.length, 3);
  assert_equals(clone.text, "\ud800");
  assert_array_equals(clone.numbers, object.numbers);
}, "What refers to itself is cloned, whatever it contains");

test(() => {
  const buffer = new ArrayBuffer(16, { maxByteLength: 20 });
  const views = [new Uint16Array(buffer, 4, 2), new DataView(buffer, 2, 3), new Float64Array(buffer)];
  views[0][1] = 7;
  const clone = structuredClone({ views, objects: [new Boolean(false), Object(1n), new String("text")] });
  assert_equals(clone.views[0].buffer, clone.views[1].buffer);
  assert_equals(clone.views[0].buffer.maxByteLength, 20);
  assert_array_equals(clone.views[0], views[0]);
  assert_equals(clone.views[1].byteOffset, 2);
  assert_array_equals(clone.objects.map((object) => typeof object), ["object", "object", "object"]);
  assert_array_equals(clone.objects.map((object) => object.valueOf()), [false, 1n, "text"]);
  const { source, flags, lastIndex } = structuredClone(/a\/b/dgimsvy);
  assert_array_equals([source, flags, lastIndex], ["a\\/b", "dgimsvy", 0]);
}, "Buffers, their views, wrapper objects and regular expressions");

test(() => {
  const file = structuredClone(new Map([[1, new File(["text"], "name", { lastModified: 5 })]])).get(1);
  assert_array_equals([file.name, file.size, file.lastModified], ["name", 4, 5]);
  const error = structuredClone({ error: new QuotaExceededError("text", { quota: 5 }) }).error;
  assert_true(error instanceof QuotaExceededError);
  assert_array_equals([error.message, error.quota, error.requested], ["text", 5, null]);
}, "Serializable objects within others");

promise_test(async () => {
  const { port1, port2 } = new MessageChannel();
  const sent = new MessageChannel().port1;
  const buffer = new ArrayBuffer(4);
  const message = new Promise((resolve) => port2.onmessage = resolve);
  port1.postMessage(new Map([["port", sent], ["buffer", buffer]]), [sent, buffer]);
  const { data, ports } = await message;
  assert_equals(data.get("port"), ports[0]);
  assert_equals(data.get("buffer").byteLength, 4);
  assert_true(buffer.detached);
  for (const transfer of [[sent], [buffer], [{}], [port1], [new ArrayBuffer(1), new ArrayBuffer(1)].fill(new ArrayBuffer(1))]) {
    assert_throws_dom("DataCloneError", () => port1.postMessage(1, transfer));
  }
  port1.close();
}, "Transferred objects are found within others, and none is transferred twice");

background_fetch_test(async ({ reporter, id }) => {
  const { active } = reporter.registration;
  for (const message of [{ [mark]: () => ({ type: "unknown" }) }, new Map([[1, new Response()]])]) {
    assert_throws_dom("DataCloneError", () => active.postMessage(message));
  }
  await reporter.ask({ question: "say", id, type: "said" });
  assert_equals((await reporter.report(id)).type, "said");
}, "Nor are they sent to a worker, which goes on");
