// Fixes for Deno's Web APIs where they differ from the web platform on the QuickJS backend.
(function () {
"use strict";

const { core } = __bootstrap;
const { define, getterOf } = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const { forbidSerializing, parseUrl } = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { installEventTarget } = core.loadExtScript("ext:bgfetch_deno/event_target.js");
const { requiredArguments, usvString } = core.loadExtScript("ext:bgfetch_deno/webidl.js");

function patch(interfaces) {
  installEventTarget();
  patchRequest(interfaces.Request.prototype);
  patchResponse(interfaces.Response);
  for (const { prototype } of Object.values(interfaces)) {
    // Serializable interfaces, and those that inherit from one, have a method for it.
    if (!(core.hostObjectBrand in prototype)) forbidSerializing(prototype);
  }
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

/** Deno's `Response.redirect()` parses URLs relative to the location. */
function patchResponse(Response) {
  const { redirect: redirectOfDeno } = Response;
  const patched = {
    redirect(url, status = 302) {
      const prefix = "Failed to execute 'redirect' on 'Response'";
      requiredArguments(arguments.length, 1, prefix);
      return redirectOfDeno(parseUrl(usvString(url, prefix, "Argument 1")), status);
    },
  };
  define(Response, "redirect", patched.redirect, true);
}

return { patch };
})();
