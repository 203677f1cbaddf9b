// `bgfetchTesting`: actions of the user, and crashes, for tests. Each call waits until its effect
// is visible. docs/conformance.md has a table of them.
"use strict";

{
  const { hook } = globalThis;
  const command = (name, argument = null) => hook({ [name]: argument }) ?? undefined;
  globalThis.bgfetchTesting = Object.freeze({
    list: () => command("list"),
    state: (id) => command("state", String(id)),
    pause: (id) => command("pause", String(id)),
    resume: (id) => command("resume", String(id)),
    abort: (id) => command("abort", String(id)),
    click: (id) => command("click", String(id)),
    setOffline: (offline) => command("setOffline", Boolean(offline)),
    setPermission: (state, name = "background-fetch") =>
      command("setPermission", [String(name), String(state)]),
    restartEngine: () => command("restartEngine"),
    openPage: (url) => command("openPage", new URL(url, location.href).href),
    closePage: (page) => command("closePage", page),
  });
  delete globalThis.hook;
}
