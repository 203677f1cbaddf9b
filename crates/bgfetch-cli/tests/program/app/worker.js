// Tells the server how each background fetch ended, with the digest of each file.
"use strict";

console.log("started");
addEventListener("install", () => skipWaiting());
addEventListener("message", () => {});

const hexByte = (byte) => byte.toString(16).padStart(2, "0");
const hex = (digest) => Array.from(new Uint8Array(digest), hexByte).join("");

async function file({ request: { url }, responseReady }) {
  try {
    const response = await responseReady;
    const digest = await crypto.subtle.digest("SHA-256", await response.arrayBuffer());
    return { url, status: response.status, digest: hex(digest) };
  } catch (error) {
    return { url, error: error.name };
  }
}

async function tell({ type, registration }) {
  const { id, failureReason, downloaded } = registration;
  const files = await Promise.all((await registration.matchAll()).map(file));
  // Awaited, because a line on the console could be lost in a kill after the event has ended.
  const body = JSON.stringify({ id, type, failureReason, downloaded, files });
  await fetch("/told", { method: "POST", body });
}

for (const end of ["success", "fail", "abort"]) {
  addEventListener(`backgroundfetch${end}`, (event) => event.waitUntil(tell(event)));
}
