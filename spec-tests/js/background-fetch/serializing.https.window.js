// META: script=resources/server.sub.js
// META: script=resources/helper.js
// Objects of interfaces that are not serializable cannot be cloned or sent, alone or within others
// (https://html.spec.whatwg.org/multipage/structured-data.html#serializable-objects).
"use strict";

function assert_not_serializable(object, description) {
  const { port1 } = new MessageChannel();
  for (const value of [object, [object], { member: object }]) {
    assert_throws_dom("DataCloneError", () => structuredClone(value), description);
    assert_throws_dom("DataCloneError", () => port1.postMessage(value), description);
    assert_throws_dom("DataCloneError", () => port1.postMessage([value, port1], []), description);
  }
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
  const mark = Symbol.for("Deno.core.hostObject");
  for (const type of ["unknown", "constructor", "__proto__", undefined, 1, mark]) {
    const object = { [mark]: () => ({ type }) };
    assert_throws_dom("DataCloneError", () => structuredClone(object));
    assert_throws_dom("DataCloneError", () => structuredClone([object]));
  }
  assert_throws_dom("DataCloneError", () => structuredClone({ [mark]: "MessagePort" }));
}, "Nor is an object with a host's own mark, whatever it says of itself");

background_fetch_test(async ({ reporter, id }) => {
  const mark = Symbol.for("Deno.core.hostObject");
  reporter.registration.active.postMessage({ [mark]: () => ({ type: "unknown" }) });
  await reporter.ask({ question: "say", id, type: "said" });
  assert_equals((await reporter.report(id)).type, "said");
}, "A worker that is sent such an object goes on");
