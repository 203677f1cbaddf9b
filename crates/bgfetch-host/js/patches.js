// Where Deno's Web APIs, on the QuickJS backend, are not what the web platform says.
(function () {
"use strict";

const { core } = __bootstrap;

function patch({ Request }) {
  patchErrors();
  patchRequest(Request.prototype);
}

/**
 * The backend cannot clone errors. They are given the form in which Deno clones its own objects:
 * StructuredSerializeInternal, the steps for [[ErrorData]].
 */
function patchErrors() {
  const types = { EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
  Object.defineProperty(Error.prototype, core.hostObjectBrand, {
    value() {
      const { name, stack, cause } = this;
      const message = Object.getOwnPropertyDescriptor(this, "message")?.value;
      return {
        type: "Error",
        name: Object.hasOwn(types, name) ? name : "Error",
        message: message === undefined ? undefined : String(message),
        stack: String(stack),
        options: Object.hasOwn(this, "cause") ? { cause } : undefined,
      };
    },
  });
  core.registerCloneableResource("Error", ({ name, message, stack, options }) => {
    const Type = types[name] ?? Error;
    const error = new Type(message, options);
    Object.defineProperty(error, "stack", {
      value: stack,
      writable: true,
      configurable: true,
    });
    return error;
  });
}

/** Attributes that Deno's Request lacks: what they say of every request that a script made. */
function patchRequest(prototype) {
  const { get: mode } = Object.getOwnPropertyDescriptor(prototype, "mode");
  const values = {
    destination: "",
    duplex: "half",
    isHistoryNavigation: false,
    isReloadNavigation: false,
  };
  for (const [name, value] of Object.entries(values)) {
    const attribute = {
      get [name]() {
        // Throws for what is not a Request.
        Reflect.apply(mode, this, []);
        return value;
      },
    };
    Object.defineProperty(prototype, name, Object.getOwnPropertyDescriptor(attribute, name));
  }
}

return { patch };
})();
