// https://w3c.github.io/permissions/: the states of the supported permissions.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_host_permission } = core.ops;
const { configureInterface, EventTarget, illegalConstructor } = core.loadExtScript(
  "ext:bgfetch_deno/deno.js",
);
const { isObject, TypeError } = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const { defineEventHandler } = core.loadExtScript("ext:bgfetch_deno/event_handler.js");
const { dictionary, enumeration, illegalInvocation, requiredArguments, requiredMember } = core
  .loadExtScript("ext:bgfetch_deno/webidl.js");

const create = Symbol("create");

const permissionName = enumeration("PermissionName", [
  "background-fetch",
  "notifications",
  "persistent-storage",
]);
const permissionDescriptor = dictionary("PermissionDescriptor", [
  requiredMember("name", permissionName),
]);

/** The state at the time of the query. */
class PermissionStatus extends EventTarget {
  #name;
  #state;

  constructor(key = null, name = null, state = null) {
    if (key !== create) illegalConstructor();
    super();
    this.#name = name;
    this.#state = state;
  }

  get state() {
    return this.#state;
  }

  get name() {
    return this.#name;
  }

  static check(object) {
    if (!(#name in object)) throw illegalInvocation();
    return object;
  }
}
const { check } = PermissionStatus;
delete PermissionStatus.check;
defineEventHandler(PermissionStatus.prototype, "change", check);
configureInterface(PermissionStatus);

class Permissions {
  #checked = true;

  constructor(key = null) {
    if (key !== create) illegalConstructor();
  }

  async query(permissionDesc) {
    const prefix = "Failed to execute 'query' on 'Permissions'";
    this.#checked;
    requiredArguments(arguments.length, 1, prefix);
    if (!isObject(permissionDesc)) throw new TypeError(prefix + ": Argument 1 is not an object");
    const { name } = permissionDescriptor(permissionDesc, prefix, "Argument 1");
    return new PermissionStatus(create, name, op_host_permission(name));
  }
}
configureInterface(Permissions);

const permissions = new Permissions(create);

return { permissions, Permissions, PermissionStatus };
})();
