// Deno's interface Request for pages, see dangling_markup.js.
(function () {
"use strict";

const { core } = __bootstrap;
const { apply, construct, define, Proxy } = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const { parseUrl, withAbsoluteReferrer } = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { mark } = core.loadExtScript("ext:bgfetch_deno/dangling_markup.js");
const { requestInfo } = core.loadExtScript("ext:bgfetch_deno/webidl.js");

/**
 * Deno's interface Request, changed for scripts: it marks the requests that it creates, and its
 * URLs are relative to the API base URL.
 */
function markingRequest(Request) {
  const { prototype } = Request;
  const { clone } = prototype;
  const patched = {
    clone() {
      return mark(apply(clone, this, []), this);
    },
  };
  prototype.clone = patched.clone;
  const Marking = new Proxy(Request, {
    __proto__: null,
    construct(target, given, newTarget) {
      if (given.length === 0) return construct(target, given, newTarget);
      // Convert once: the conversion may run a script.
      const info = requestInfo(given[0], "Failed to construct 'Request'", "Argument 1");
      given[0] = typeof info === "string" ? parseUrl(info) : info;
      if (given.length > 1) given[1] = withAbsoluteReferrer(given[1]);
      return mark(construct(target, given, newTarget), info);
    },
  });
  define(prototype, "constructor", Marking);
  return Marking;
}

return { markingRequest };
})();
