// The selectors that are supported: compounds of tags, ids, classes and attributes, separated by
// commas.
(function () {
"use strict";

const { core } = __bootstrap;
const {
  append,
  every,
  exec,
  includes,
  map,
  some,
  split,
  String,
  stringSlice,
  stringToLowerCase,
  stringTrim,
} = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const { DOMException } = core.loadExtScript("ext:bgfetch_deno/deno.js");

const NOT_SPACE = /^\s*(\S+)([^]*)$/;
const SIMPLE =
  /^(?:([\w-]+|\*)|#([\w-]+)|\.([\w-]+)|\[([\w-]+)(?:=(?:"([^"]*)"|'([^']*)'|([\w-]+)))?\])/;

/** The tokens of a whitespace-separated text. */
function tokens(text) {
  const names = [];
  for (let match = exec(NOT_SPACE, text); match !== null; match = exec(NOT_SPACE, match[2])) {
    append(names, match[1]);
  }
  return names;
}

/** Whether the text of an attribute `class` contains all of the names. */
function hasClasses(classes, wanted) {
  const has = tokens(classes);
  return wanted.length > 0 && every(wanted, (name) => includes(has, name));
}

/**
 * Whether an element matches; unsupported selectors throw. `attributeOf` returns the value of an
 * element's attribute or null, and `nameOf` its local name.
 */
function matcher(selectors, { attributeOf, nameOf }) {
  const compounds = map(split(String(selectors), ","), (text) => compoundMatcher(stringTrim(text)));
  return (element) => some(compounds, (matches) => matches(element));

  function compoundMatcher(text) {
    const tests = [];
    for (let rest = text; rest !== "" || tests.length === 0;) {
      const match = exec(SIMPLE, rest);
      if (match === null || (match[1] !== undefined && tests.length > 0)) {
        throw new DOMException("The selector '" + text + "' is not supported", "NotSupportedError");
      }
      rest = stringSlice(rest, match[0].length);
      append(tests, simpleMatcher(match));
    }
    return (element) => every(tests, (test) => test(element));
  }

  function simpleMatcher(match) {
    const { 1: tag, 2: id, 3: name, 4: attribute } = match;
    const value = match[5] ?? match[6] ?? match[7];
    if (tag !== undefined) {
      return (element) => tag === "*" || nameOf(element) === stringToLowerCase(tag);
    }
    if (id !== undefined) return (element) => attributeOf(element, "id") === id;
    if (name !== undefined) {
      return (element) => hasClasses(attributeOf(element, "class") ?? "", [name]);
    }
    return (element) => {
      const actual = attributeOf(element, stringToLowerCase(attribute));
      return value === undefined ? actual !== null : actual === value;
    };
  }
}

return { hasClasses, matcher, tokens };
})();
