// `bgfetchTesting`: what tests may do as the user does, and as a crash. Each call waits until its
// effect can be seen.
"use strict";

{
  const { hook } = globalThis;
  const command = (name, argument = null) => hook({ [name]: argument });
  globalThis.bgfetchTesting = Object.freeze({
    list: () => command("list"),
    state: (id) => command("state", String(id)),
    pause: (id) => command("pause", String(id)),
    resume: (id) => command("resume", String(id)),
    abort: (id) => command("abort", String(id)),
    click: (id) => command("click", String(id)),
    setOffline: (offline) => command("setOffline", Boolean(offline)),
    setPermission: (state) => command("setPermission", String(state)),
    restartEngine: () => command("restartEngine"),
  });
  delete globalThis.hook;
}
