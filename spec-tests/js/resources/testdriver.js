// The part of upstream's testdriver.js that the tests use; testdriver-vendor.js completes it.
"use strict";

window.test_driver_internal = {};

window.test_driver = {
  set_permission: async (descriptor, state) =>
    await window.test_driver_internal.set_permission({ descriptor, state }),
};
