// Tells every page of the background fetch events that it gets, and of what it found in them. The
// query says what else a handler does, so that a worker that was stopped does the same again.
"use strict";

importScripts("../resources/bytes.js");

const behaviour = new URL(location).searchParams.get("behaviour");

/** What the tests want to know of a record. */
async function describe(record) {
  const { url, method } = record.request;
  try {
    const response = await record.responseReady;
    const { status, statusText, type, headers } = response;
    const bytes = new Uint8Array(await response.arrayBuffer());
    return {
      url,
      method,
      status,
      statusText,
      type,
      headers: Object.fromEntries(headers),
      size: bytes.length,
      seed: seedOf(bytes),
      text: bytes.length < 1000 ? new TextDecoder().decode(bytes) : null,
    };
  } catch (error) {
    return { url, method, error: error.name };
  }
}

async function send(message) {
  const { scope } = registration;
  const pages = await clients.matchAll({ includeUncontrolled: true });
  for (const page of pages) page.postMessage({ scope, ...message });
}

async function report(event, more = {}) {
  const { id, result, failureReason, recordsAvailable, downloaded, uploaded } = event.registration;
  // At a click they may be under way, or gone.
  const records = event.type === "backgroundfetchclick" ? [] : await event.registration.matchAll();
  await send({
    type: event.type,
    name: event.constructor.name,
    canUpdateUI: "updateUI" in event,
    id,
    result,
    failureReason,
    recordsAvailable,
    downloaded,
    uploaded,
    records: await Promise.all(records.map(describe)),
    ...more,
  });
}

/** Settles with a message of the page. */
let goOn = null;
const toldToGoOn = new Promise((resolve) => {
  goOn = resolve;
});

async function nameOfRejection(promise) {
  try {
    await promise;
    return "none";
  } catch (error) {
    return error.name;
  }
}

const behaviours = {
  report,

  /** Ends when the page says so. */
  async wait(event) {
    await report(event);
    await toldToGoOn;
  },

  async reject(event) {
    await report(event);
    throw new Error("the handler's promise rejects");
  },

  /** Changes the UI, and again. */
  async update(event) {
    if (!("updateUI" in event)) return await report(event);
    const icons = [{ src: "/icon.png", sizes: "64x64", type: "image/png", label: "An icon" }];
    const first = await nameOfRejection(event.updateUI({ title: "Changed", icons }));
    const second = await nameOfRejection(event.updateUI({ title: "Changed again" }));
    await report(event, { first, second });
  },

  async updateNothing(event) {
    if ("updateUI" in event) {
      await report(event, { first: await nameOfRejection(event.updateUI()) });
    }
  },

  /** Puts each record into a cache that is named by the fetch's id. */
  async cache(event) {
    const cache = await caches.open(event.registration.id);
    for (const record of await event.registration.matchAll()) {
      await cache.put(record.request, await record.responseReady);
    }
    await send({ type: event.type, id: event.registration.id });
  },

  /** Keeps what can be had in the event, for when it is over. */
  async keep(event) {
    const { registration } = event;
    const { id } = registration;
    const [record] = await registration.matchAll();
    const response = await record.responseReady;
    await report(event);
    kept.set(id, { event, registration, response });
  },
};

/** What `keep` kept. */
const kept = new Map();

for (const type of ["success", "fail", "abort", "click"]) {
  addEventListener(`backgroundfetch${type}`, (event) => {
    event.waitUntil(behaviours[behaviour](event));
  });
}

/** What pages may ask for. */
const questions = {
  goOn: () => goOn(),

  say: async (message) => await send(message),

  fetch: async ({ id, requests, options }) => {
    const found = await registration.backgroundFetch.fetch(id, requests, options);
    return found.id;
  },

  /** What of an event is left when it is over. */
  kept: async ({ id }) => {
    const { event, registration, response } = kept.get(id);
    return {
      recordsAvailable: registration.recordsAvailable,
      updateUI: await nameOfRejection(event.updateUI({ title: "Late" })),
      match: await nameOfRejection(registration.match("/")),
      matchAll: await nameOfRejection(registration.matchAll()),
      size: (await response.arrayBuffer()).byteLength,
    };
  },

  untrusted: async ({ id }) => {
    const fetch = await registration.backgroundFetch.get(id);
    const event = new BackgroundFetchUpdateUIEvent("backgroundfetchsuccess", { registration: fetch });
    return await nameOfRejection(event.updateUI({ title: "Untrusted" }));
  },
};

addEventListener("message", (event) => {
  const { question, answer, ...rest } = event.data;
  const work = async () => {
    try {
      await send({ id: answer, type: "answer", value: await questions[question](rest) });
    } catch (error) {
      const { name, message } = error;
      await send({ id: answer, type: "answer", error: { name, message } });
    }
  };
  event.waitUntil(work());
});
