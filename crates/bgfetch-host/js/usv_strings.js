// USVStrings (https://webidl.spec.whatwg.org/#idl-USVString): Deno's scripts pass texts to Rust and
// rely on the engine to replace lone surrogates, but QuickJS turns each into three U+FFFD. Runs
// before those scripts.
(function () {
"use strict";

const { core } = __bootstrap;
const { define, defineProperty, toWellFormed } = core.loadExtScript(
  "ext:bgfetch_deno/primordials.js",
);
const { converters } = core.loadExtScript("ext:deno_webidl/00_webidl.js");

const { ops } = core;
const {
  op_encoding_encode_into,
  op_encoding_encode_into_fallback,
  op_url_parse,
  op_url_parse_with_base,
  op_url_reparse,
} = ops;
const { encode } = core;

core.encode = (text) => encode(toWellFormed(text));
ops.op_encoding_encode_into = (source, destination) =>
  op_encoding_encode_into(toWellFormed(source), destination);
ops.op_encoding_encode_into_fallback = (source, destination, result) =>
  op_encoding_encode_into_fallback(toWellFormed(source), destination, result);
ops.op_url_parse = (url, components) => op_url_parse(toWellFormed(url), components);
ops.op_url_parse_with_base = (url, base, components) =>
  op_url_parse_with_base(toWellFormed(url), toWellFormed(base), components);
ops.op_url_reparse = (url, part, value, components) =>
  op_url_reparse(url, part, toWellFormed(value), components);

// String bodies are not encoded when they are read as text.
defineProperty(converters, "BodyInit_DOMString", {
  __proto__: null,
  set(converter) {
    define(converters, "BodyInit_DOMString", (value, prefix, context, options) => {
      const converted = converter(value, prefix, context, options);
      return typeof converted === "string" ? toWellFormed(converted) : converted;
    });
  },
  configurable: true,
});
})();
