// Fixes for Deno's Web APIs where they differ from the web platform on the QuickJS backend.
(function () {
"use strict";

const { core } = __bootstrap;
const {
  define,
  defineProperty,
  Error,
  getOwnPropertyDescriptor,
  getterOf,
  hasOwn,
  String,
} = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const { forbidSerializing } = core.loadExtScript("ext:bgfetch_deno/deno.js");

function patch(interfaces) {
  patchErrors();
  patchRequest(interfaces.Request.prototype);
  for (const { prototype } of Object.values(interfaces)) {
    // Serializable interfaces, and those that inherit from one, have their own method for it.
    if (!(core.hostObjectBrand in prototype)) forbidSerializing(prototype);
  }
}

/**
 * The backend cannot clone errors. They are cloned in the form that Deno uses for its own objects:
 * StructuredSerializeInternal, the steps for [[ErrorData]].
 */
function patchErrors() {
  const types = { __proto__: null, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
  defineProperty(Error.prototype, core.hostObjectBrand, {
    value() {
      const { name, stack, cause } = this;
      const descriptor = getOwnPropertyDescriptor(this, "message");
      const isText = descriptor !== undefined && hasOwn(descriptor, "value");
      const message = isText ? descriptor.value : undefined;
      return {
        __proto__: null,
        type: "Error",
        name: typeof name === "string" && hasOwn(types, name) ? name : "Error",
        message: message === undefined ? undefined : String(message),
        stack: String(stack),
        options: hasOwn(this, "cause") ? { __proto__: null, cause } : undefined,
      };
    },
  });
  core.registerCloneableResource("Error", ({ name, message, stack, options }) => {
    const Type = types[name] ?? Error;
    const error = new Type(message, options);
    define(error, "stack", stack);
    return error;
  });
}

/** Attributes that Deno's Request lacks, with their values for requests that scripts create. */
function patchRequest(prototype) {
  const mode = getterOf(prototype, "mode");
  const values = {
    destination: "",
    duplex: "half",
    isHistoryNavigation: false,
    isReloadNavigation: false,
  };
  for (const [name, value] of Object.entries(values)) {
    const attribute = {
      get [name]() {
        // Throws if `this` is not a Request.
        mode(this);
        return value;
      },
    };
    Object.defineProperty(prototype, name, Object.getOwnPropertyDescriptor(attribute, name));
  }
}

return { patch };
})();
