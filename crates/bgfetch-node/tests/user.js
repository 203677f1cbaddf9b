// What a user interface needs: jobs, pause, resume, abort, the network switch.
import { assert, rejects, test, until } from "./harness.js";
import { bytesOf } from "./server.js";
import { settled, SCOPE, world } from "./world.js";

test("jobs() lists the fetches with what a user sees", async (after) => {
  const { engine, manager, server } = await world(after);
  const icons = [{ src: "https://a.example/icon.png", sizes: "16x16" }];
  await manager.fetch("a", server.url("/a"), { title: "A film", downloadTotal: 9, icons });
  const [job] = await engine.jobs();
  assert.equal(job.id, "a");
  assert.equal(job.scope, SCOPE);
  assert.equal(job.title, "A film");
  assert.equal(job.downloadTotal, 9);
  assert.equal(job.icons[0].src, icons[0].src);
  assert.equal(job.records[0].url, server.url("/a"));
});

test("A fetch is paused and resumed, and continues by Range", async (after) => {
  const { engine, manager, server } = await world(after);
  const bytes = bytesOf(100_000);
  const fetch = await manager.fetch("a", server.url("/a"));
  const first = await server.take("/a");
  first.response.writeHead(200, { "content-length": bytes.length, etag: '"one"' });
  first.response.write(bytes.subarray(0, 50_000));
  const closed = new Promise((resolve) => first.response.on("close", resolve));
  await until(() => fetch.downloaded > 0);
  const [job] = await engine.jobs();
  await engine.pause(job);
  await closed;
  assert.ok((await engine.jobs())[0].pauseReason !== null);
  await engine.resume(job);
  const second = await server.take("/a");
  const from = Number(/^bytes=(\d+)-/.exec(second.request.headers.range)[1]);
  second.response.writeHead(206, {
    "content-length": bytes.length - from,
    "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}`,
    "etag": '"one"',
  });
  second.response.end(bytes.subarray(from));
  assert.equal((await settled(fetch)).result, "success");
  assert.equal(fetch.downloaded, bytes.length);
  assert.ok(from > 0);
});

test("A fetch with an upload cannot be paused", async (after) => {
  const { engine, manager, server } = await world(after);
  await manager.fetch("a", new Request(server.url("/a"), { method: "POST", body: "x" }));
  await rejects(engine.pause((await engine.jobs())[0]), "not-pausable");
});

test("A user's abort is told as one", async (after) => {
  const { engine, manager, server } = await world(after);
  const fetch = await manager.fetch("a", server.url("/a"));
  assert.equal(await engine.abort((await engine.jobs())[0]), true);
  assert.equal((await settled(fetch)).failureReason, "aborted");
});

test("A fetch that was permitted to start paused waits for resume()", async (after) => {
  const { engine, manager, server } = await world(after, { permission: "start-paused" });
  const fetch = await manager.fetch("a", server.serve("/a", new Uint8Array(1)));
  assert.equal(server.requests.length, 0);
  await engine.resume((await engine.jobs())[0]);
  assert.equal((await settled(fetch)).result, "success");
});

test("Offline by the manual switch, a fetch waits until the network is back", async (after) => {
  const { engine, manager, server } = await world(after, { connectivity: "manual" });
  engine.setOnline(false);
  const fetch = await manager.fetch("a", server.serve("/a", new Uint8Array(1)));
  await engine.jobs();
  assert.equal(server.requests.length, 0);
  engine.setOnline(true);
  assert.equal((await settled(fetch)).result, "success");
});

test("The switch needs an engine with manual connectivity", async (after) => {
  const { engine } = await world(after);
  assert.throws(() => engine.setOnline(false), { code: "wrong-state" });
});

test("A fetch that has finished is dismissed, and not one that is active", async (after) => {
  const { engine, manager, registration, server } = await world(after);
  await manager.fetch("a", server.url("/a"));
  await rejects(engine.dismiss((await engine.jobs())[0]), "still-active");
  const fetch = await manager.get("a");
  await fetch.abort();
  await settled(fetch);
  await registration.start();
  await until(() => !fetch.recordsAvailable);
  const [job] = await engine.jobs();
  if (job !== undefined) await engine.dismiss(job);
  assert.deepEqual(await engine.jobs(), []);
});

test("A job that is gone is not found", async (after) => {
  const { engine } = await world(after);
  await rejects(engine.resume({ key: 7 }), "not-found");
});

test("The rate of all fetches can be limited and set free", async (after) => {
  const { engine, manager, server } = await world(after, { rate: 1000 });
  const fetch = await manager.fetch("a", server.serve("/a", bytesOf(3_000_000)));
  await engine.setRate(null);
  assert.equal((await settled(fetch)).result, "success");
});
