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
  const records = await event.registration.matchAll();
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

  /** Reports a click as an event of its own name, without records: they may be gone. */
  async clicked(event) {
    if (event.type !== "backgroundfetchclick") return await report(event);
    const { id, result, recordsAvailable } = event.registration;
    await send({ type: "clicked", id, result, recordsAvailable });
  },

  /** Ends when the page says so. */
  async wait(event) {
    await report(event);
    await toldToGoOn;
  },

  async reject(event) {
    await report(event);
    throw new Error("the handler's promise rejects");
  },

  /** Changes the UI in the event, again, and when it is over. */
  async update(event) {
    if (!("updateUI" in event)) return await report(event);
    const icons = [{ src: "/icon.png", sizes: "64x64", type: "image/png", label: "An icon" }];
    const first = await nameOfRejection(event.updateUI({ title: "Changed", icons }));
    const second = await nameOfRejection(event.updateUI({ title: "Changed again" }));
    const { id } = event.registration;
    // Behind the event's end.
    setTimeout(async () => {
      await send({ id, type: "late", late: await nameOfRejection(event.updateUI({ title: "Late" })) });
    });
    await report(event, { first, second });
  },

  async updateNothing(event) {
    if ("updateUI" in event) {
      await report(event, { first: await nameOfRejection(event.updateUI()) });
    }
  },

  /** Reads a record's body and matches again when the event is over. */
  async keep(event) {
    const { registration } = event;
    const { id } = registration;
    const [record] = await registration.matchAll();
    const response = await record.responseReady;
    await report(event);
    kept.set(id, { registration, record, response });
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
    const { registration, response } = kept.get(id);
    return {
      recordsAvailable: registration.recordsAvailable,
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
