// The user's actions in a page: clicks. Reports to the holder of the page which elements handle
// them.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_page_answer, op_page_next_click } = core.ops;
const { append, exec, find, forEach, matches, stringTrim, toJson } = core.loadExtScript(
  "ext:bgfetch_deno/primordials.js",
);
const { asyncOp, Event, fire } = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { hasListener } = core.loadExtScript("ext:bgfetch_deno/event_target.js");
const { attributeOf, elementsIn, nameOf, parentOf } = core.loadExtScript(
  "ext:bgfetch_host/dom.js",
);
const { matcher } = core.loadExtScript("ext:bgfetch_host/selectors.js");

const nextClick = asyncOp(op_page_next_click);
const IDENTIFIER = /^[A-Za-z_][\w-]*$/;
const WORD = /^[^\t\n\f\r ]+/;

/** Carries out the requests of the page's holder, until it is gone. */
async function followUser(document) {
  for (;;) {
    const next = nextClick();
    core.unrefOpPromise(next);
    const wanted = await next;
    if (wanted === null) return;
    op_page_answer(toJson(answer(document, wanted)));
  }
}

function answer(document, { selector, unheard }) {
  if (selector === null) return { __proto__: null, clickable: clickable(document) };
  let element;
  try {
    element = first(document, selector);
  } catch (error) {
    return { __proto__: null, error: error.message };
  }
  if (element === undefined) return { __proto__: null, outcome: "missing" };
  if (!unheard && !isHeard(element)) return { __proto__: null, outcome: "unheard" };
  const init = { __proto__: null, bubbles: true, cancelable: true, composed: true };
  fire(element, new Event("click", init));
  return { __proto__: null, outcome: "clicked" };
}

function first(document, selector) {
  const ofElements = { __proto__: null, attributeOf, nameOf };
  return find(elementsIn(document), matcher(selector, ofElements));
}

/** Whether a click on the element has a listener. */
function isHeard(element) {
  for (let node = element; node !== null; node = parentOf(node)) {
    if (hasListener(node, "click")) return true;
  }
  return false;
}

/** Selectors of the elements that have listeners of their own. */
function clickable(document) {
  const selectors = [];
  forEach(elementsIn(document), (element) => {
    if (!hasListener(element, "click")) return;
    const selector = selectorOf(document, element);
    if (selector !== undefined) append(selectors, selector);
  });
  return selectors;
}

/** A short selector whose first match is the element. */
function selectorOf(document, element) {
  const name = nameOf(element);
  const id = attributeOf(element, "id") ?? "";
  const classes = exec(WORD, stringTrim(attributeOf(element, "class") ?? ""));
  const candidates = [];
  if (matches(IDENTIFIER, id)) append(candidates, "#" + id);
  if (classes !== null && matches(IDENTIFIER, classes[0])) append(candidates, name + "." + classes[0]);
  append(candidates, name);
  return find(candidates, (selector) => first(document, selector) === element);
}

return { followUser };
})();
