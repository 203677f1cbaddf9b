// https://dom.spec.whatwg.org/: the part of the tree that scripts of small pages use. The rest is
// absent, so that feature detection works.
(function () {
"use strict";

const { core } = __bootstrap;
const {
  append,
  concat,
  filter,
  find,
  forEach,
  indexOf,
  insertAt,
  join,
  map,
  matches,
  removeAt,
  SafeMap,
  String,
  stringToLowerCase,
  stringToUpperCase,
  TypeError,
} = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const {
  configureInterface,
  DOMException,
  Event,
  EventTarget,
  illegalConstructor,
} = core.loadExtScript("ext:bgfetch_deno/deno.js");

const { dispatch, setParentOf } = core.loadExtScript("ext:bgfetch_deno/event_target.js");
const { HTMLCollection, liveList, NodeList } = core.loadExtScript(
  "ext:bgfetch_host/collections.js",
);
const { hasClasses, matcher, tokens } = core.loadExtScript("ext:bgfetch_host/selectors.js");

/** The key of constructors that scripts cannot call. */
const create = Symbol("create");
/** The reaction of an element to becoming connected, or to its text doing so; see elements.js. */
const connected = Symbol("connected");
const disconnected = Symbol("disconnected");
const childrenChanged = Symbol("childrenChanged");
const attributeChanged = Symbol("attributeChanged");
/** Adds a node as the parser does, which is not a mutation by a script. */
const parserAppend = Symbol("parserAppend");

class Node extends EventTarget {
  #document;
  #parent = null;
  #children = [];

  constructor(key = null, document = null) {
    if (key !== create) illegalConstructor();
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
    return isElement(this.#parent) ? this.#parent : null;
  }

  get childNodes() {
    const children = this.#children;
    return liveList(NodeList, () => children);
  }

  get firstChild() {
    return first(this.#children) ?? null;
  }

  get lastChild() {
    const children = this.#children;
    return children.length === 0 ? null : children[children.length - 1];
  }

  get nextSibling() {
    return this.#sibling(1);
  }

  get previousSibling() {
    return this.#sibling(-1);
  }

  #sibling(step) {
    if (this.#parent === null) return null;
    const siblings = this.#parent.#children;
    const index = indexOf(siblings, this) + step;
    return index >= 0 && index < siblings.length ? siblings[index] : null;
  }

  get isConnected() {
    return isConnected(this);
  }

  getRootNode() {
    return rootOf(this);
  }

  hasChildNodes() {
    return this.#children.length > 0;
  }

  contains(other) {
    return isInclusiveAncestor(this, other);
  }

  get textContent() {
    return textOf(this);
  }

  set textContent(text) {
    setText(this, text);
  }

  appendChild(node) {
    return insert(this, node, null);
  }

  insertBefore(node, before) {
    return insert(this, node, before ?? null);
  }

  removeChild(node) {
    return removeChild(this, node);
  }

  replaceChildren(...nodes) {
    replaceChildren(this, nodes);
  }

  append(...nodes) {
    forEach(nodes, (node) => insert(this, toNode(this, node), null));
  }

  prepend(...nodes) {
    const before = first(this.#children) ?? null;
    forEach(nodes, (node) => insert(this, toNode(this, node), before));
  }

  remove() {
    if (this.#parent !== null) removeChild(this.#parent, this);
  }

  [parserAppend](node) {
    this.#insert(node, this.#children.length);
  }

  #insert(node, at) {
    insertAt(this.#children, at, node);
    node.#parent = this;
    const document = documentOf(this);
    forEach(inclusive(node), (inner) => inner.#document = document);
  }

  static isNode(value) {
    return typeof value === "object" && value !== null && #children in value;
  }

  static childrenOf(node) {
    return node.#children;
  }

  static parentOf(node) {
    return node.#parent;
  }

  static ownerOf(node) {
    return node.#document;
  }

  /** https://dom.spec.whatwg.org/#concept-node-insert */
  static insert(parent, node, before) {
    checkInsertion(parent, node, before);
    if (before === node) before = node.#sibling(1);
    if (node.#parent !== null) removeChild(node.#parent, node);
    const children = parent.#children;
    parent.#insert(node, before === null ? children.length : indexOf(children, before));
    call(parent, childrenChanged);
    if (isConnected(node)) forEach(inclusive(node), (inner) => call(inner, connected));
    return node;
  }

  /** https://dom.spec.whatwg.org/#concept-node-remove */
  static removeChild(parent, node) {
    const children = parent.#children;
    const at = indexOf(children, node);
    if (at < 0) throw new DOMException("The node is not a child of this node", "NotFoundError");
    const wasConnected = isConnected(node);
    removeAt(children, at);
    node.#parent = null;
    call(parent, childrenChanged);
    if (wasConnected) forEach(inclusive(node), (inner) => call(inner, disconnected));
    return node;
  }
}
const { childrenOf, insert, isNode, ownerOf, parentOf, removeChild } = Node;
for (const name of ["childrenOf", "insert", "isNode", "ownerOf", "parentOf", "removeChild"]) {
  delete Node[name];
}
for (const [name, value] of [["ELEMENT_NODE", 1], ["TEXT_NODE", 3], ["COMMENT_NODE", 8], ["DOCUMENT_NODE", 9]]) {
  for (const holder of [Node, Node.prototype]) {
    Object.defineProperty(holder, name, { value, enumerable: true });
  }
}
configureInterface(Node);

setParentOf((target) => isNode(target) ? parentOf(target) : null);

/** Calls a reaction of a node, if its class has one. Pages cannot reach the symbols. */
function call(node, reaction, argument = undefined) {
  if (reaction in node) node[reaction](argument);
}

function first(list) {
  return list.length === 0 ? undefined : list[0];
}

function documentOf(node) {
  return isDocument(node) ? node : ownerOf(node);
}

function rootOf(node) {
  let root = node;
  while (parentOf(root) !== null) root = parentOf(root);
  return root;
}

function isConnected(node) {
  return isDocument(rootOf(node));
}

function isInclusiveAncestor(node, other) {
  for (let inner = other; isNode(inner); inner = parentOf(inner)) {
    if (inner === node) return true;
  }
  return false;
}

/** The nodes in a node, in tree order. */
function descendants(node) {
  return concat(map(childrenOf(node), inclusive));
}

function inclusive(node) {
  return concat([[node], descendants(node)]);
}

function elementsIn(node) {
  return filter(descendants(node), isElement);
}

/** The text of a node's descendants, or its own. */
function textOf(node) {
  if (isCharacterData(node)) return dataOf(node);
  return join(map(filter(descendants(node), isText), dataOf), "");
}

function setText(node, text) {
  if (isCharacterData(node)) setData(node, text);
  else replaceChildren(node, text === null || text === "" ? [] : [String(text)]);
}

function replaceChildren(parent, nodes) {
  const added = map(nodes, (node) => toNode(parent, node));
  forEach(added, (node) => checkInsertion(parent, node, null));
  forEach(map(childrenOf(parent), (child) => child), (child) => removeChild(parent, child));
  forEach(added, (node) => insert(parent, node, null));
}

function toNode(parent, value) {
  return isNode(value) ? value : new Text(create, documentOf(parent), String(value));
}

function checkInsertion(parent, node, before) {
  if (!isNode(node)) throw new TypeError("The argument is not a Node");
  const mayHaveChildren = isElement(parent) || isDocument(parent);
  if (!mayHaveChildren || isDocument(node) || isInclusiveAncestor(node, parent)) {
    throw new DOMException("The node cannot be inserted here", "HierarchyRequestError");
  }
  if (before !== null && !(isNode(before) && parentOf(before) === parent)) {
    throw new DOMException("The node is not a child of this node", "NotFoundError");
  }
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
    setData(this, data);
  }

  get nodeValue() {
    return this.#data;
  }

  set nodeValue(data) {
    setData(this, data);
  }

  get textContent() {
    return this.#data;
  }

  set textContent(data) {
    setData(this, data);
  }

  static isCharacterData(node) {
    return #data in node;
  }

  static dataOf(node) {
    return node.#data;
  }

  static setData(node, data) {
    node.#data = data === null ? "" : String(data);
    const parent = parentOf(node);
    if (parent !== null) call(parent, childrenChanged);
  }
}
const { dataOf, isCharacterData, setData } = CharacterData;
for (const name of ["dataOf", "isCharacterData", "setData"]) delete CharacterData[name];
configureInterface(CharacterData);

class Text extends CharacterData {
  #isText = true;

  constructor(key = null, document = null, data = "") {
    super(key, document, data);
  }

  get nodeType() {
    return 3;
  }

  get nodeName() {
    return "#text";
  }

  static isText(node) {
    return #isText in node;
  }
}
const { isText } = Text;
delete Text.isText;
configureInterface(Text);

class Comment extends CharacterData {
  constructor(key = null, document = null, data = "") {
    super(key, document, data);
  }

  get nodeType() {
    return 8;
  }

  get nodeName() {
    return "#comment";
  }
}
configureInterface(Comment);

/** The queries that elements and documents have in common. */
const parentNode = {
  get children() {
    return liveList(HTMLCollection, () => filter(childrenOf(this), isElement));
  },

  get childElementCount() {
    return filter(childrenOf(this), isElement).length;
  },

  get firstElementChild() {
    return find(childrenOf(this), isElement) ?? null;
  },

  querySelector(selectors) {
    return find(elementsIn(this), matcherOf(selectors)) ?? null;
  },

  querySelectorAll(selectors) {
    const found = filter(elementsIn(this), matcherOf(selectors));
    return liveList(NodeList, () => found);
  },

  getElementsByTagName(name) {
    const local = stringToLowerCase(String(name));
    return liveList(HTMLCollection, () =>
      filter(elementsIn(this), (element) => local === "*" || nameOf(element) === local));
  },

  getElementsByClassName(names) {
    const wanted = tokens(String(names));
    return liveList(HTMLCollection, () =>
      filter(elementsIn(this), (element) =>
        hasClasses(attributeOf(element, "class") ?? "", wanted)));
  },
};

function matcherOf(selectors) {
  return matcher(selectors, { __proto__: null, attributeOf, nameOf });
}

const NAME_OF_ATTRIBUTE = /^[^\s/>=\0]+$/;

class Element extends Node {
  #name;
  #attributes = new SafeMap();

  constructor(key = null, document = null, name = "") {
    super(key, document);
    this.#name = name;
  }

  get nodeType() {
    return 1;
  }

  get nodeName() {
    return stringToUpperCase(this.#name);
  }

  get tagName() {
    return stringToUpperCase(this.#name);
  }

  get localName() {
    return this.#name;
  }

  getAttribute(name) {
    return attributeOf(this, stringToLowerCase(String(name)));
  }

  getAttributeNames() {
    const names = [];
    this.#attributes.forEach((_, name) => append(names, name));
    return names;
  }

  hasAttribute(name) {
    return this.#attributes.has(stringToLowerCase(String(name)));
  }

  setAttribute(name, value) {
    setAttribute(this, name, value);
  }

  removeAttribute(name) {
    removeAttribute(this, name);
  }

  get id() {
    return attributeOf(this, "id") ?? "";
  }

  set id(id) {
    setAttribute(this, "id", id);
  }

  get className() {
    return attributeOf(this, "class") ?? "";
  }

  set className(names) {
    setAttribute(this, "class", names);
  }

  matches(selectors) {
    return matcherOf(selectors)(this);
  }

  static isElement(value) {
    return typeof value === "object" && value !== null && #name in value;
  }

  static nameOf(element) {
    return element.#name;
  }

  /** The value of the attribute with that lowercase name, or null. */
  static attributeOf(element, name) {
    return element.#attributes.get(name) ?? null;
  }

  static setAttribute(element, name, value) {
    const key = stringToLowerCase(String(name));
    if (!matches(NAME_OF_ATTRIBUTE, key)) {
      throw new DOMException("'" + key + "' is not a valid attribute name", "InvalidCharacterError");
    }
    element.#attributes.set(key, String(value));
    call(element, attributeChanged, key);
  }

  static removeAttribute(element, name) {
    const key = stringToLowerCase(String(name));
    if (element.#attributes.delete(key)) call(element, attributeChanged, key);
  }
}
const { attributeOf, isElement, nameOf, removeAttribute, setAttribute } = Element;
for (const name of ["attributeOf", "isElement", "nameOf", "removeAttribute", "setAttribute"]) {
  delete Element[name];
}
Object.defineProperties(Element.prototype, Object.getOwnPropertyDescriptors(parentNode));
configureInterface(Element);

class HTMLElement extends Element {
  #isHtml = true;

  constructor(key = null, document = null, name = "") {
    super(key, document, name);
  }

  click() {
    this.#isHtml;
    // Not trusted: a script fired it.
    const init = { __proto__: null, bubbles: true, cancelable: true, composed: true };
    dispatch(this, new Event("click", init));
  }

  static isHtmlElement(value) {
    return typeof value === "object" && value !== null && #isHtml in value;
  }
}
const { isHtmlElement } = HTMLElement;
delete HTMLElement.isHtmlElement;
configureInterface(HTMLElement);

class Document extends Node {
  #isDocument = true;

  constructor(key = null, document = null) {
    super(key, document);
  }

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
    // The standard says that documents have none.
  }

  get documentElement() {
    return rootElementOf(this);
  }

  get head() {
    return childOf(rootElementOf(this), "head");
  }

  get body() {
    return childOf(rootElementOf(this), "body");
  }

  getElementById(id) {
    const wanted = String(id);
    return find(elementsIn(this), (element) => attributeOf(element, "id") === wanted) ?? null;
  }

  createTextNode(data) {
    return new Text(create, this, String(data));
  }

  createComment(data) {
    return new Comment(create, this, String(data));
  }

  static isDocument(value) {
    return typeof value === "object" && value !== null && #isDocument in value;
  }
}
const { isDocument } = Document;
delete Document.isDocument;
Object.defineProperties(Document.prototype, Object.getOwnPropertyDescriptors(parentNode));
configureInterface(Document);

function rootElementOf(document) {
  return find(childrenOf(document), isElement) ?? null;
}

function headOf(document) {
  return childOf(rootElementOf(document), "head");
}

function childOf(element, name) {
  if (element === null) return null;
  const found = find(childrenOf(element), (child) => isElement(child) && nameOf(child) === name);
  return found ?? null;
}

return {
  attributeChanged,
  attributeOf,
  CharacterData,
  childrenChanged,
  Comment,
  connected,
  create,
  disconnected,
  Document,
  documentOf,
  Element,
  elementsIn,
  headOf,
  HTMLElement,
  isConnected,
  isHtmlElement,
  nameOf,
  insert,
  Node,
  ownerOf,
  parentOf,
  parserAppend,
  removeAttribute,
  setAttribute,
  setText,
  Text,
  textOf,
};
})();
