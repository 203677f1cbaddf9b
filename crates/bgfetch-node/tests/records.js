// Records: matching, responses, exports.
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BackgroundFetchRecord } from "@bgfetch/bgfetch";
import { assert, folder, rejects, test } from "./harness.js";
import { bytesOf, startServer } from "./server.js";
import { onlyResponse, settled, world } from "./world.js";

test("match() finds a record by URL, and undefined for others", async (after) => {
  const { manager, server } = await world(after);
  const fetch = await manager.fetch("a", [server.url("/a"), server.url("/b?x=1")]);
  assert.equal((await fetch.match(server.url("/a"))).request.url, server.url("/a"));
  assert.equal(await fetch.match(server.url("/c")), undefined);
  assert.equal(await fetch.match(server.url("/b")), undefined);
  const found = await fetch.match(server.url("/b"), { ignoreSearch: true });
  assert.equal(found.request.url, server.url("/b?x=1"));
});

test("matchAll() returns all records, or those that match, in order", async (after) => {
  const { manager, server } = await world(after);
  const urls = ["/b", "/a", "/b"].map(server.url);
  const fetch = await manager.fetch("a", urls);
  assert.deepEqual((await fetch.matchAll()).map(({ request }) => request.url), urls);
  assert.equal((await fetch.matchAll(server.url("/b"))).length, 2);
});

test("Methods must match, unless they are ignored", async (after) => {
  const { manager, server } = await world(after);
  const fetch = await manager.fetch("a", new Request(server.url("/a"), { method: "POST", body: "x" }));
  assert.equal(await fetch.match(server.url("/a")), undefined);
  const found = await fetch.match(server.url("/a"), { ignoreMethod: true });
  assert.equal(found.request.method, "POST");
});

test("A record is a BackgroundFetchRecord with one request and one promise", async (after) => {
  const { manager, server } = await world(after);
  server.serve("/a", new Uint8Array(1));
  const [record] = await (await manager.fetch("a", server.url("/a"))).matchAll();
  assert.ok(record instanceof BackgroundFetchRecord);
  assert.ok(record.request instanceof Request);
  assert.equal(record.request, record.request);
  assert.equal(record.responseReady, record.responseReady);
  assert.ok(await record.responseReady instanceof Response);
});

test("The response has the status, the headers, the URL and the type that came", async (after) => {
  const { manager, server } = await world(after);
  server.serve("/from", (_, response) => response.writeHead(302, { location: "/to#part" }).end());
  server.serve("/to", (_, response) => response.writeHead(201, "Made", { "x-a": "b" }).end("body"));
  const { response } = await onlyResponse(await manager.fetch("a", server.url("/from")));
  assert.equal(response.status, 201);
  assert.equal(response.ok, true);
  assert.equal(response.headers.get("x-a"), "b");
  assert.equal(response.url, server.url("/to"));
  assert.equal(response.redirected, true);
  assert.equal(await response.text(), "body");
});

test("A status that is not ok fails the fetch, and its response can be read", async (after) => {
  const { manager, server } = await world(after);
  server.serve("/a", (_, response) => response.writeHead(404).end("missing"));
  const fetch = await manager.fetch("a", server.url("/a"));
  const { response } = await onlyResponse(fetch);
  assert.equal(response.status, 404);
  assert.equal(response.ok, false);
  assert.equal((await settled(fetch)).failureReason, "bad-status");
});

test("A response without a body has none", async (after) => {
  const { manager, server } = await world(after);
  server.serve("/a", (_, response) => response.writeHead(204).end());
  const { response } = await onlyResponse(await manager.fetch("a", server.url("/a")));
  assert.equal(response.status, 204);
  assert.equal(response.body, null);
});

test("A redirect that is not followed is a response with its type", async (after) => {
  const { manager, server } = await world(after);
  server.serve("/a", (_, response) => response.writeHead(302, { location: "/b" }).end());
  const request = new Request(server.url("/a"), { redirect: "manual" });
  const fetch = await manager.fetch("a", request);
  await settled(fetch);
  const { response } = await onlyResponse(fetch);
  assert.equal(response.type, "opaqueredirect");
});

