// Starts a download, or continues it; says `progress`, then `event BYTES`. With `look`, it only looks
// for an event, and says `nothing` if there is none.
import { openEngine } from "@bgfetch/bgfetch";

const [directory, url, how] = process.argv.slice(2);
const engine = await openEngine({ directory, progressInterval: 1, retryDelay: 10 });
const registration = await engine.register("https://app.example/");
const manager = registration.backgroundFetch;
const event = new Promise((resolve) => {
  registration.addEventListener("backgroundfetchsuccess", (event) => {
    const run = async () => {
      const [record] = await event.registration.matchAll();
      const bytes = await (await record.responseReady).arrayBuffer();
      console.log(`event ${bytes.byteLength}`);
    };
    event.waitUntil(run().then(resolve));
  });
});
await registration.start();
if (how === "look") {
  await engine.jobs();
  console.log("nothing");
} else {
  engine.ref();
  const isNew = (await engine.jobs()).length === 0;
  const fetch = isNew ? await manager.fetch("a", url) : await manager.get("a");
  fetch?.addEventListener("progress", () => console.log("progress"));
  await event;
}
await engine.close();
