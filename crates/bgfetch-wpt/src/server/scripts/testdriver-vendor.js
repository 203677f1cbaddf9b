// The implementation of testdriver.js's browser functions, as far as they are supported.
"use strict";

window.test_driver_internal.in_automation = true;

window.test_driver_internal.set_permission = async ({ descriptor, state }) => {
  if (descriptor.name !== "background-fetch") {
    throw new Error(`There is no permission "${descriptor.name}"`);
  }
  bgfetchTesting.setPermission(state);
};
