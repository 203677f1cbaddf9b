// https://dom.spec.whatwg.org/#collections
(function () {
"use strict";

const { core } = __bootstrap;
const { apply, forEach, get, has, matches, Proxy } = core.loadExtScript(
  "ext:bgfetch_deno/primordials.js",
);
const { configureInterface, illegalConstructor } = core.loadExtScript("ext:bgfetch_deno/deno.js");

const INDEX = /^(0|[1-9][0-9]*)$/;
const createObject = Object.create;
const iteratorOfArrays = Array.prototype[Symbol.iterator];
const iterator = Symbol.iterator;

/** A live list: an array-like view of what `collect` currently returns. */
function liveList(Interface, collect) {
  const isIndex = (key) => typeof key === "string" && matches(INDEX, key);
  const item = (index) => {
    const list = collect();
    return index < list.length ? list[index] : undefined;
  };
  return new Proxy(createObject(Interface.prototype), {
    __proto__: null,
    get(target, key, receiver) {
      if (key === "length") return collect().length;
      if (isIndex(key)) return item(key);
      if (key === "item") return (index) => item(index) ?? null;
      if (key === iterator) return () => apply(iteratorOfArrays, collect(), []);
      if (key === "forEach") {
        return (callback, self) =>
          forEach(collect(), (node, index) => apply(callback, self, [node, index]));
      }
      return get(target, key, receiver);
    },
    has: (target, key) => isIndex(key) ? key < collect().length : has(target, key),
    set: (target, key) => isIndex(key) || has(target, key),
  });
}

class NodeList {
  constructor() {
    illegalConstructor();
  }
}
configureInterface(NodeList);

class HTMLCollection {
  constructor() {
    illegalConstructor();
  }
}
configureInterface(HTMLCollection);

return { HTMLCollection, liveList, NodeList };
})();
