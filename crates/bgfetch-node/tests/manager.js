// The interface BackgroundFetchManager.
import { assert, rejects, test } from "./harness.js";
import { settled, world } from "./world.js";

test("A fetch has the attributes that it was made with", async (after) => {
  const { manager, server } = await world(after);
  const fetch = await manager.fetch("a", server.url("/a"), { title: "A film", downloadTotal: 100 });
  assert.equal(fetch.id, "a");
  assert.equal(fetch.downloadTotal, 100);
  assert.equal(fetch.uploadTotal, 0);
  assert.equal(fetch.downloaded, 0);
  assert.equal(fetch.result, "");
  assert.equal(fetch.failureReason, "");
  assert.equal(fetch.recordsAvailable, true);
});

const REFUSED = {
  "an empty id": ["", "https://a.example/"],
  "no requests": ["a", []],
  "a URL that is not valid": ["a", "no URL"],
  "a URL with credentials": ["a", "https://user:password@a.example/"],
  "a blocked port": ["a", "https://a.example:25/"],
  "too few arguments": ["a"],
  "a title that cannot be converted": ["a", "https://a.example/", { title: Symbol() }],
};
for (const [what, given] of Object.entries(REFUSED)) {
  test(`fetch() with ${what} is a TypeError`, async (after) => {
    const { manager } = await world(after);
    await rejects(manager.fetch(...given), "TypeError");
  });
}

test("An id in use is a TypeError, and only one of five calls succeeds", async (after) => {
  const { manager, server } = await world(after);
  const calls = [1, 2, 3, 4, 5].map(() => manager.fetch("a", server.url("/a")));
  const results = await Promise.allSettled(calls);
  const failed = results.filter(({ status }) => status === "rejected");
  assert.equal(failed.length, 4);
  assert.ok(failed.every(({ reason }) => reason instanceof TypeError));
});

test("get() returns the same object for the same fetch, and undefined for others", async (after) => {
  const { manager, server } = await world(after);
  const fetch = await manager.fetch("a", server.url("/a"));
  assert.equal(await manager.get("a"), fetch);
  assert.equal(await manager.get("b"), undefined);
  await rejects(manager.get(""), "TypeError");
});

test("getIds() returns the ids of active fetches", async (after) => {
  const { manager, server } = await world(after);
  for (const id of ["a", "b"]) await manager.fetch(id, server.url("/a"));
  assert.deepEqual((await manager.getIds()).sort(), ["a", "b"]);
});

test("An id may have lone surrogates", async (after) => {
  const { manager, server } = await world(after);
  const id = "a\ud800b\uffff";
  const fetch = await manager.fetch(id, server.url("/a"));
  assert.equal(fetch.id, id);
  assert.deepEqual(await manager.getIds(), [id]);
  assert.equal(await manager.get(id), fetch);
});

test("Requests may come from any iterable", async (after) => {
  const { manager, server } = await world(after);
  const fetch = await manager.fetch("a", new Set([server.url("/a"), new Request(server.url("/b"))]));
  const records = await fetch.matchAll();
  assert.deepEqual(records.map(({ request }) => request.url), [server.url("/a"), server.url("/b")]);
});

test("A Request is sent with its method and headers", async (after) => {
  const { manager, server } = await world(after);
  const url = server.serve("/a", new Uint8Array(1));
  await settled(await manager.fetch("a", new Request(url, { method: "DELETE", headers: { "x-a": "b" } })));
  const [{ method, headers }] = server.requests;
  assert.equal(method, "DELETE");
  assert.equal(headers["x-a"], "b");
});

test("The request starts only after the reactions to the promise have run", async (after) => {
  const { manager, server } = await world(after);
  server.serve("/a", new Uint8Array(1));
  const fetch = await manager.fetch("a", server.url("/a"));
  await null;
  assert.equal(server.requests.length, 0);
  assert.equal((await fetch.matchAll()).length, 1);
});

test("The reactions to an answer run before the next answer comes", async (after) => {
  const { manager } = await world(after);
  const order = [];
  await Promise.all(Array.from({ length: 100 }, async (_, call) => {
    await manager.getIds();
    order.push(call);
    for (let i = 0; i < 10; i++) await null;
    order.push(call);
  }));
  for (let i = 0; i < order.length; i += 2) assert.equal(order[i], order[i + 1]);
});

test("A permission that is denied is a NotAllowedError", async (after) => {
  const { manager, server } = await world(after, { permission: "denied" });
  await rejects(manager.fetch("a", server.url("/a")), "NotAllowedError");
});

test("A function is asked for the permission, and told what for", async (after) => {
  let asked = null;
  const permission = async (request) => {
    asked = request;
    return "granted";
  };
  const { manager, server } = await world(after, { permission });
  await manager.fetch("a", server.url("/a"), { title: "A", downloadTotal: 5 });
  assert.equal(asked.id, "a");
  assert.equal(asked.title, "A");
  assert.equal(asked.downloadTotal, 5);
  assert.deepEqual(asked.urls, [server.url("/a")]);
});

test("A permission whose function fails is denied", async (after) => {
  const permission = () => Promise.reject(new Error("on purpose"));
  const { manager, server } = await world(after, { permission });
  await rejects(manager.fetch("a", server.url("/a")), "NotAllowedError");
});

test("A download total over the quota is a QuotaExceededError", async (after) => {
  const { manager, server } = await world(after, { quota: 1_000_000 });
  const promise = manager.fetch("a", server.url("/a"), { downloadTotal: 2_000_000 });
  await rejects(promise, "QuotaExceededError");
});

test("A function is asked for the quota of a storage key", async (after) => {
  const asked = [];
  const quota = (storageKey) => {
    asked.push(storageKey);
    return 1_000_000;
  };
  const { manager, server } = await world(after, { quota });
  const promise = manager.fetch("a", server.url("/a"), { downloadTotal: 2_000_000 });
  await rejects(promise, "QuotaExceededError");
  assert.ok(asked.includes("https://app.example"));
});

test("CORS applies to a page, but not to the program", async (after) => {
  const { engine, manager, server } = await world(after, { localNetwork: "granted" });
  const url = server.serve("/a", new Uint8Array(1));
  assert.equal((await settled(await manager.fetch("a", url))).result, "success");
  const page = await engine.register("https://app.example/page/", { principal: "page" });
  const fetch = await settled(await page.backgroundFetch.fetch("a", url));
  assert.equal(fetch.failureReason, "fetch-error");
});
