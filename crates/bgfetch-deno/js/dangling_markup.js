// Dangling markup: the text of a URL may contain markup that was swallowed by accident, which the
// parsed URL does not show. A Request that is created from such a text is marked.
(function () {
"use strict";

const { core } = __bootstrap;
const {
  apply,
  construct,
  define,
  exec,
  matches,
  Proxy,
  SafeWeakSet,
  stringIncludes,
} = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const { parseUrl, withAbsoluteReferrer } = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { requestInfo } = core.loadExtScript("ext:bgfetch_deno/webidl.js");

const marked = new SafeWeakSet();
/** A text without leading and trailing control characters and spaces. */
const INNER = /^[\0-\x20]*([^]*?)[\0-\x20]*$/;
const TAB_OR_NEWLINE = /[\t\n\r]/;

/**
 * Whether a RequestInfo was created from such a text: the rule of `dangling_markup.rs` in
 * bgfetch-model.
 */
function isDanglingMarkup(request) {
  if (typeof request !== "string") return marked.has(request);
  // A single search suffices for most texts, which have none.
  if (!stringIncludes(request, "<")) return false;
  const inner = exec(INNER, request)[1];
  return matches(TAB_OR_NEWLINE, inner) && stringIncludes(inner, "<");
}

function mark(request, original) {
  if (isDanglingMarkup(original)) marked.add(request);
  return request;
}

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

return { isDanglingMarkup, markingRequest };
})();
