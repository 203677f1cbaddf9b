// META: global=window,worker
// `crypto.subtle.digest()`: https://w3c.github.io/webcrypto/
"use strict";

const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) =>
  byte.toString(16).padStart(2, "0")).join("");
const abc = new TextEncoder().encode("abc");

// FIPS 180-4, and its examples.
for (
  const [name, expected] of [
    ["SHA-1", "a9993e364706816aba3e25717850c26c9cd0d89d"],
    ["SHA-256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
    [
      "SHA-384",
      "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed" +
      "8086072ba1e7cc2358baeca134c825a7",
    ],
    [
      "sha-512",
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a" +
      "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    ],
  ]
) {
  promise_test(async () => {
    const digest = await crypto.subtle.digest(name, abc);
    assert_true(digest instanceof ArrayBuffer);
    assert_equals(hex(digest), expected);
    assert_equals(hex(await crypto.subtle.digest({ name }, abc.buffer)), expected);
  }, `The ${name} of a text`);
}

promise_test(async () => {
  const bytes = new Uint8Array([0, 97, 98, 99, 0]);
  const view = new DataView(bytes.buffer, 1, 3);
  const digest = crypto.subtle.digest("SHA-256", view);
  bytes.fill(0);
  const expected = await crypto.subtle.digest("SHA-256", abc);
  assert_equals(hex(await digest), hex(expected));
}, "The bytes are those of the view, as they were at the call");

promise_test(async (t) => {
  const { subtle } = crypto;
  for (const name of ["MD5", "AES-GCM", ""]) {
    await promise_rejects_dom(t, "NotSupportedError", subtle.digest(name, abc), name);
  }
  for (const [algorithm, data] of [["SHA-1", "abc"], ["SHA-1", null], [{}, abc]]) {
    await promise_rejects_js(t, TypeError, subtle.digest(algorithm, data));
  }
  const { digest } = subtle;
  await promise_rejects_js(t, TypeError, digest("SHA-1", abc));
}, "What is no algorithm, and what are no bytes, is refused");