test("A server that cannot be reached makes responseReady a TypeError", async (after) => {
  const { manager } = await world(after);
  const fetch = await manager.fetch("a", await urlOfNobody());
  const [record] = await fetch.matchAll();
  await rejects(record.responseReady, "TypeError");
  assert.equal((await settled(fetch)).failureReason, "fetch-error");
});

/** The URL of a server that has ended. */
async function urlOfNobody() {
  let end;
  const server = await startServer((cleanup) => end = cleanup);
  await end();
  return server.url("/");
}

test("An abort makes responseReady an AbortError", async (after) => {
  const { manager, server } = await world(after);
  const fetch = await manager.fetch("a", server.url("/a"));
  const [record] = await fetch.matchAll();
  const ready = rejects(record.responseReady, "AbortError");
  await server.take("/a");
  assert.equal(await fetch.abort(), true);
  await ready;
  assert.equal((await settled(fetch)).failureReason, "aborted");
  assert.equal(await fetch.abort(), false);
});

test("More bytes than downloadTotal fail the fetch", async (after) => {
  const { manager, server } = await world(after);
  const url = server.serve("/a", new Uint8Array(100));
  const fetch = await settled(await manager.fetch("a", url, { downloadTotal: 50 }));
  assert.equal(fetch.failureReason, "download-total-exceeded");
});

test("Integrity metadata is verified", async (after) => {
  const { manager, server } = await world(after);
  const url = server.serve("/a", new TextEncoder().encode("hello"));
  const right = "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
  const good = new Request(url, { integrity: right });
  if (good.integrity !== right) return; // Bun's requests have none.
  assert.equal((await settled(await manager.fetch("a", good))).result, "success");
  const bad = new Request(url, { integrity: right.replace("L", "M") });
  assert.equal((await settled(await manager.fetch("b", bad))).failureReason, "fetch-error");
});

test("A body is exported by a link: no byte is copied", async (after) => {
  const directory = folder(after);
  const { manager, server } = await world(after, { directory: join(directory, "store") });
  const bytes = bytesOf(100_000);
  const fetch = await manager.fetch("a", server.serve("/a", bytes));
  await settled(fetch);
  const [record] = await fetch.matchAll();
  const path = join(directory, "file");
  await record.exportTo(path, { link: true });
  const stored = readdirSync(join(directory, "store"), { recursive: true })
    .map((name) => statSync(join(directory, "store", name)).ino);
  assert.ok(stored.includes(statSync(path).ino), "the file is one of the store's");
  assert.ok(readFileSync(path).equals(bytes));
});

test("A body is exported as a copy by default", async (after) => {
  const directory = folder(after);
  const { manager, server } = await world(after, { directory: join(directory, "store") });
  const fetch = await settled(await manager.fetch("a", server.serve("/a", bytesOf(1000))));
  const [record] = await fetch.matchAll();
  await record.exportTo(join(directory, "file"));
  assert.equal(statSync(join(directory, "file")).nlink, 1);
});

test("An export that was made before is not an error", async (after) => {
  const directory = folder(after);
  const { manager, server } = await world(after, { directory: join(directory, "store") });
  const fetch = await settled(await manager.fetch("a", server.serve("/a", bytesOf(1000))));
  const [record] = await fetch.matchAll();
  for (const link of [true, true, false]) await record.exportTo(join(directory, "file"), { link });
  assert.equal(statSync(join(directory, "file")).size, 1000);
});

test("An export replaces no file, and needs a body that is complete", async (after) => {
  const directory = folder(after);
  const { manager, server } = await world(after, { directory: join(directory, "store") });
  const done = await settled(await manager.fetch("a", server.serve("/a", bytesOf(10))));
  const [record] = await done.matchAll();
  writeFileSync(join(directory, "file"), "mine");
  await assert.rejects(record.exportTo(join(directory, "file")));
  assert.equal(readFileSync(join(directory, "file"), "utf8"), "mine");
  const [active] = await (await manager.fetch("b", server.url("/b"))).matchAll();
  await assert.rejects(active.exportTo(join(directory, "other")));
  assert.equal(existsSync(join(directory, "other")), false);
});
