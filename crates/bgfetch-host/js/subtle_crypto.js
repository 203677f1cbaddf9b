// https://w3c.github.io/webcrypto/#subtlecrypto-interface: `digest()`, with which pages verify
// their downloads. Keys are not supported.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_host_digest } = core.ops;
const { isObject, stringToUpperCase, TypeError, Uint8Array } = core.loadExtScript(
  "ext:bgfetch_deno/primordials.js",
);
const { asyncOp, configureInterface, DOMException, illegalConstructor } = core.loadExtScript(
  "ext:bgfetch_deno/deno.js",
);
const { dictionary, domString, requiredArguments, requiredMember } = core.loadExtScript(
  "ext:bgfetch_deno/webidl.js",
);
const {
  bufferOfDataView,
  bufferOfTyped,
  byteLengthOfBuffer,
  byteLengthOfDataView,
  byteLengthOfTyped,
  byteOffsetOfDataView,
  byteOffsetOfTyped,
  forOp,
  isView,
  nameOfTyped,
} = core.loadExtScript("ext:bgfetch_host/buffer_source.js");

const digestOf = asyncOp(op_host_digest);
const create = Symbol("create");

const algorithmDictionary = dictionary("Algorithm", [requiredMember("name", domString)]);

/** The normalized name of the hash in an AlgorithmIdentifier. */
function hashName(algorithm, prefix, context) {
  const name = isObject(algorithm)
    ? algorithmDictionary(algorithm, prefix, context).name
    : domString(algorithm, prefix, context);
  const upper = stringToUpperCase(name);
  switch (upper) {
    case "SHA-1":
    case "SHA-256":
    case "SHA-384":
    case "SHA-512":
      return upper;
    default:
      throw new DOMException("The algorithm '" + name + "' is not supported", "NotSupportedError");
  }
}

/** A copy of the bytes of a BufferSource. */
function copyOf(source, prefix) {
  return new Uint8Array(bytesOf(source, prefix));
}

function bytesOf(source, prefix) {
  if (isView(source)) {
    return nameOfTyped(source) === undefined
      ? new Uint8Array(
        bufferOfDataView(source),
        byteOffsetOfDataView(source),
        byteLengthOfDataView(source),
      )
      : new Uint8Array(bufferOfTyped(source), byteOffsetOfTyped(source), byteLengthOfTyped(source));
  }
  try {
    byteLengthOfBuffer(source);
  } catch {
    throw new TypeError(prefix + ": Argument 2 is not an ArrayBuffer or a view of one");
  }
  return new Uint8Array(source);
}

class SubtleCrypto {
  #checked = true;

  constructor(key = null) {
    if (key !== create) illegalConstructor();
  }

  async digest(algorithm, data) {
    const prefix = "Failed to execute 'digest' on 'SubtleCrypto'";
    this.#checked;
    requiredArguments(arguments.length, 2, prefix);
    const name = hashName(algorithm, prefix, "Argument 1");
    return bufferOfTyped(await digestOf(name, forOp(copyOf(data, prefix))));
  }
}
configureInterface(SubtleCrypto);

const subtle = new SubtleCrypto(create);

return { subtle, SubtleCrypto };
})();
