// The engine's texts are Unicode, but a DOMString may contain lone surrogates. The DOMStrings that
// scripts get back are escaped for the engine: each code unit that Unicode text cannot contain is
// written as U+FFFF, which is a noncharacter, followed by the unit's four hexadecimal digits.
// U+FFFF itself is escaped too, so that each text stands for one DOMString. All other DOMStrings
// are unchanged.
import {
  Number,
  String,
  stringCharCodeAt,
  stringSlice,
  toWellFormed,
  uncurryThis,
} from "./primordials.js";

const fromCharCode = String.fromCharCode;
const toStringOfNumber = uncurryThis(Number.prototype.toString);

const MARK = 0xffff;

function isLeading(unit) {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function isTrailing(unit) {
  return unit >= 0xdc00 && unit <= 0xdfff;
}

/** The text that represents a DOMString. */
function toText(string) {
  let text = "";
  for (let i = 0; i < string.length; i++) {
    const unit = stringCharCodeAt(string, i);
    if (isLeading(unit) && isTrailing(stringCharCodeAt(string, i + 1))) {
      text += stringSlice(string, i, i + 2);
      i++;
    } else if (isLeading(unit) || isTrailing(unit) || unit === MARK) {
      text += fromCharCode(MARK) + toStringOfNumber(unit, 16);
    } else {
      text += fromCharCode(unit);
    }
  }
  return text;
}

/**
 * The DOMString that a text represents. A text that no DOMString is written as represents itself.
 */
function fromText(text) {
  let string = "";
  for (let i = 0; i < text.length; i++) {
    const unit = stringCharCodeAt(text, i);
    const escaped = unit === MARK ? Number("0x" + stringSlice(text, i + 1, i + 5)) : unit;
    if (unit === MARK && (isLeading(escaped) || isTrailing(escaped) || escaped === MARK)) {
      string += fromCharCode(escaped);
      i += 4;
    } else {
      string += fromCharCode(unit);
    }
  }
  return string;
}

export { fromText, toText };
