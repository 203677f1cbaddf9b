// https://html.spec.whatwg.org/multipage/dom.html#the-document-object of a window, and its parsing:
// it is built from the parsed parts of its HTML, and scripts run on the way.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_page_document, op_page_loaded } = core.ops;
const { append, forEach, Promise, String } = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const {
  afterMicrotasks,
  asyncOp,
  configureInterface,
  Event,
  fire,
  illegalConstructor,
  locationHref,
} = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { defineEventHandler } = core.loadExtScript("ext:bgfetch_deno/event_handler.js");
const { illegalInvocation } = core.loadExtScript("ext:bgfetch_deno/webidl.js");
const collections = core.loadExtScript("ext:bgfetch_host/collections.js");
const dom = core.loadExtScript("ext:bgfetch_host/dom.js");
const elements = core.loadExtScript("ext:bgfetch_host/elements.js");

const { Comment, create, Document, nameOf, parserAppend, Text } = dom;
const { appendParsed, baseUrlOf, completeParsed, deferred, nothingDelays, showDocument } = elements;

const documentParts = asyncOp(op_page_document);
/** The window's Location. */
let location = null;

class DOMImplementation {
  constructor(key = null) {
    if (key !== create) illegalConstructor();
  }

  createHTMLDocument(title = undefined) {
    const document = new HTMLDocument(create, null);
    const html = appendParsed(document, document, "html", []);
    const head = appendParsed(html, document, "head", []);
    if (title !== undefined) {
      const element = appendParsed(head, document, "title", []);
      element[parserAppend](new Text(create, document, String(title)));
    }
    appendParsed(html, document, "body", []);
    return document;
  }
}
configureInterface(DOMImplementation);

/** An HTML document. It is the window's if it has a window. */
class HTMLDocument extends Document {
  #window;
  #readyState;
  #implementation = new DOMImplementation(create);

  constructor(key = null, window = null) {
    super(key, null);
    this.#window = window;
    this.#readyState = window === null ? "complete" : "loading";
  }

  get defaultView() {
    return this.#window;
  }

  get readyState() {
    return this.#readyState;
  }

  get currentScript() {
    return this.#window === null ? null : elements.currentScript();
  }

  get implementation() {
    return this.#implementation;
  }

  get location() {
    return this.#window === null ? null : location;
  }

  get URL() {
    return this.#window === null ? "about:blank" : locationHref();
  }

  get documentURI() {
    return this.#window === null ? "about:blank" : locationHref();
  }

  // A document without a window has the location of the document whose script created it.
  get baseURI() {
    return baseUrlOf(this);
  }

  get characterSet() {
    return "UTF-8";
  }

  get contentType() {
    return "text/html";
  }

  static isHtmlDocument(object) {
    return typeof object === "object" && object !== null && #readyState in object;
  }

  static setReadyState(document, readyState) {
    document.#readyState = readyState;
    fire(document, new Event("readystatechange"));
  }
}
const { isHtmlDocument, setReadyState } = HTMLDocument;
delete HTMLDocument.isHtmlDocument;
delete HTMLDocument.setReadyState;
Object.defineProperty(HTMLDocument, "name", { value: "Document" });
defineEventHandler(HTMLDocument.prototype, "readystatechange", (object) => {
  if (!isHtmlDocument(object)) throw illegalInvocation();
  return object;
});

/** Adds the document to the window's realm. It is empty until it is parsed. */
function installDocument(global) {
  const interfaces = {
    CharacterData: dom.CharacterData,
    Comment,
    Document,
    DOMImplementation,
    Element: dom.Element,
    HTMLCollection: collections.HTMLCollection,
    HTMLBaseElement: elements.HTMLBaseElement,
    HTMLElement: dom.HTMLElement,
    HTMLIFrameElement: elements.HTMLIFrameElement,
    HTMLMetaElement: elements.HTMLMetaElement,
    HTMLScriptElement: elements.HTMLScriptElement,
    HTMLTitleElement: elements.HTMLTitleElement,
    Node: dom.Node,
    NodeList: collections.NodeList,
    Text,
  };
  for (const [name, value] of Object.entries(interfaces)) {
    Object.defineProperty(global, name, { value, writable: true, configurable: true });
  }
  location = global.location;
  const document = new HTMLDocument(create, global);
  showDocument(document);
  Object.defineProperty(global, "document", { get: () => document, enumerable: true });
  defineEventHandler(global, "load", (object) => {
    if ((object ?? global) !== global) throw illegalInvocation();
    return global;
  });
  parse(global, document);
}

/** Continues after the microtasks that are queued now have run. */
function microtasks() {
  return new Promise(afterMicrotasks);
}

async function parse(global, document) {
  const parsed = await documentParts();
  if (parsed === null) return;
  const parts = parsed.list;
  const open = [document];
  for (let i = 0; i < parts.length; i++) {
    const { part, name, attributes, text } = parts[i];
    const parent = open[open.length - 1];
    if (part === "open") {
      append(open, appendParsed(parent, document, name, attributes));
    } else if (part === "close") {
      open.length--;
      const blocked = completeParsed(parent);
      if (blocked !== undefined) await blocked;
      // A script's microtasks run before the parser continues.
      if (nameOf(parent) === "script") await microtasks();
    } else {
      const Interface = part === "text" ? Text : Comment;
      parent[parserAppend](new Interface(create, document, text));
    }
  }
  await end(global, document);
}

/** https://html.spec.whatwg.org/multipage/parsing.html#the-end */
async function end(global, document) {
  setReadyState(document, "interactive");
  for (let i = 0; i < deferred.length; i++) {
    const { run } = await deferred[i];
    run();
    await microtasks();
  }
  // It bubbles to the window, which is not a node here: listeners there get an event of their own.
  forEach([document, global], (target) => {
    fire(target, new Event("DOMContentLoaded", { __proto__: null, bubbles: true }));
  });
  await nothingDelays();
  setReadyState(document, "complete");
  fire(global, new Event("load"));
  // Observers outside are notified once the work that its listeners started is under way.
  afterMicrotasks(op_page_loaded);
}

return { installDocument };
})();
