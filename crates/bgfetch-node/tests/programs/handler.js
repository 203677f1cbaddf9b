// Downloads, and handles the event: says `event BYTES`, and then hangs or ends.
import { openEngine } from "@bgfetch/bgfetch";

const [directory, url, how] = process.argv.slice(2);
const engine = await openEngine({ directory });
const registration = await engine.register("https://app.example/");
const handled = new Promise((resolve) => {
  registration.addEventListener("backgroundfetchsuccess", (event) => {
    const run = async () => {
      const [record] = await event.registration.matchAll();
      const bytes = await (await record.responseReady).arrayBuffer();
      console.log(`event ${bytes.byteLength}`);
      if (how === "hang") await new Promise(() => {});
    };
    event.waitUntil(run().then(resolve));
  });
});
engine.ref();
if ((await engine.jobs()).length === 0) await registration.backgroundFetch.fetch("a", url);
await registration.start();
await handled;
await engine.close();
