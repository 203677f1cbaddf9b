// The service worker: reads the server's answers.
"use strict";

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));

addEventListener("backgroundfetchsuccess", (event) => {
  const read = async () => {
    for (const record of await event.registration.matchAll()) {
      const { received } = await (await record.responseReady).json();
      console.log(`${new URL(record.request.url).pathname}: the server has ${received} bytes`);
    }
    await event.updateUI({ title: "Your photos are uploaded" });
  };
  event.waitUntil(read());
});

addEventListener("backgroundfetchfail", (event) => {
  console.error(`${event.type}: ${event.registration.failureReason}`);
  event.waitUntil(event.updateUI({ title: "Some photos were not uploaded" }));
});
