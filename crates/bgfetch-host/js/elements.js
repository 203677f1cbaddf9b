// The elements that do something: scripts, and policies of the page.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_page_load_script, op_page_open_frame, op_page_policy, op_page_title } = core.ops;
const { DOMException, Event, fire, reportException, webidl } = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { defineEventHandler } = core.loadExtScript("ext:bgfetch_deno/event_handler.js");
const { illegalInvocation } = core.loadExtScript("ext:bgfetch_deno/webidl.js");
const {
  attributeChanged,
  childrenChanged,
  connected,
  create,
  disconnected,
  Document,
  HTMLElement,
  parserAppend,
} = core.loadExtScript("ext:bgfetch_host/dom.js");

function toElement(object) {
  if (!(object instanceof HTMLElement)) throw illegalInvocation();
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
      return this.getAttribute(attribute) ?? "";
    }, function (value) {
      this.setAttribute(attribute, value);
    });
  }
  for (const name of booleans) {
    define(name, function () {
      return this.hasAttribute(name);
    }, function (value) {
      value ? this.setAttribute(name, "") : this.removeAttribute(name);
    });
  }
  for (const name of urls) {
    define(name, function () {
      const text = this.getAttribute(name);
      return text === null ? "" : URL.parse(text, this.ownerDocument.baseURI)?.href ?? text;
    }, function (value) {
      this.setAttribute(name, value);
    });
  }
}

/** What delays the `load` event of the window. */
const delays = new Set();
/** Scripts that the parser leaves for its end, and those that run in order as they come. */
const deferred = [];
let inOrder = Promise.resolve();
let currentScript = null;

/** Keeps the `load` event back until the promise is settled, which it is without an error. */
function delayLoad(promise) {
  delays.add(promise);
  promise.then(() => delays.delete(promise));
}

/** Waits until nothing delays the `load` event. */
async function nothingDelays() {
  while (delays.size > 0) await Promise.all(delays);
}

const JAVASCRIPT = /^(text\/(javascript(1\.[0-5])?|ecmascript|jscript|livescript|x-(ecma|java)script)|application\/(x-)?(ecma|java)script)$/;

/** https://html.spec.whatwg.org/multipage/scripting.html#the-script-element */
class HTMLScriptElement extends HTMLElement {
  #alreadyStarted = false;
  #forceAsync = true;

  get text() {
    return this.textContent;
  }

  set text(text) {
    this.textContent = text;
  }

  get async() {
    return this.#forceAsync || this.hasAttribute("async");
  }

  set async(value) {
    this.#forceAsync = false;
    value ? this.setAttribute("async", "") : this.removeAttribute("async");
  }

  [connected]() {
    this.#prepare(false);
  }

  [childrenChanged]() {
    if (this.isConnected) this.#prepare(false);
  }

  /** The parser has read the whole element. Gives a promise where it has to wait for the script. */
  static parsed(script) {
    script.#forceAsync = false;
    return script.#prepare(true);
  }

  /** https://html.spec.whatwg.org/multipage/scripting.html#prepare-the-script-element */
  #prepare(byParser) {
    const hasSource = this.hasAttribute("src");
    if (this.#alreadyStarted || (!hasSource && this.textContent === "")) return undefined;
    // Documents without a window have no scripting.
    if (!this.isConnected || this.ownerDocument.defaultView === null) return undefined;
    const type = (this.getAttribute("type") ?? "").trim().toLowerCase();
    if (type === "module") {
      this.#alreadyStarted = true;
      console.error("Scripts of type 'module' are not supported.");
      this.#fireLater("error");
      return undefined;
    }
    // Another type is data for other scripts.
    if (type !== "" && !JAVASCRIPT.test(type)) return undefined;
    this.#alreadyStarted = true;
    if (!hasSource) {
      this.#run(this.textContent, location.href);
      return undefined;
    }
    if (this.getAttribute("src") === "") {
      this.#fireLater("error");
      return undefined;
    }
    const loaded = this.#load(this.src);
    if (this.async) {
      delayLoad(loaded.then((run) => run()));
    } else if (!byParser) {
      inOrder = inOrder.then(() => loaded).then((run) => run());
      delayLoad(inOrder);
    } else if (this.hasAttribute("defer")) {
      deferred.push(loaded);
    } else {
      return loaded.then((run) => run());
    }
    return undefined;
  }

