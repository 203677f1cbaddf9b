// Reads a large body slowly while it arrives, and says how much memory that took.
import { openEngine } from "@bgfetch/bgfetch";

const [directory, url] = process.argv.slice(2);
const engine = await openEngine({ directory, durability: "process" });
const { backgroundFetch } = await engine.register("https://app.example/");
const idle = process.memoryUsage().rss;
const fetch = await backgroundFetch.fetch("a", url);
const { body } = await (await fetch.match(url)).responseReady;
let length = 0;
let highest = idle;
let reads = 0;
for await (const chunk of body) {
  length += chunk.length;
  if (++reads % 16 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  highest = Math.max(highest, process.memoryUsage().rss);
}
console.log(JSON.stringify({ length, grown: highest - idle }));
await engine.close();
