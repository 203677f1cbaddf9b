// Unsupported features that pages use without feature detection. They throw an error that names
// them, rather than being undefined or having no effect.
(function () {
"use strict";

const { core } = __bootstrap;
const { defineProperty, forEach } = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const { DOMException } = core.loadExtScript("ext:bgfetch_deno/deno.js");
const dom = core.loadExtScript("ext:bgfetch_host/dom.js");

/** Members of the DOM (https://dom.spec.whatwg.org/, https://html.spec.whatwg.org/multipage/dom.html). */
const MEMBERS = {
  __proto__: null,
  Node: ["cloneNode", "compareDocumentPosition", "isEqualNode", "normalize", "replaceChild"],
  Element: [
    "after",
    "animate",
    "attachShadow",
    "before",
    "classList",
    "clientHeight",
    "clientWidth",
    "closest",
    "getBoundingClientRect",
    "getClientRects",
    "innerHTML",
    "insertAdjacentElement",
    "insertAdjacentHTML",
    "insertAdjacentText",
    "outerHTML",
    "replaceWith",
    "requestFullscreen",
    "scrollIntoView",
    "scrollTo",
    "setHTMLUnsafe",
    "toggleAttribute",
  ],
  HTMLElement: [
    "blur",
    "dataset",
    "focus",
    "hidePopover",
    "innerText",
    "offsetHeight",
    "offsetWidth",
    "outerText",
    "showPopover",
    "style",
    "togglePopover",
  ],
  Document: [
    "adoptNode",
    "cookie",
    "createDocumentFragment",
    "createElementNS",
    "createEvent",
    "createRange",
    "createTreeWalker",
    "elementFromPoint",
    "execCommand",
    "exitFullscreen",
    "forms",
    "getElementsByName",
    "images",
    "importNode",
    "links",
    "open",
    "scripts",
    "startViewTransition",
    "styleSheets",
    "write",
    "writeln",
  ],
};

/** Members of certain elements. */
const MEMBERS_OF = {
  __proto__: null,
  audio: ["load", "pause", "play"],
  canvas: ["getContext", "toBlob", "toDataURL"],
  dialog: ["close", "show", "showModal"],
  form: ["elements", "requestSubmit", "reset", "submit"],
  input: ["files", "select", "showPicker"],
  select: ["options", "selectedOptions"],
  template: ["content"],
  video: ["load", "pause", "play"],
};

function lacks(what) {
  return new DOMException(what + " is not supported by this user agent", "NotSupportedError");
}

/** Defines members on an object that throw an error naming them. */
function defineMissing(object, holder, names) {
  forEach(names, (name) => {
    const missing = () => {
      throw lacks(holder + "." + name);
    };
    const accessors = { __proto__: null, get: missing, set: missing, configurable: true };
    defineProperty(object, name, accessors);
  });
}

/** Called once for the realm of a window. */
function installMissingDom() {
  for (const [holder, names] of Object.entries(MEMBERS)) {
    defineMissing(dom[holder].prototype, holder, names);
  }
}

/** Defines the members that a new element of that name lacks. */
function defineMissingOf(element, name) {
  if (name in MEMBERS_OF) defineMissing(element, "<" + name + ">", MEMBERS_OF[name]);
}

/** `indexedDB`, whose methods throw because it is not supported. */
function installMissingIndexedDb(global) {
  const methods = {};
  for (const name of ["cmp", "databases", "deleteDatabase", "open"]) {
    methods[name] = () => {
      throw lacks("IndexedDB");
    };
  }
  const indexedDB = Object.freeze(methods);
  const attribute = {
    get indexedDB() {
      return indexedDB;
    },
  };
  Object.defineProperties(global, Object.getOwnPropertyDescriptors(attribute));
}

return { defineMissingOf, installMissingDom, installMissingIndexedDb };
})();
