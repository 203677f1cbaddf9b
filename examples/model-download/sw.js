// The service worker: stores the parts once all have arrived.
"use strict";

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));

addEventListener("backgroundfetchsuccess", (event) => {
  const keep = async () => {
    const cache = await caches.open("model");
    for (const record of await event.registration.matchAll()) {
      await cache.put(record.request, await record.responseReady);
    }
    await event.updateUI({ title: "The model is ready" });
    console.log(`${event.type}: ${event.registration.downloaded} bytes`);
  };
  event.waitUntil(keep());
});

addEventListener("backgroundfetchfail", (event) => {
  console.error(`${event.type}: ${event.registration.failureReason}`);
  event.waitUntil(event.updateUI({ title: "The model could not be downloaded" }));
});
