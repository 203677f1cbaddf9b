// Downloads a file, reads it while it arrives, and says how many seconds that took: see `make hosts`.
import { openEngine } from "@bgfetch/bgfetch";

const [directory, url] = process.argv.slice(2);
const engine = await openEngine({ directory });
const { backgroundFetch } = await engine.register("https://app.example/");
const started = performance.now();
const fetch = await backgroundFetch.fetch("file", url);
const { body } = await (await fetch.match(url)).responseReady;
let length = 0;
for await (const chunk of body) length += chunk.length;
console.log((performance.now() - started) / 1000);
await engine.close();
if (length !== 1 << 30) throw new Error(`${length} bytes`);
