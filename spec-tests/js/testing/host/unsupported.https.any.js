// META: global=window,worker
// What pages use and this user agent lacks is named by the error.
"use strict";

function unsupported(run, name) {
  try {
    run();
  } catch (error) {
    assert_equals(error.name, "NotSupportedError");
    assert_true(error.message.includes(name), error.message);
    return;
  }
  assert_unreached(`${name} has no error`);
}

test(() => {
  unsupported(() => indexedDB.open("name"), "IndexedDB");
  unsupported(() => self.indexedDB.deleteDatabase("name"), "IndexedDB");
}, "IndexedDB");

promise_test(async (t) => {
  const rejection = await import("/host/resources/worker.js").then(() => null, (error) => error);
  assert_true(rejection.message.includes("Module"), rejection.message);
}, "import()");

if (GLOBAL.isWindow()) {
  test(() => {
    const element = document.createElement("p");
    unsupported(() => element.classList.add("x"), "Element.classList");
    unsupported(() => element.innerHTML = "<b>x</b>", "Element.innerHTML");
    unsupported(() => element.style.width = "1%", "HTMLElement.style");
    unsupported(() => element.cloneNode(true), "Node.cloneNode");
    unsupported(() => document.write("x"), "Document.write");
    unsupported(() => document.createElement("video").play(), "<video>.play");
    unsupported(() => document.createElement("input").files.length, "<input>.files");
    assert_false("play" in element, "only where it would be");
  }, "Members of the DOM");

  promise_test(async (t) => {
    const { serviceWorker } = navigator;
    const register = (type) => serviceWorker.register("/host/resources/worker.js", { type });
    await promise_rejects_dom(t, "NotSupportedError", register("module"));
    await promise_rejects_js(t, TypeError, register("other"));
    await (await register("classic")).unregister();
  }, "Service workers that are modules");
}
