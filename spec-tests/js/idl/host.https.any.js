// META: global=window,worker
// META: script=/resources/WebIDLParser.js
// META: script=/resources/idlharness.js
// META: timeout=long

// The interfaces that pages use beside background fetches, as far as they are here, against their IDL.
"use strict";

const only = ["Notification", "Permissions", "PermissionStatus", "StorageManager"];

promise_test(async () => {
  const load = async (name) => (await fetch(`/interfaces/${name}.idl`)).text();
  const array = new IdlArray();
  for (const name of ["notifications", "permissions", "storage"]) {
    const idl = await load(name);
    array.add_idls(idl, { only });
    array.add_untested_idls(idl, { except: only });
  }
  for (const name of ["service-workers", "fetch", "html", "dom", "hr-time"]) {
    array.add_dependency_idls(await load(name));
  }
  self.permissionStatus = await navigator.permissions.query({ name: "notifications" });
  array.add_objects({
    Permissions: ["navigator.permissions"],
    PermissionStatus: ["permissionStatus"],
    StorageManager: ["navigator.storage"],
    Notification: "clients" in self ? [] : ['new Notification("title")'],
  });
  array.test();
}, "The IDL is read");
