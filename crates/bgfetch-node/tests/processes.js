// Processes: killed, ended, threads, memory.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { assert, folder, program, start, test } from "./harness.js";
import { bytesOf } from "./server.js";
import { settled, world } from "./world.js";

test("Killed in the middle of a download, the next start continues by Range and tells the event once", async (after) => {
  const directory = folder(after);
  const { server } = await world(after);
  const bytes = bytesOf(300_000);
  const first = start(after, "download", directory, server.url("/a"), "wait");
  const one = await server.take("/a");
  one.response.writeHead(200, { "content-length": bytes.length, etag: '"one"' });
  one.response.write(bytes.subarray(0, 200_000));
  assert.equal(await first.line(), "progress");
  first.child.kill("SIGKILL");
  assert.equal(await first.end, "SIGKILL");
  const second = start(after, "download", directory, server.url("/a"), "wait");
  const two = await server.take("/a");
  const from = Number(/^bytes=(\d+)-/.exec(two.request.headers.range)[1]);
  assert.ok(from > 0);
  two.response.writeHead(206, {
    "content-length": bytes.length - from,
    "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}`,
    "etag": '"one"',
  });
  two.response.end(bytes.subarray(from));
  let line = await second.line();
  while (line === "progress") line = await second.line();
  assert.equal(line, `event ${bytes.length}`);
  assert.equal(await second.end, 0);
  const third = start(after, "download", directory, server.url("/a"), "look");
  assert.equal(await third.line(), "nothing");
  assert.equal(await third.end, 0);
});

test("Killed while a handler runs, the next start tells the event again, with its records", async (after) => {
  const directory = folder(after);
  const { server } = await world(after);
  server.serve("/a", bytesOf(1000));
  const first = start(after, "handler", directory, server.url("/a"), "hang");
  assert.equal(await first.line(), "event 1000");
  first.child.kill("SIGKILL");
  await first.end;
  const second = start(after, "handler", directory, server.url("/a"), "return");
  assert.equal(await second.line(), "event 1000");
  assert.equal(await second.end, 0);
});

test("Nothing is left of an engine that is closed", async (after) => {
  const { server } = await world(after);
  const url = server.serve("/a", bytesOf(1000));
  const { end, line } = start(after, "handles", url, server.url("/never"));
  // The queue of the thread.
  assert.equal(await line(), "1");
  assert.equal(await end, 0);
});

test("A stream is freed at its end, whatever that is", async (after) => {
  const { server } = await world(after);
  const whole = server.serve("/a", bytesOf(1000));
  const cut = server.serve("/cut", (_, response) => response.writeHead(200, { "content-length": 9 }).write("cut"));
  const { end, line } = start(after, "streams", whole, cut);
  for (const name of ["read", "cancelled", "aborted", "uploaded"]) assert.equal(await line(), name);
  assert.equal(await end, 0);
});

test("The first program of the README downloads its file", async (after) => {
  const directory = folder(after);
  const { server } = await world(after);
  const bytes = bytesOf(100_000);
  const url = server.serve("/model.gguf", bytes);
  const readme = readFileSync(new URL("node_modules/@bgfetch/bgfetch/README.md", import.meta.url), "utf8");
  const [, code] = /```js\n([^]*?)```/.exec(readme);
  const file = program("readme");
  writeFileSync(file, code.replace("https://hub.example/model.gguf", url));
  after(() => rmSync(file));
  const { end } = start(after, "readme", { cwd: directory });
  assert.equal(await end, 0);
  assert.ok(readFileSync(join(directory, "model.gguf")).equals(bytes));
});

for (const how of ["idle", "started", "closed", "unread", "cancelled", "fetching", "unreferenced"]) {
  test(`A process ends by itself: ${how}`, async (after) => {
    const { server } = await world(after);
    server.serve("/a", bytesOf(1000));
    server.serve("/begun", (_, response) => response.writeHead(200, { "content-length": 10 }).write("a"));
    const { end, line } = start(after, "exit", how, server.url(["fetching", "cancelled"].includes(how) ? "/begun" : "/a"));
    assert.equal(await line(), "the end of the script");
    assert.equal(await end, 0);
  });
}

test("A call that is waited for, and ref(), keep a process alive", async (after) => {
  const { server } = await world(after);
  const { end, line } = start(after, "exit", "waiting", server.url("/a"));
  const { response } = await server.take("/a");
  response.end("hello");
  assert.equal(await line(), "hello");
  assert.equal(await line(), "the end of the script");
  assert.equal(await line(), "the engine is closed");
  assert.equal(await end, 0);
});

test("A worker thread has an engine of its own", async (after) => {
  const { manager, server } = await world(after);
  const url = server.serve("/a", bytesOf(1000));
  const worker = new Worker(program("worker"), { workerData: { url } });
  const [, fetch] = await Promise.all([
    new Promise((resolve, reject) => {
      worker.on("message", (length) => resolve(assert.equal(length, 1000)));
      worker.on("error", reject);
    }),
    manager.fetch("a", url).then(settled),
  ]);
  assert.equal(fetch.result, "success");
  await worker.terminate();
});

test("A body that is read slowly is not kept in memory", async (after) => {
  const mebibytes = Number(process.env.BGFETCH_NODE_MEBIBYTES ?? 64);
  const { server } = await world(after);
  const chunk = Buffer.alloc(1 << 20, 7);
  server.serve("/large", async (_, response) => {
    response.writeHead(200, { "content-length": mebibytes << 20 });
    for (let i = 0; i < mebibytes; i++) {
      if (!response.write(chunk)) await new Promise((resolve) => response.once("drain", resolve));
    }
    response.end();
  });
  const { end, line } = start(after, "slow", folder(after), server.url("/large"));
  const { length, grown } = JSON.parse(await line());
  console.log(`     ${mebibytes} MiB read slowly: ${(grown / 1e6).toFixed(1)} MB above idle`);
  assert.equal(length, mebibytes << 20);
  assert.ok(grown < 100e6, `${grown} bytes above idle`);
  assert.equal(await end, 0);
});
