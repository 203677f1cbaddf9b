// https://html.spec.whatwg.org/multipage/system-state.html#the-navigator-object, which is a
// WorkerNavigator in workers (https://html.spec.whatwg.org/multipage/workers.html#the-workernavigator-object).
(function () {
"use strict";

const { core } = __bootstrap;
const { configureInterface, illegalConstructor } = core.loadExtScript("ext:bgfetch_deno/deno.js");

const create = Symbol("create");

class Navigator {
  #checked = true;

  constructor(key = null) {
    if (key !== create) illegalConstructor();
  }

  static check(navigator) {
    navigator.#checked;
  }
}
const { check } = Navigator;
delete Navigator.check;

function define(attribute) {
  const [[name, descriptor]] = Object.entries(Object.getOwnPropertyDescriptors(attribute));
  Object.defineProperty(Navigator.prototype, name, descriptor);
}

function installNavigator(global, kind) {
  const own = kind === "Window" ? "Navigator" : "WorkerNavigator";
  Object.defineProperty(Navigator, "name", { value: own });
  configureInterface(Navigator);
  // False only if certainly nothing can be reached. Workers are not notified of that.
  if (kind !== "Window") defineOnLine(() => true);
  for (const [name, value] of [[own, Navigator], ["navigator", new Navigator(create)]]) {
    const enumerable = name === "navigator";
    const writable = true;
    const configurable = true;
    Object.defineProperty(global, name, { value, writable, enumerable, configurable });
  }
}

/** Attributes that return the same object on each access. */
function defineObjects(objects) {
  for (const [name, object] of Object.entries(objects)) {
    define({
      get [name]() {
        check(this);
        return object;
      },
    });
  }
}

/** `navigator.serviceWorker`, in secure contexts only. */
function defineServiceWorker(container) {
  define({
    get serviceWorker() {
      check(this);
      return container;
    },
  });
}

/** `navigator.onLine` */
function defineOnLine(isOnline) {
  define({
    get onLine() {
      check(this);
      return isOnline();
    },
  });
}

return { defineObjects, defineOnLine, defineServiceWorker, installNavigator };
})();
