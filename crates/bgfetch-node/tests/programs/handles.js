// Uses an engine, closes it, and says how many handles there are then.
import { openEngine } from "@bgfetch/bgfetch";
import { count } from "./count.js";

const [url, never] = process.argv.slice(2);
const engine = await openEngine({ ephemeral: true });
engine.ref();
const registration = await engine.register("https://app.example/");
const event = new Promise((resolve) => {
  registration.addEventListener("backgroundfetchsuccess", (event) => {
    event.waitUntil(Promise.resolve());
    resolve();
  });
});
await registration.start();
const upload = new Request(url, { method: "POST", body: "text" });
await registration.backgroundFetch.fetch("a", [url, upload]);
await event;
await registration.backgroundFetch.fetch("b", never);
await registration.backgroundFetch.get("b");
await engine.close();
console.log(`${count()}`);
