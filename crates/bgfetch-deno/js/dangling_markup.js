// Dangling markup: the text of a URL may be markup that was swallowed by accident, which the parsed
// URL does not show. A Request is marked when it is made of such a text.
(function () {
"use strict";

const { core } = __bootstrap;
const { webidl } = core.loadExtScript("ext:bgfetch_deno/deno.js");

const marked = new WeakSet();

/** Whether a RequestInfo was made of such a text: the rule of `dangling_markup.rs` in bgfetch-model. */
function isDanglingMarkup(request) {
  if (typeof request !== "string") return marked.has(request);
  const inner = request.replace(/^[\0-\x20]+|[\0-\x20]+$/g, "");
  return /[\t\n\r]/.test(inner) && inner.includes("<");
}

function mark(request, original) {
  if (isDanglingMarkup(original)) marked.add(request);
  return request;
}

/** Deno's interface Request as scripts are to have it: it marks what it makes. */
function markingRequest(Request) {
  const { prototype } = Request;
  const { clone } = prototype;
  const patched = {
    clone() {
      return mark(Reflect.apply(clone, this, []), this);
    },
  };
  prototype.clone = patched.clone;
  const Marking = new Proxy(Request, {
    construct(target, [...given], newTarget) {
      if (given.length > 0) {
        const prefix = "Failed to construct 'Request'";
        // Once, as the conversion may run a script.
        given[0] = webidl.converters.RequestInfo_DOMString(given[0], prefix, "Argument 1");
      }
      return mark(Reflect.construct(target, given, newTarget), given[0]);
    },
  });
  Object.defineProperty(prototype, "constructor", { value: Marking });
  return Marking;
}

return { isDanglingMarkup, markingRequest };
})();
