// A worker thread that downloads.
import { parentPort, workerData } from "node:worker_threads";
import { openEngine } from "@bgfetch/bgfetch";

const engine = await openEngine({ ephemeral: true });
const { backgroundFetch } = await engine.register("https://worker.example/");
const fetch = await backgroundFetch.fetch("a", workerData.url);
const [record] = await fetch.matchAll();
const bytes = await (await record.responseReady).arrayBuffer();
await engine.close();
parentPort.postMessage(bytes.byteLength);
