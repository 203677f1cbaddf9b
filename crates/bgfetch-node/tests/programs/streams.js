// Ends streams in all ways, and waits until each has freed its handle.
import { openEngine } from "@bgfetch/bgfetch";
import { count } from "./count.js";

const [whole, cut] = process.argv.slice(2);
const engine = await openEngine({ ephemeral: true });
engine.ref();
const { backgroundFetch } = await engine.register("https://app.example/");

/** The response to a request in a fetch of its own. */
async function respond(id, url) {
  const fetch = await backgroundFetch.fetch(id, url);
  const [record] = await fetch.matchAll();
  return { fetch, response: await record.responseReady };
}

async function freed(name, end) {
  const before = count();
  await end().catch(() => {});
  // The collector may free others meanwhile.
  while (count() >= before) await new Promise((resolve) => setImmediate(resolve));
  console.log(name);
}

const { response: read } = await respond("read", whole);
await freed("read", () => read.arrayBuffer());
const { response: cancelled } = await respond("cancelled", whole);
await freed("cancelled", () => cancelled.body.cancel());
const { fetch, response: aborted } = await respond("aborted", cut);
await freed("aborted", () => Promise.all([aborted.text(), fetch.abort()]));
const upload = await backgroundFetch.fetch("upload", new Request(cut, { method: "PUT", body: "text" }));
const [{ request }] = await upload.matchAll();
await freed("uploaded", () => request.text());
await engine.close();
