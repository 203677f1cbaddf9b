// The selectors that are supported: compounds of tags, ids, classes and attributes, separated by commas.
(function () {
"use strict";

const { core } = __bootstrap;
const { DOMException } = core.loadExtScript("ext:bgfetch_deno/deno.js");

function hasClasses(element, wanted) {
  const has = element.className.split(/\s+/);
  return wanted.length > 0 && wanted.every((name) => has.includes(name));
}

/** Whether an element matches; others than the supported selectors throw. */
function matcher(selectors) {
  const compounds = String(selectors).split(",").map((text) => compoundMatcher(text.trim()));
  return (element) => compounds.some((matches) => matches(element));
}

function compoundMatcher(text) {
  const simple = /^(?:([\w-]+|\*)|#([\w-]+)|\.([\w-]+)|\[([\w-]+)(?:=(?:"([^"]*)"|'([^']*)'|([\w-]+)))?\])/;
  const tests = [];
  for (let rest = text; rest !== "" || tests.length === 0;) {
    const match = simple.exec(rest);
    if (match === null || (match[1] !== undefined && tests.length > 0)) {
      throw new DOMException(`The selector '${text}' is not supported`, "NotSupportedError");
    }
    const [whole, tag, id, name, attribute, ...values] = match;
    rest = rest.slice(whole.length);
    const value = values.find((found) => found !== undefined);
    if (tag !== undefined) {
      tests.push((element) => tag === "*" || element.localName === tag.toLowerCase());
    } else if (id !== undefined) {
      tests.push((element) => element.id === id);
    } else if (name !== undefined) {
      tests.push((element) => hasClasses(element, [name]));
    } else {
      tests.push((element) =>
        value === undefined
          ? element.hasAttribute(attribute)
          : element.getAttribute(attribute) === value);
    }
  }
  return (element) => tests.every((test) => test(element));
}

return { hasClasses, matcher };
})();
