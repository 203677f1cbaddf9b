// A worker that uses the interfaces of its events while all its globals are watched, and tells the page
// what was looked up.
"use strict";

importScripts("../resources/globals.js");

const { own, take } = globalsWatch;
const { skipWaiting } = globalThis;

self.oninstall = () => skipWaiting();

async function use(event) {
  const { registration } = event;
  registration.id;
  registration.result;
  const records = await own(take(registration.matchAll()));
  for (let i = 0; i < records.length; i++) {
    const { request } = records[i];
    request.url;
    try {
      await own(take(records[i].responseReady));
    } catch {
      // It was aborted.
    }
  }
  if ("updateUI" in event) {
    await own(event.updateUI({ __proto__: null, title: "Done", icons: undefined }));
  }
  const init = {
    __proto__: null,
    registration,
    bubbles: undefined,
    cancelable: undefined,
    composed: undefined,
  };
  new BackgroundFetchUpdateUIEvent("backgroundfetchsuccess", init);
  await own(take(self.registration.backgroundFetch.getIds()));
}

for (const type of ["success", "fail", "abort", "click"]) {
  self[`onbackgroundfetch${type}`] = (event) => event.waitUntil(own(useAll(event)));
}

/** Resolves when an event was fired and handled. */
let finish = null;
const finished = own(
  new Promise((resolve) => {
    finish = resolve;
  }),
);

async function useAll(event) {
  await own(use(event));
  finish();
}

self.onmessage = async (event) => {
  const { data, source } = event;
  if (data === "watch") globalsWatch.start();
  if (data === "stop") await finished;
  const found = data === "stop" ? globalsWatch.stop() : [];
  source.postMessage(found, { __proto__: null, transfer: undefined });
};
