// Elements with behaviour: scripts, frames, and policies of the page.
(function () {
"use strict";

const { core } = __bootstrap;
const {
  op_host_console,
  op_host_explain_syntax_error,
  op_page_load_script,
  op_page_open_frame,
  op_page_policy,
  op_page_title,
} = core.ops;
const {
  allInto,
  append,
  exec,
  find,
  forEach,
  join,
  matches,
  SafeSet,
  String,
  stringStartsWith,
  stringToLowerCase,
  stringTrim,
} = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const {
  asyncOp,
  configureInterface,
  DOMException,
  evaluate,
  Event,
  fire,
  isSyntaxError,
  locationHref,
  parseUrl,
  reportException,
  setBaseUrl,
} = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { muteErrorsOf, reportMuted } = core.loadExtScript("ext:bgfetch_host/errors.js");
const { defineEventHandler } = core.loadExtScript("ext:bgfetch_deno/event_handler.js");
const { illegalInvocation } = core.loadExtScript("ext:bgfetch_deno/webidl.js");
const {
  attributeChanged,
  attributeOf,
  childrenChanged,
  connected,
  create,
  disconnected,
  Document,
  documentOf,
  elementsIn,
  headOf,
  HTMLElement,
  insert,
  isConnected,
  isHtmlElement,
  nameOf,
  parentOf,
  parserAppend,
  removeAttribute,
  setAttribute,
  setText,
  textOf,
} = core.loadExtScript("ext:bgfetch_host/dom.js");
const { defineMissingOf } = core.loadExtScript("ext:bgfetch_host/unsupported.js");

const loadScript = asyncOp(op_page_load_script);
const openFrame = asyncOp(op_page_open_frame);
const WARN = 2;
const ERROR = 3;
/** The console level of uncaught errors. */
const UNCAUGHT = 4;

/** The window's document. Elements are active only in it. */
let shown = null;

/** Sets the window's document. Its base URL is the realm's API base URL. */
function showDocument(document) {
  shown = document;
  setBaseUrl(() => baseUrlOf(document));
}

const NOT_A_BASE = /^(data|javascript):/;

/** https://html.spec.whatwg.org/multipage/urls-and-fetching.html#document-base-url */
function baseUrlOf(document) {
  const base = find(
    elementsIn(document),
    (element) => nameOf(element) === "base" && attributeOf(element, "href") !== null,
  );
  if (base === undefined) return locationHref();
  try {
    const url = parseUrl(attributeOf(base, "href"), locationHref());
    return matches(NOT_A_BASE, url) ? locationHref() : url;
  } catch {
    return locationHref();
  }
}

/** The URL in an element's text, or the text itself if it is not a URL. */
function urlIn(element, text) {
  try {
    return parseUrl(text, baseUrlOf(documentOf(element)));
  } catch {
    return text;
  }
}

/** Whether an element is in the window's document. */
function isShown(element) {
  return documentOf(element) === shown && isConnected(element);
}

function toElement(object) {
  if (!isHtmlElement(object)) throw illegalInvocation();
  return object;
}
for (const type of ["click", "error", "load"]) {
  defineEventHandler(HTMLElement.prototype, type, toElement);
}

/** Defines attributes that reflect content attributes of the same or the given names. */
function reflect(Interface, { strings = {}, booleans = [], urls = [] }) {
  const define = (name, get, set) =>
    Object.defineProperty(Interface.prototype, name, {
      get,
      set,
      enumerable: true,
      configurable: true,
    });
  for (const [name, attribute] of Object.entries(strings)) {
    define(name, function () {
      return attributeOf(this, attribute) ?? "";
    }, function (value) {
      setAttribute(this, attribute, value);
    });
  }
  for (const name of booleans) {
    define(name, function () {
      return attributeOf(this, name) !== null;
    }, function (value) {
      value ? setAttribute(this, name, "") : removeAttribute(this, name);
    });
  }
  for (const name of urls) {
    define(name, function () {
      const text = attributeOf(this, name);
      return text === null ? "" : urlIn(this, text);
    }, function (value) {
      setAttribute(this, name, value);
    });
  }
}

/** What delays the `load` event of the window. */
const delays = new SafeSet();
/** Scripts that run at the end of parsing, and scripts that run in insertion order. */
const deferred = [];
let inOrder = (async () => {})();
let currentScript = null;

/** Delays the `load` event until one of our promises, which never rejects, settles. */
async function delayLoad(promise) {
  delays.add(promise);
  await promise;
  delays.delete(promise);
}

/** Waits until nothing delays the `load` event. */
async function nothingDelays() {
  for (;;) {
    const promises = [];
    delays.forEach((promise) => append(promises, promise));
    if (promises.length === 0) return;
    await allInto([], promises);
  }
}

/** Runs a loaded script after another one. */
async function runAfter(before, loaded) {
  await before;
  const { run } = await loaded;
  run();
}

const JAVASCRIPT = /^(text\/(javascript(1\.[0-5])?|ecmascript|jscript|livescript|x-(ecma|java)script)|application\/(x-)?(ecma|java)script)$/;

/** https://html.spec.whatwg.org/multipage/scripting.html#the-script-element */
class HTMLScriptElement extends HTMLElement {
  #alreadyStarted = false;
  #forceAsync = true;

  constructor(key = null, document = null, name = "") {
    super(key, document, name);
  }

  get text() {
    return textOf(this);
  }

  set text(text) {
    setText(this, text);
  }

  get async() {
    return this.#forceAsync || attributeOf(this, "async") !== null;
  }

  set async(value) {
    this.#forceAsync = false;
    value ? setAttribute(this, "async", "") : removeAttribute(this, "async");
  }

  [connected]() {
    this.#prepare(false);
  }

  [childrenChanged]() {
    if (isConnected(this)) this.#prepare(false);
  }

  /**
   * The parser has read the whole element. Returns a promise if the parser has to wait for the
   * script.
   */
  static parsed(script) {
    script.#forceAsync = false;
    return script.#prepare(true);
  }

  static isScript(element) {
    return #forceAsync in element;
  }

  /** https://html.spec.whatwg.org/multipage/scripting.html#prepare-the-script-element */
  #prepare(byParser) {
    const source = attributeOf(this, "src");
    const text = textOf(this);
    if (this.#alreadyStarted || (source === null && text === "")) return undefined;
    // Documents without a window have no scripting.
    if (!isShown(this)) return undefined;
    const type = stringToLowerCase(stringTrim(attributeOf(this, "type") ?? ""));
    if (type === "module") {
      this.#alreadyStarted = true;
      op_host_console("Scripts of type 'module' are not supported", UNCAUGHT);
      this.#fireLater("error");
      return undefined;
    }
    // Scripts of other types are data blocks.
    if (type !== "" && !matches(JAVASCRIPT, type)) return undefined;
    this.#alreadyStarted = true;
    if (source === null) {
      this.#run(text, locationHref(), false);
      return undefined;
    }
    if (source === "") {
      this.#fireLater("error");
      return undefined;
    }
    const loaded = this.#load(urlIn(this, source), byParser);
    if (this.#forceAsync || attributeOf(this, "async") !== null) {
      delayLoad(runAfter(undefined, loaded));
    } else if (!byParser) {
      inOrder = runAfter(inOrder, loaded);
      delayLoad(inOrder);
    } else if (attributeOf(this, "defer") !== null) {
      append(deferred, loaded);
    } else {
      return runAfter(undefined, loaded);
    }
    return undefined;
  }

  /** Returns a function that, in its turn, runs the script or handles the failure. */
  async #load(url, byParser) {
    const script = await loadScript(url, attributeOf(this, "nonce") ?? "", byParser);
    const run = () => {
      if (script !== null) this.#run(script.source, url, script.hasMutedErrors);
      fire(this, new Event(script === null ? "error" : "load"));
    };
    return { __proto__: null, run };
  }

  #run(source, url, hasMutedErrors) {
    const before = currentScript;
    currentScript = this;
    if (hasMutedErrors) muteErrorsOf(url);
    try {
      const error = evaluate(source, url);
      if (error !== null && hasMutedErrors) {
        reportMuted();
      } else if (error !== null) {
        reportException(error.thrown);
        if (isSyntaxError(error.thrown)) op_host_explain_syntax_error(source);
      }
    } finally {
      currentScript = before;
    }
  }

  #fireLater(type) {
    const later = async () => {
      await undefined;
      fire(this, new Event(type));
    };
    delayLoad(later());
  }
}
const { isScript, parsed } = HTMLScriptElement;
delete HTMLScriptElement.isScript;
delete HTMLScriptElement.parsed;
reflect(HTMLScriptElement, { strings: { type: "type" }, booleans: ["defer"], urls: ["src"] });
configureInterface(HTMLScriptElement);

