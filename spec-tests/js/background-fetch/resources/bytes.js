// Bodies of which every byte says where it is and to which representation it belongs, as
// /bgfetch/faults makes them, so that a test sees when two were spliced.
"use strict";

/** Byte `i` of the representation `seed`. */
function byteAt(seed, i) {
  return (i * 7 + (i >> 8) * 13 + seed * 101) % 251;
}

/** Which representation `bytes` are the beginning of, or null. */
function seedOf(bytes) {
  const fits = (seed) => bytes.every((byte, i) => byte === byteAt(seed, i));
  return [0, 1, 2].find(fits) ?? null;
}
