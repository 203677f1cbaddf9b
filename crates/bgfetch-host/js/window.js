// https://html.spec.whatwg.org/multipage/nav-history-apis.html#the-window-object: the members of a
// window except its document. It cannot reach other windows.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_page_close, op_page_hook, op_page_is_online, op_page_online_changed } = core.ops;
const { parse, stringify } = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const { asyncOp, Event, fire } = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { defineEventHandler } = core.loadExtScript("ext:bgfetch_deno/event_handler.js");
const { illegalInvocation } = core.loadExtScript("ext:bgfetch_deno/webidl.js");

const { defineOnLine } = core.loadExtScript("ext:bgfetch_host/navigator.js");

const onlineChanged = asyncOp(op_page_online_changed);
let closed = false;

function installWindow(global, isFrame) {
  const toWindow = (object) => {
    if ((object ?? global) !== global) throw illegalInvocation();
    return global;
  };
  for (const type of ["online", "offline"]) defineEventHandler(global, type, toWindow);
  const attributes = {
    get closed() {
      return closed;
    },
    get opener() {
      return null;
    },
    close() {
      closed = true;
      op_page_close();
    },
  };
  Object.defineProperties(global, Object.getOwnPropertyDescriptors(attributes));
  // The window of a frame has a parent, but in another realm.
  if (!isFrame) {
    const topLevel = {
      get parent() {
        return global;
      },
      get top() {
        return global;
      },
    };
    Object.defineProperties(global, Object.getOwnPropertyDescriptors(topLevel));
  }
  defineOnLine(op_page_is_online);
  followNetwork(global);
}

/** Notifies the window when it goes online or offline. */
async function followNetwork(global) {
  for (;;) {
    const online = op_page_is_online();
    const changed = onlineChanged(online);
    core.unrefOpPromise(changed);
    if (!await changed) return;
    fire(global, new Event(online ? "offline" : "online"));
  }
}

/** Passes `hook` to an embedder's script. */
function installHook(global) {
  Object.defineProperty(global, "hook", {
    value: (value) => parse(op_page_hook(stringify(value ?? null))),
    writable: true,
    configurable: true,
  });
}

return { installHook, installWindow };
})();