/** https://html.spec.whatwg.org/multipage/semantics.html#the-meta-element */
class HTMLMetaElement extends HTMLElement {
  constructor(key = null, document = null, name = "") {
    super(key, document, name);
  }

  [connected]() {
    if (documentOf(this) !== shown) return;
    const content = attributeOf(this, "content") ?? "";
    const lowerCase = (name) => stringToLowerCase(attributeOf(this, name) ?? "");
    const inHead = parentOf(this) === headOf(shown);
    // A policy outside `head` might have been injected.
    if (inHead && lowerCase("http-equiv") === "content-security-policy" && content !== "") {
      op_page_policy("content-security-policy", content);
    } else if (lowerCase("name") === "referrer") {
      op_page_policy("referrer", content);
    }
  }
}
reflect(HTMLMetaElement, {
  strings: { content: "content", httpEquiv: "http-equiv", name: "name" },
});
configureInterface(HTMLMetaElement);

class HTMLTitleElement extends HTMLElement {
  constructor(key = null, document = null, name = "") {
    super(key, document, name);
  }

  get text() {
    return textOf(this);
  }

  set text(text) {
    setText(this, text);
  }

  [connected]() {
    this[childrenChanged]();
  }

  [childrenChanged]() {
    if (isShown(this)) op_page_title(titleOf(shown));
  }
}
configureInterface(HTMLTitleElement);

