// The service worker: keeps what was downloaded, whether or not a page is open.
"use strict";

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));

async function tellPages(text) {
  console.log(text);
  for (const client of await clients.matchAll({ type: "window" })) client.postMessage(text);
}

addEventListener("backgroundfetchsuccess", (event) => {
  const keep = async () => {
    const cache = await caches.open("episodes");
    const records = await event.registration.matchAll();
    await Promise.all(
      records.map(async (record) => cache.put(record.request, await record.responseReady)),
    );
    await event.updateUI({ title: "Episode 5 is ready to listen." });
    await tellPages(`${event.type}: kept ${records.length} files of ${event.registration.id}.`);
  };
  event.waitUntil(keep());
});

addEventListener("backgroundfetchfail", (event) => {
  const tell = async () => {
    await event.updateUI({ title: "Episode 5 could not be downloaded." });
    for (const record of await event.registration.matchAll()) {
      const response = await record.responseReady.catch((error) => error);
      console.warn(`${record.request.url}: ${response.status ?? response}`);
    }
    await tellPages(`${event.type}: ${event.registration.failureReason}.`);
  };
  event.waitUntil(tell());
});

addEventListener("backgroundfetchabort", (event) => {
  event.waitUntil(tellPages(`${event.type}: the download was cancelled.`));
});

addEventListener("backgroundfetchclick", (event) => {
  const show = async () => {
    const [page] = await clients.matchAll({ type: "window" });
    await (page ? page.focus() : clients.openWindow("/"));
    await tellPages(`${event.type}: here it is.`);
  };
  event.waitUntil(show());
});
