// https://html.spec.whatwg.org/multipage/dom.html#the-document-object of a window, and how it comes
// about: built from the parts that its HTML has, running scripts on the way.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_page_document, op_page_loaded } = core.ops;
const { afterMicrotasks, Event, fire, webidl } = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { defineEventHandler } = core.loadExtScript("ext:bgfetch_deno/event_handler.js");
const { illegalInvocation } = core.loadExtScript("ext:bgfetch_deno/webidl.js");
const dom = core.loadExtScript("ext:bgfetch_host/dom.js");
const elements = core.loadExtScript("ext:bgfetch_host/elements.js");

const { Comment, create, Document, parserAppend, Text } = dom;
const { appendParsed, completeParsed, deferred, nothingDelays } = elements;

class DOMImplementation {
  constructor(key = null) {
    if (key !== create) webidl.illegalConstructor();
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
webidl.configureInterface(DOMImplementation);

/** A document of HTML; that of the window where it has one. */
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
    return this.#window === null ? "about:blank" : location.href;
  }

  get documentURI() {
    return this.URL;
  }

  // A document without a window has that of the document whose script made it.
  get baseURI() {
    return location.href;
  }

  get characterSet() {
    return "UTF-8";
  }

  get contentType() {
    return "text/html";
  }

  static setReadyState(document, readyState) {
    document.#readyState = readyState;
    fire(document, new Event("readystatechange"));
  }
}
const { setReadyState } = HTMLDocument;
delete HTMLDocument.setReadyState;
Object.defineProperty(HTMLDocument, "name", { value: "Document" });
defineEventHandler(HTMLDocument.prototype, "readystatechange", (object) => {
  if (!(object instanceof HTMLDocument)) throw illegalInvocation();
  return object;
});

/** Brings the document to the window's realm. It is empty until it is parsed. */
function installDocument(global) {
  const interfaces = {
    CharacterData: dom.CharacterData,
    Comment,
    Document,
    DOMImplementation,
    Element: dom.Element,
    HTMLCollection: dom.HTMLCollection,
    HTMLElement: dom.HTMLElement,
    HTMLIFrameElement: elements.HTMLIFrameElement,
    HTMLMetaElement: elements.HTMLMetaElement,
    HTMLScriptElement: elements.HTMLScriptElement,
    HTMLTitleElement: elements.HTMLTitleElement,
    Node: dom.Node,
    NodeList: dom.NodeList,
    Text,
  };
  for (const [name, value] of Object.entries(interfaces)) {
    Object.defineProperty(global, name, { value, writable: true, configurable: true });
  }
  const document = new HTMLDocument(create, global);
  Object.defineProperty(global, "document", { get: () => document, enumerable: true });
  defineEventHandler(global, "load", (object) => {
    if ((object ?? global) !== global) throw illegalInvocation();
    return global;
  });
  parse(document);
}

async function parse(document) {
  const parts = await op_page_document();
  if (parts === null) return;
  const open = [document];
  for (const { part, name, attributes, text } of parts) {
    const parent = open.at(-1);
    if (part === "open") {
      open.push(appendParsed(parent, document, name, attributes));
    } else if (part === "close") {
      const blocked = completeParsed(open.pop());
      if (blocked !== undefined) await blocked;
      // A script's microtasks run before the parser goes on.
      if (parent.localName === "script") await new Promise(afterMicrotasks);
    } else {
      const Interface = part === "text" ? Text : Comment;
      parent[parserAppend](new Interface(create, document, text));
    }
  }
  await end(document);
}

/** https://html.spec.whatwg.org/multipage/parsing.html#the-end */
async function end(document) {
  setReadyState(document, "interactive");
  for (const loaded of deferred) {
    (await loaded)();
    await new Promise(afterMicrotasks);
  }
  // It bubbles to the window, which is no node: listeners there are told by an event of their own.
  for (const target of [document, globalThis]) {
    fire(target, new Event("DOMContentLoaded", { bubbles: true }));
  }
  await nothingDelays();
  setReadyState(document, "complete");
  fire(globalThis, new Event("load"));
  // Who waits for the event outside is told when what its listeners began has begun.
  afterMicrotasks(op_page_loaded);
}

return { installDocument };
})();
