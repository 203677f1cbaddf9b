// Dangling markup: the text of a URL may contain markup that was swallowed by accident, which the
// parsed URL does not show. A Request that is created from such a text is marked.
import { exec, matches, SafeWeakSet, stringIncludes } from "./primordials.js";

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

/** Marks a Request if what it was created from was such a text, or was marked. */
function mark(request, original) {
  if (isDanglingMarkup(original)) marked.add(request);
  return request;
}

export { isDanglingMarkup, mark };
