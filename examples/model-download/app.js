// The page: downloads a large file in parts, and reads each while it arrives. A real page would
// already be loading the model's first layers.
"use strict";

const element = (id) => document.getElementById(id);

function tell(text) {
  element("status").textContent = text;
  console.log(text);
}

// The checksum of POSIX's `cksum`: a CRC of the bytes, and then of their number.
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  return crc;
});

class Checksum {
  #crc = 0;
  #length = 0;

  update(bytes) {
    let crc = this.#crc;
    for (const byte of bytes) crc = (crc << 8) ^ table[(crc >>> 24) ^ byte];
    this.#crc = crc;
    this.#length += bytes.length;
  }

  get value() {
    let crc = this.#crc;
    for (let rest = this.#length; rest > 0; rest = Math.floor(rest / 256)) {
      crc = (crc << 8) ^ table[(crc >>> 24) ^ (rest & 0xff)];
    }
    return ~crc >>> 0;
  }
}

/** Reads a part of the model while it is downloaded. */
async function read(bgFetch, part) {
  const record = await bgFetch.match(part.url);
  // Resolves as soon as the response begins.
  const response = await record.responseReady;
  tell(`${part.url} begins`);
  const checksum = new Checksum();
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    checksum.update(value);
  }
  const good = checksum.value === part.cksum;
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