/**
 * https://html.spec.whatwg.org/multipage/iframe-embed-object.html#the-iframe-element. Its window is
 * in a realm of its own and is a client of service workers; other windows cannot reach it.
 */
class HTMLIFrameElement extends HTMLElement {
  /** Numbers the navigations: only the last one counts. */
  #navigation = 0;
  #frame = null;

  constructor(key = null, document = null, name = "") {
    super(key, document, name);
  }

  [connected]() {
    this.#navigate();
  }

  [disconnected]() {
    this.#close();
  }

  [attributeChanged](name) {
    if (name === "src" && isConnected(this)) this.#navigate();
  }

  #close() {
    this.#navigation++;
    if (this.#frame !== null) core.tryClose(this.#frame);
    this.#frame = null;
  }

  #navigate() {
    if (documentOf(this) !== shown) return;
    this.#close();
    delayLoad(this.#open(this.#navigation));
  }

  async #open(navigation) {
    const source = attributeOf(this, "src") ?? "";
    try {
      // Without a page there is no window.
      const frame = source === "" ? await null : await openFrame(urlIn(this, source));
      if (navigation !== this.#navigation) return frame === null || core.tryClose(frame);
      this.#frame = frame;
    } catch (error) {
      op_host_console("The frame has no page: " + error.message, ERROR);
    }
    // Fired for a page that failed to load, too: a browser shows an error page then.
    if (navigation === this.#navigation) fire(this, new Event("load"));
  }
}
reflect(HTMLIFrameElement, { strings: { name: "name" }, urls: ["src"] });
configureInterface(HTMLIFrameElement);

/** https://html.spec.whatwg.org/multipage/semantics.html#the-base-element */
class HTMLBaseElement extends HTMLElement {
  constructor(key = null, document = null, name = "") {
    super(key, document, name);
  }

  get href() {
    const text = attributeOf(this, "href");
    if (text === null) return baseUrlOf(documentOf(this));
    try {
      return parseUrl(text, locationHref());
    } catch {
      return text;
    }
  }

  set href(href) {
    setAttribute(this, "href", href);
  }
}
configureInterface(HTMLBaseElement);

const ELEMENTS = {
  __proto__: null,
  base: HTMLBaseElement,
  iframe: HTMLIFrameElement,
  meta: HTMLMetaElement,
  script: HTMLScriptElement,
  title: HTMLTitleElement,
};

function newElement(document, name) {
  const element = new (ELEMENTS[name] ?? HTMLElement)(create, document, name);
  defineMissingOf(element, name);
  return element;
}

const NAME_OF_ELEMENT = /^[a-z][^\s/>\0]*$/;

/** The members of documents that deal with specific elements. */
const ofDocuments = {
  createElement(localName) {
    const name = stringToLowerCase(String(localName));
    if (!matches(NAME_OF_ELEMENT, name)) {
      throw new DOMException("'" + name + "' is not a valid element name", "InvalidCharacterError");
    }
    return newElement(this, name);
  },

  get title() {
    return titleOf(this);
  },

  set title(text) {
    let title = titleElementOf(this);
    if (title === undefined) {
      const head = headOf(this);
      if (head === null) return;
      title = newElement(this, "title");
      insert(head, title, null);
    }
    setText(title, text);
  },
};
Object.defineProperties(Document.prototype, Object.getOwnPropertyDescriptors(ofDocuments));

function titleElementOf(document) {
  return find(elementsIn(document), (element) => nameOf(element) === "title");
}

const WORD = /^[\t\n\f\r ]*([^\t\n\f\r ]+)([^]*)$/;

/** The text of the title with its white space stripped and collapsed. */
function titleOf(document) {
  const title = titleElementOf(document);
  if (title === undefined) return "";
  const words = [];
  for (let word = exec(WORD, textOf(title)); word !== null; word = exec(WORD, word[2])) {
    append(words, word[1]);
  }
  return join(words, " ");
}

/** Adds an element as the parser does, before its end tag completes it. */
function appendParsed(parent, document, name, attributes) {
  const element = newElement(document, name);
  forEach(attributes, (attribute) => {
    const key = attribute[0];
    setAttribute(element, key, attribute[1]);
    if (stringStartsWith(key, "on")) {
      const attribute = "The attribute '" + key + "' of <" + name + ">";
      op_host_console(attribute + " has no effect: use addEventListener().", WARN);
    }
  });
  parent[parserAppend](element);
  return element;
}

/** The parser has read the whole element. Returns a promise if the parser has to wait. */
function completeParsed(element) {
  if (isScript(element)) return parsed(element);
  if (connected in element) element[connected]();
  return undefined;
}

return {
  appendParsed,
  baseUrlOf,
  completeParsed,
  currentScript: () => currentScript,
  deferred,
  HTMLBaseElement,
  HTMLIFrameElement,
  HTMLMetaElement,
  HTMLScriptElement,
  HTMLTitleElement,
  nothingDelays,
  showDocument,
};
})();
