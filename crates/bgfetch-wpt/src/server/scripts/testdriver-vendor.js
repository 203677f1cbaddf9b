// The implementation of testdriver.js's browser functions, as far as they are supported.
"use strict";

window.test_driver_internal.in_automation = true;

window.test_driver_internal.set_permission = async ({ descriptor, state }) => {
  if (!("bgfetchTesting" in globalThis)) {
    return await testCommands.send({ setPermission: { descriptor, state } });
  }
  const { name } = descriptor;
  if (!["background-fetch", "local-network", "loopback-network", "notifications"].includes(name)) {
    throw new Error(`There is no permission "${name}"`);
  }
  bgfetchTesting.setPermission(state, name);
};