  /** Gives what is to be done with the script, or with the failure, in its turn. */
  async #load(url) {
    const { source, error } = await op_page_load_script(url);
    if (!error) {
      return () => {
        this.#run(source, url);
        fire(this, new Event("load"));
      };
    }
    return () => {
      console.error(`The script ${url} was not loaded: ${error}`);
      fire(this, new Event("error"));
    };
  }

  #run(source, url) {
    const before = currentScript;
    currentScript = this;
    try {
      const [, error] = core.evalContext(source, url);
      if (error) reportException(error.thrown);
    } finally {
      currentScript = before;
    }
  }

  #fireLater(type) {
    delayLoad(Promise.resolve().then(() => fire(this, new Event(type))));
  }
}
const { parsed } = HTMLScriptElement;
delete HTMLScriptElement.parsed;
reflect(HTMLScriptElement, { strings: { type: "type" }, booleans: ["defer"], urls: ["src"] });
webidl.configureInterface(HTMLScriptElement);

/** https://html.spec.whatwg.org/multipage/semantics.html#the-meta-element */
class HTMLMetaElement extends HTMLElement {
  [connected]() {
    if (this.ownerDocument.defaultView === null) return;
    const { content } = this;
    const inHead = this.parentNode === this.ownerDocument.head;
    // A policy that stands elsewhere might have been put there by others.
    if (inHead && this.httpEquiv.toLowerCase() === "content-security-policy" && content !== "") {
      op_page_policy("content-security-policy", content);
    } else if (this.name.toLowerCase() === "referrer") {
      op_page_policy("referrer", content);
    }
  }
}
reflect(HTMLMetaElement, {
  strings: { content: "content", httpEquiv: "http-equiv", name: "name" },
});
webidl.configureInterface(HTMLMetaElement);

class HTMLTitleElement extends HTMLElement {
  get text() {
    return this.textContent;
  }

  set text(text) {
    this.textContent = text;
  }

  [connected]() {
    this[childrenChanged]();
  }

  [childrenChanged]() {
    if (this.isConnected && this.ownerDocument.defaultView !== null) {
      op_page_title(this.ownerDocument.title);
    }
  }
}
webidl.configureInterface(HTMLTitleElement);

/**
 * https://html.spec.whatwg.org/multipage/iframe-embed-object.html#the-iframe-element. Its window is in
 * a realm of its own, and is a client of service workers; other windows cannot reach it.
 */
class HTMLIFrameElement extends HTMLElement {
  /** Numbers the navigations: the last one counts. */
  #navigation = 0;
  #frame = null;

  [connected]() {
    this.#navigate();
  }

  [disconnected]() {
    this.#close();
  }

  [attributeChanged](name) {
    if (name === "src" && this.isConnected) this.#navigate();
  }

  #close() {
    this.#navigation++;
    if (this.#frame !== null) core.tryClose(this.#frame);
    this.#frame = null;
  }

  #navigate() {
    if (this.ownerDocument.defaultView === null) return;
    this.#close();
    delayLoad(this.#open(this.#navigation));
  }

  async #open(navigation) {
    const { src } = this;
    try {
      // Without a page there is no window.
      const frame = src === "" ? await null : await op_page_open_frame(src);
      if (navigation !== this.#navigation) return frame === null || core.tryClose(frame);
      this.#frame = frame;
    } catch (error) {
      console.error(`The frame has no page: ${error.message}`);
    }
    // Also for a page that was not loaded: a browser has an error page then.
    if (navigation === this.#navigation) fire(this, new Event("load"));
  }
}
reflect(HTMLIFrameElement, { strings: { name: "name" }, urls: ["src"] });
webidl.configureInterface(HTMLIFrameElement);

const ELEMENTS = {
  __proto__: null,
  iframe: HTMLIFrameElement,
  meta: HTMLMetaElement,
  script: HTMLScriptElement,
  title: HTMLTitleElement,
};

function newElement(document, name) {
  return new (ELEMENTS[name] ?? HTMLElement)(create, document, name);
}

Document.prototype.createElement = function createElement(localName) {
  const name = String(localName).toLowerCase();
  if (!/^[a-z][^\s/>\0]*$/.test(name)) {
    throw new DOMException(`'${name}' is no name of an element`, "InvalidCharacterError");
  }
  return newElement(this, name);
};

/** Adds an element as the parser does, without what it does when it is complete. */
function appendParsed(parent, document, name, attributes) {
  const element = newElement(document, name);
  for (const [key, value] of attributes) {
    element.setAttribute(key, value);
    if (key.startsWith("on")) {
      console.warn(`The attribute '${key}' of <${name}> has no effect: use addEventListener().`);
    }
  }
  parent[parserAppend](element);
  return element;
}

/** The parser has read the whole element. Gives a promise where it has to wait. */
function completeParsed(element) {
  if (element instanceof HTMLScriptElement) return parsed(element);
  element[connected]?.();
  return undefined;
}

return {
  appendParsed,
  completeParsed,
  currentScript: () => currentScript,
  deferred,
  HTMLIFrameElement,
  HTMLMetaElement,
  HTMLScriptElement,
  HTMLTitleElement,
  nothingDelays,
};
})();
