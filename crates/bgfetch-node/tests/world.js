// An engine, a registration and a server, for one case.
import { openEngine } from "@bgfetch/bgfetch";
import { until } from "./harness.js";
import { startServer } from "./server.js";

const SCOPE = "https://app.example/models/";

/** What most cases need. `options` are those of the engine, which leaves nothing behind by default. */
async function world(after, options = {}) {
  const server = await startServer(after);
  const engine = await openEngine({ ephemeral: !options.directory, retryDelay: 10, ...options });
  after(() => engine.close().catch(() => {}));
  const registration = await engine.register(SCOPE);
  return { engine, manager: registration.backgroundFetch, registration, server };
}

/** The record and the response of a fetch with one request. */
async function onlyResponse(fetch) {
  const [record] = await fetch.matchAll();
  return { record, response: await record.responseReady };
}

/** Resolves when the fetch has a result. */
async function settled(fetch) {
  await until(() => fetch.result !== "");
  return fetch;
}

export { onlyResponse, SCOPE, settled, world };
