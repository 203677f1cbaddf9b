// META: global=window,worker
// `navigator.permissions`: https://w3c.github.io/permissions/
"use strict";

for (const name of ["background-fetch", "notifications", "persistent-storage"]) {
  promise_test(async () => {
    const status = await navigator.permissions.query({ name });
    assert_true(status instanceof PermissionStatus);
    assert_in_array(status.state, ["granted", "denied", "prompt"]);
    assert_equals(status.name, name);
    assert_equals(status.onchange, null);
  }, `The state of '${name}' is told`);
}

promise_test(async (t) => {
  const { permissions } = navigator;
  assert_equals(navigator.permissions, permissions);
  for (const wrong of [undefined, null, "notifications", {}, { name: "flying" }]) {
    await promise_rejects_js(t, TypeError, permissions.query(wrong), String(wrong));
  }
  const { query } = permissions;
  await promise_rejects_js(t, TypeError, query({ name: "notifications" }));
}, "What is no descriptor of a known permission is refused");
