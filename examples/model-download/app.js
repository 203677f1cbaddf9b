// The page: downloads a large file in parts, as the hubs of models have them, and reads each while it
// arrives. A real page would already be loading the model's first layers.
//
// A hub redirects each URL to one that is signed and expires soon. Nothing has to be done about that:
// after an interruption, the download continues with a new redirect.
"use strict";

const element = (id) => document.getElementById(id);

function tell(text) {
  element("status").textContent = text;
  console.log(text);
}

// SHA-256, piece by piece: `crypto.subtle.digest()` needs all bytes at once, and a model may be larger
// than the memory. The constants are the first bits of the fractions of roots of primes.
const primes = [];
for (let n = 2; primes.length < 64; n++) if (primes.every((p) => n % p)) primes.push(n);
const fraction = (x) => ((x - Math.floor(x)) * 2 ** 32) | 0;
const ROUNDS = Int32Array.from(primes, (p) => fraction(Math.cbrt(p)));
const START = Int32Array.from(primes.slice(0, 8), (p) => fraction(Math.sqrt(p)));
const rotate = (x, by) => (x >>> by) | (x << (32 - by));

class Sha256 {
  #state = START.slice();
  #block = new Uint8Array(64);
  #words = new Int32Array(64);
  #length = 0;

  update(bytes) {
    for (const byte of bytes) {
      this.#block[this.#length++ % 64] = byte;
      if (this.#length % 64 === 0) this.#mix();
    }
  }

  #mix() {
    const w = this.#words;
    const view = new DataView(this.#block.buffer);
    for (let i = 0; i < 16; i++) w[i] = view.getInt32(i * 4);
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15];
      const y = w[i - 2];
      const small = rotate(x, 7) ^ rotate(x, 18) ^ (x >>> 3);
      w[i] = w[i - 16] + small + w[i - 7] + (rotate(y, 17) ^ rotate(y, 19) ^ (y >>> 10));
    }
    let [a, b, c, d, e, f, g, h] = this.#state;
    for (let i = 0; i < 64; i++) {
      const sum = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
      const t = (h + sum + ((e & f) ^ (~e & g)) + ROUNDS[i] + w[i]) | 0;
      const other = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
      const u = (other + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t) | 0;
      d = c;
      c = b;
      b = a;
      a = (t + u) | 0;
    }
    [a, b, c, d, e, f, g, h].forEach((value, i) => (this.#state[i] += value));
  }

  /** The digest in hexadecimal digits. Ends the computation. */
  digest() {
    const bits = this.#length * 8;
    this.update([0x80, ...new Uint8Array((119 - (this.#length % 64)) % 64)]);
    const length = new DataView(new ArrayBuffer(8));
    length.setUint32(0, Math.floor(bits / 2 ** 32));
    length.setUint32(4, bits >>> 0);
    this.update(new Uint8Array(length.buffer));
    const hex = (word) => (word >>> 0).toString(16).padStart(8, "0");
    return Array.from(this.#state, hex).join("");
  }
}

/** Reads a part of the model while it is downloaded. */
async function read(bgFetch, part) {
  const record = await bgFetch.match(part.url);
  // Resolves as soon as the response begins.
  const response = await record.responseReady;
  tell(`${part.url} begins`);
  const sha256 = new Sha256();
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    sha256.update(value);
  }
  const good = sha256.digest() === part.sha256;
  tell(`${part.url} ${good ? "is as it should be" : "is damaged"}`);
  return good;
}

async function download(swReg) {
  const response = await fetch("manifest.json");
  if (!response.ok) return tell("There is no model yet: run make-model.sh.");
  const { parts } = await response.json();
  const downloadTotal = parts.reduce((sum, part) => sum + part.bytes, 0);
  const urls = parts.map((part) => part.url);
  const options = { title: "A small model", downloadTotal };
  const active = await swReg.backgroundFetch.get("model");
  const bgFetch = active ?? (await swReg.backgroundFetch.fetch("model", urls, options));
  bgFetch.addEventListener("progress", () => {
    element("progress").value = bgFetch.downloaded / downloadTotal;
  });
  const good = await Promise.all(parts.map((part) => read(bgFetch, part)));
  tell(`${good.filter(Boolean).length} of ${parts.length} parts are good`);
}

if ("serviceWorker" in navigator && "BackgroundFetchManager" in self) {
  navigator.serviceWorker.register("sw.js");
  navigator.serviceWorker.ready.then(download);
} else {
  tell("This page needs background fetches, and localhost or https.");
}
