// https://dom.spec.whatwg.org/: as much of the tree as scripts of small pages use. What is not here
// is absent, so that feature tests find out.
(function () {
"use strict";

const { core } = __bootstrap;
const {
  DOMException,
  Event,
  EventTarget,
  webidl,
} = core.loadExtScript("ext:bgfetch_deno/deno.js");

const { hasClasses, matcher } = core.loadExtScript("ext:bgfetch_host/selectors.js");

/** The key of constructors that scripts cannot call. */
const create = Symbol("create");
/** What an element does when it, or the text in it, was connected to a document; see elements.js. */
const connected = Symbol("connected");
const disconnected = Symbol("disconnected");
const childrenChanged = Symbol("childrenChanged");
const attributeChanged = Symbol("attributeChanged");
/** Adds a node as the parser does, which is no mutation by a script. */
const parserAppend = Symbol("parserAppend");

/** A live list: an array-like view of what `collect` gives at the time. */
function liveList(Interface, collect) {
  const isIndex = (key) => typeof key === "string" && /^(0|[1-9][0-9]*)$/.test(key);
  return new Proxy(Object.create(Interface.prototype), {
    get(target, key, receiver) {
      if (key === "length") return collect().length;
      if (isIndex(key)) return collect()[key];
      if (key === "item") return (index) => collect()[index] ?? null;
      if (key === Symbol.iterator) return () => collect()[Symbol.iterator]();
      if (key === "forEach") return (callback, self) => collect().forEach(callback, self);
      return Reflect.get(target, key, receiver);
    },
    has: (target, key) => isIndex(key) ? key < collect().length : Reflect.has(target, key),
    set: (target, key) => isIndex(key) || Reflect.has(target, key),
  });
}

class NodeList {
  constructor() {
    webidl.illegalConstructor();
  }
}
webidl.configureInterface(NodeList);

class HTMLCollection {
  constructor() {
    webidl.illegalConstructor();
  }
}
webidl.configureInterface(HTMLCollection);

class Node extends EventTarget {
  #document;
  #parent = null;
  #children = [];

  constructor(key = null, document = null) {
    if (key !== create) webidl.illegalConstructor();
    super();
    this.#document = document;
  }

  get ownerDocument() {
    return this.#document;
  }

  get parentNode() {
    return this.#parent;
  }

  get parentElement() {
    return this.#parent instanceof Element ? this.#parent : null;
  }

  get childNodes() {
    return liveList(NodeList, () => this.#children);
  }

  get firstChild() {
    return this.#children[0] ?? null;
  }

  get lastChild() {
    return this.#children.at(-1) ?? null;
  }

  get nextSibling() {
    return this.#sibling(1);
  }

  get previousSibling() {
    return this.#sibling(-1);
  }

  #sibling(step) {
    const siblings = this.#parent?.#children ?? [];
    return siblings[siblings.indexOf(this) + step] ?? null;
  }

  get isConnected() {
    return this.getRootNode() instanceof Document;
  }

  getRootNode() {
    let root = this;
    while (root.#parent !== null) root = root.#parent;
    return root;
  }

  hasChildNodes() {
    return this.#children.length > 0;
  }

  contains(other) {
    for (let node = other; node !== null; node = node.#parent) {
      if (node === this) return true;
    }
    return false;
  }

  get textContent() {
    return descendants(this).filter((node) => node instanceof Text).map((text) => text.data).join("");
  }

  set textContent(text) {
    this.replaceChildren(...(text === null || text === "" ? [] : [String(text)]));
  }

  appendChild(node) {
    return this.insertBefore(node, null);
  }

  insertBefore(node, before) {
    this.#checkInsertion(node, before);
    if (before === node) before = node.nextSibling;
    node.#parent?.removeChild(node);
    this.#insert(node, before === null ? this.#children.length : this.#children.indexOf(before));
    this[childrenChanged]?.();
    if (node.isConnected) for (const inner of inclusive(node)) inner[connected]?.();
    return node;
  }

  removeChild(node) {
    const at = this.#children.indexOf(node);
    if (at < 0) throw new DOMException("The node is not a child of this node", "NotFoundError");
    const wasConnected = node.isConnected;
    this.#children.splice(at, 1);
    node.#parent = null;
    this[childrenChanged]?.();
    if (wasConnected) for (const inner of inclusive(node)) inner[disconnected]?.();
    return node;
  }

  replaceChildren(...nodes) {
    const added = nodes.map((node) => this.#toNode(node));
    for (const node of added) this.#checkInsertion(node, null);
    for (const child of [...this.#children]) this.removeChild(child);
    for (const node of added) this.appendChild(node);
  }

  append(...nodes) {
    for (const node of nodes) this.appendChild(this.#toNode(node));
  }

  prepend(...nodes) {
    const { firstChild } = this;
    for (const node of nodes) this.insertBefore(this.#toNode(node), firstChild);
  }

  remove() {
    this.#parent?.removeChild(this);
  }

  #toNode(value) {
    return value instanceof Node ? value : new Text(create, documentOf(this), String(value));
  }

  #checkInsertion(node, before) {
    if (!(node instanceof Node)) throw new TypeError("The argument is not a Node");
    const mayHaveChildren = this instanceof Element || this instanceof Document;
    if (!mayHaveChildren || node instanceof Document || node.contains(this)) {
      throw new DOMException("The node cannot be inserted here", "HierarchyRequestError");
    }
    if (before !== null && before?.parentNode !== this) {
      throw new DOMException("The node is not a child of this node", "NotFoundError");
    }
  }

  #insert(node, at) {
    this.#children.splice(at, 0, node);
    node.#parent = this;
    for (const inner of inclusive(node)) inner.#document = documentOf(this);
  }

  [parserAppend](node) {
    this.#insert(node, this.#children.length);
  }

  static childrenOf(node) {
    return node.#children;
  }
}
const { childrenOf } = Node;
delete Node.childrenOf;
for (const [name, value] of [["ELEMENT_NODE", 1], ["TEXT_NODE", 3], ["COMMENT_NODE", 8], ["DOCUMENT_NODE", 9]]) {
  for (const holder of [Node, Node.prototype]) {
    Object.defineProperty(holder, name, { value, enumerable: true });
  }
}
webidl.configureInterface(Node);

function documentOf(node) {
  return node instanceof Document ? node : node.ownerDocument;
}

/** The nodes in a node, in tree order. */
function descendants(node) {
  return childrenOf(node).flatMap(inclusive);
}

function inclusive(node) {
  return [node, ...descendants(node)];
}

function elementsIn(node) {
  return descendants(node).filter((inner) => inner instanceof Element);
}

class CharacterData extends Node {
  #data;

  constructor(key = null, document = null, data = "") {
    super(key, document);
    this.#data = data;
  }

  get data() {
    return this.#data;
  }

  set data(data) {
    this.#data = data === null ? "" : String(data);
    this.parentNode?.[childrenChanged]?.();
  }

  get nodeValue() {
    return this.data;
  }

  set nodeValue(data) {
    this.data = data;
  }

  get textContent() {
    return this.data;
  }

  set textContent(data) {
    this.data = data;
  }
}
webidl.configureInterface(CharacterData);

class Text extends CharacterData {
  get nodeType() {
    return 3;
  }

  get nodeName() {
    return "#text";
  }
}
webidl.configureInterface(Text);

class Comment extends CharacterData {
  get nodeType() {
    return 8;
  }

  get nodeName() {
    return "#comment";
  }
}
webidl.configureInterface(Comment);

/** What elements and documents find in themselves. */
const parentNode = {
  get children() {
    return liveList(HTMLCollection, () =>
      childrenOf(this).filter((child) => child instanceof Element));
  },

  get childElementCount() {
    return this.children.length;
  },

  get firstElementChild() {
    return this.children[0] ?? null;
  },

  querySelector(selectors) {
    return elementsIn(this).find(matcher(selectors)) ?? null;
  },

  querySelectorAll(selectors) {
    const found = elementsIn(this).filter(matcher(selectors));
    return liveList(NodeList, () => found);
  },

  getElementsByTagName(name) {
    const local = String(name).toLowerCase();
    return liveList(HTMLCollection, () =>
      elementsIn(this).filter(({ localName }) => local === "*" || localName === local));
  },

  getElementsByClassName(names) {
    const wanted = String(names).split(/\s+/).filter(Boolean);
    return liveList(HTMLCollection, () =>
      elementsIn(this).filter((element) => hasClasses(element, wanted)));
  },
};

class Element extends Node {
  #name;
  #attributes = new Map();

  constructor(key = null, document = null, name = "") {
    super(key, document);
    this.#name = name;
  }

  get nodeType() {
    return 1;
  }

  get nodeName() {
    return this.tagName;
  }

  get tagName() {
    return this.#name.toUpperCase();
  }

  get localName() {
    return this.#name;
  }

  getAttribute(name) {
    return this.#attributes.get(String(name).toLowerCase()) ?? null;
  }

  getAttributeNames() {
    return [...this.#attributes.keys()];
  }

  hasAttribute(name) {
    return this.#attributes.has(String(name).toLowerCase());
  }

  setAttribute(name, value) {
    const key = String(name).toLowerCase();
    if (!/^[^\s/>=\0]+$/.test(key)) {
      throw new DOMException(`'${key}' is no name of an attribute`, "InvalidCharacterError");
    }
    this.#attributes.set(key, String(value));
    this[attributeChanged]?.(key);
  }

  removeAttribute(name) {
    const key = String(name).toLowerCase();
    if (this.#attributes.delete(key)) this[attributeChanged]?.(key);
  }

  get id() {
    return this.getAttribute("id") ?? "";
  }

  set id(id) {
    this.setAttribute("id", id);
  }

  get className() {
    return this.getAttribute("class") ?? "";
  }

  set className(names) {
    this.setAttribute("class", names);
  }

  matches(selectors) {
    return matcher(selectors)(this);
  }
}
Object.defineProperties(Element.prototype, Object.getOwnPropertyDescriptors(parentNode));
webidl.configureInterface(Element);

class HTMLElement extends Element {
  click() {
    // Not trusted: a script did it.
    this.dispatchEvent(new Event("click", { bubbles: true, cancelable: true, composed: true }));
  }
}
webidl.configureInterface(HTMLElement);

class Document extends Node {
  get nodeType() {
    return 9;
  }

  get nodeName() {
    return "#document";
  }

  get textContent() {
    return null;
  }

  set textContent(_) {
    // A document has none, as the standard says.
  }

  get documentElement() {
    return childrenOf(this).find((child) => child instanceof Element) ?? null;
  }

  get head() {
    return childOf(this.documentElement, "head");
  }

  get body() {
    return childOf(this.documentElement, "body");
  }

  getElementById(id) {
    return elementsIn(this).find((element) => element.id === String(id)) ?? null;
  }

  createTextNode(data) {
    return new Text(create, this, String(data));
  }

  createComment(data) {
    return new Comment(create, this, String(data));
  }

  get title() {
    const title = elementsIn(this).find(({ localName }) => localName === "title");
    return title?.textContent.trim().replace(/[\t\n\f\r ]+/g, " ") ?? "";
  }

  set title(text) {
    let title = elementsIn(this).find(({ localName }) => localName === "title");
    if (title === undefined) {
      if (this.head === null) return;
      title = this.createElement("title");
      this.head.appendChild(title);
    }
    title.textContent = text;
  }
}
Object.defineProperties(Document.prototype, Object.getOwnPropertyDescriptors(parentNode));
webidl.configureInterface(Document);

function childOf(element, name) {
  const children = element === null ? [] : childrenOf(element);
  return children.find(({ localName }) => localName === name) ?? null;
}

return {
  attributeChanged,
  CharacterData,
  childrenChanged,
  Comment,
  connected,
  create,
  disconnected,
  Document,
  Element,
  HTMLCollection,
  HTMLElement,
  Node,
  NodeList,
  parserAppend,
  Text,
};
})();
