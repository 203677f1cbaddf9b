// META: script=/resources/testdriver.js
// META: script=/resources/testdriver-vendor.js
// `navigator.permissions`: https://w3c.github.io/permissions/
"use strict";

promise_test(async (t) => {
  const set = (state) => test_driver.set_permission({ name: "background-fetch" }, state);
  t.add_cleanup(() => set("granted"));
  for (const state of ["denied", "prompt", "granted"]) {
    await set(state);
    const status = await navigator.permissions.query({ name: "background-fetch" });
    assert_equals(status.state, state);
  }
}, "A query follows the permission that fetch() asks for");
