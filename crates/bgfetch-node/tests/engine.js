// Engines: options, errors, their end.
import { Engine, openEngine, Registration } from "@bgfetch/bgfetch";
import { assert, folder, rejects, test } from "./harness.js";
import { onlyResponse, SCOPE, settled, world } from "./world.js";

test("An engine needs a directory, or to be ephemeral", async () => {
  await rejects(openEngine(), "no-store");
});

test("An unknown option is an error", async () => {
  await rejects(openEngine({ ephemeral: true, colour: "red" }), "invalid-argument");
});

test("A store has one engine at a time, and another one after it", async (after) => {
  const directory = folder(after);
  const engine = await openEngine({ directory });
  await rejects(openEngine({ directory }), "store-in-use");
  await engine.close();
  await (await openEngine({ directory })).close();
});

test("An engine says when it is closed, which may be asked for twice", async () => {
  const engine = await openEngine({ ephemeral: true });
  await Promise.all([engine.close(), engine.close(), engine.closed]);
});

test("Calls to a closed engine are rejected", async (after) => {
  const { engine, manager, registration } = await world(after);
  await engine.close();
  await rejects(engine.jobs(), "closed");
  await rejects(manager.fetch("a", "https://a.example/"), "AbortError");
  await rejects(registration.start(), "closed");
});

test("An engine can be disposed of asynchronously", async () => {
  const engine = await openEngine({ ephemeral: true });
  await engine[Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose")]();
  await engine.closed;
});

test("Engines and registrations are not made by constructors", () => {
  assert.throws(() => new Engine(), TypeError);
  assert.throws(() => new Registration(), TypeError);
});

test("A scope must be a URL", async (after) => {
  const { engine } = await world(after);
  await rejects(engine.register("models"), "TypeError");
});

test("Two engines in a process do not mix their fetches up", async (after) => {
  const [one, two] = await Promise.all([world(after), world(after)]);
  one.server.serve("/a", new Uint8Array(1));
  two.server.serve("/a", new Uint8Array(2));
  const [first, second] = await Promise.all([
    one.manager.fetch("same", one.server.url("/a")),
    two.manager.fetch("same", two.server.url("/a")),
  ]);
  assert.notEqual(first, second);
  const lengths = await Promise.all([first, second].map(async (fetch) => {
    const { response } = await onlyResponse(fetch);
    return (await response.arrayBuffer()).byteLength;
  }));
  assert.deepEqual(lengths, [1, 2]);
  await one.engine.close();
  assert.equal(await two.manager.get("other"), undefined);
});

test("Headers of the options are added to all requests that lack them", async (after) => {
  const { manager, server } = await world(after, { headers: { "x-a": "1", "x-b": "2" }, userAgent: "test/1" });
  const url = server.serve("/a", new Uint8Array(1));
  await settled(await manager.fetch("a", new Request(url, { headers: { "x-a": "own" } })));
  const { headers } = server.requests[0];
  assert.equal(headers["x-a"], "own");
  assert.equal(headers["x-b"], "2");
  assert.equal(headers["user-agent"], "test/1");
});

test("Fetches are kept by their directory", async (after) => {
  const directory = folder(after);
  const first = await world(after, { directory });
  const url = first.server.serve("/a", new Uint8Array(7));
  await settled(await first.manager.fetch("a", url));
  await first.engine.close();
  const second = await world(after, { directory });
  const fetch = await second.manager.get("a");
  assert.equal(fetch, undefined, "a fetch that has finished is not active");
  const [job] = await second.engine.jobs();
  assert.equal(job.id, "a");
  assert.equal(job.scope, SCOPE);
  assert.equal(job.downloaded, 7);
});

test("A registration that is unregistered loses its fetches", async (after) => {
  const { engine, manager, registration, server } = await world(after);
  await manager.fetch("a", server.url("/a"));
  await registration.unregister();
  assert.deepEqual(await engine.jobs(), []);
});

test("Data of a storage key can be cleared", async (after) => {
  const { engine, manager, server } = await world(after);
  await manager.fetch("a", server.url("/a"));
  await engine.clear(new URL(SCOPE).origin);
  assert.deepEqual(await engine.jobs(), []);
});

test("Another registration has fetches of its own", async (after) => {
  const { engine, manager, server } = await world(after);
  await manager.fetch("a", server.url("/a"));
  const other = await engine.register("https://app.example/other/");
  assert.equal(await other.backgroundFetch.get("a"), undefined);
  assert.deepEqual(await manager.getIds(), ["a"]);
});
