// Bodies of responses and requests as streams.
import { assert, rejects, runtime, test, until } from "./harness.js";
import { bodyOf, bytesOf } from "./server.js";
import { onlyResponse, settled, world } from "./world.js";

test("A response is there at its head, and its body streams while bytes come", async (after) => {
  const { manager, server } = await world(after);
  const fetch = await manager.fetch("a", server.url("/a"));
  const { response: answer } = await server.take("/a");
  answer.writeHead(200, { "content-length": 6 }).write("one");
  const { response } = await onlyResponse(fetch);
  const reader = response.body.getReader();
  assert.equal(text((await reader.read()).value), "one");
  const next = reader.read();
  answer.end("two");
  assert.equal(text((await next).value), "two");
  assert.equal((await reader.read()).done, true);
});

const text = (bytes) => new TextDecoder().decode(bytes);

test("A large body arrives as it was sent", async (after) => {
  const { manager, server } = await world(after);
  const bytes = bytesOf(5_000_001);
  const { response } = await onlyResponse(await manager.fetch("a", server.serve("/a", bytes)));
  assert.ok(Buffer.from(await response.arrayBuffer()).equals(Buffer.from(bytes)));
});

test("A body can be read with the reader's own buffer", async (after) => {
  const { manager, server } = await world(after);
  const bytes = bytesOf(1000);
  const fetch = await settled(await manager.fetch("a", server.serve("/a", bytes)));
  const { response } = await onlyResponse(fetch);
  const reader = response.body.getReader({ mode: "byob" });
  const { value } = await reader.read(new Uint8Array(10));
  assert.deepEqual(value, bytes.subarray(0, 10));
});

test("A body is read as asynchronous iterable", async (after) => {
  const { manager, server } = await world(after);
  const { response } = await onlyResponse(await manager.fetch("a", server.serve("/a", bytesOf(700_000))));
  let length = 0;
  for await (const chunk of response.body) length += chunk.length;
  assert.equal(length, 700_000);
});

test("A body that is cancelled does not disturb the fetch", async (after) => {
  const { manager, server } = await world(after);
  const fetch = await manager.fetch("a", server.url("/a"));
  const { response: answer } = await server.take("/a");
  answer.writeHead(200, { "content-length": 2 }).write("a");
  const { response } = await onlyResponse(fetch);
  await response.body.cancel();
  answer.end("b");
  await settled(fetch);
  const { response: again } = await onlyResponse(fetch);
  assert.equal(await again.text(), "ab");
});

test("A read that waits for bytes ends with its cancellation, or with the engine", async (after) => {
  const { engine, manager, server } = await world(after);
  const fetch = await manager.fetch("a", server.url("/a"));
  const { response: answer } = await server.take("/a");
  answer.writeHead(200, { "content-length": 10 }).flushHeaders();
  const readers = [await onlyResponse(fetch), await onlyResponse(fetch)]
    .map(({ response }) => response.body.getReader());
  const [cancelled, cut] = readers.map((reader) => reader.read());
  const failed = assert.rejects(cut);
  await engine.jobs();
  await readers[0].cancel();
  assert.equal((await cancelled).done, true);
  await engine.close();
  await failed;
});

test("Each record that matched has a response of its own", async (after) => {
  const { manager, server } = await world(after);
  const fetch = await manager.fetch("a", server.serve("/a", new TextEncoder().encode("same")));
  const texts = [await onlyResponse(fetch), await onlyResponse(fetch)].map(({ response }) => response.text());
  assert.deepEqual(await Promise.all(texts), ["same", "same"]);
});

test("A body whose fetch is aborted ends with an error", async (after) => {
  const { manager, server } = await world(after);
  const fetch = await manager.fetch("a", server.url("/a"));
  const { response: answer } = await server.take("/a");
  answer.writeHead(200, { "content-length": 10 }).write("a");
  const { response } = await onlyResponse(fetch);
  const failed = assert.rejects(response.text());
  await fetch.abort();
  await failed;
});

test("A body is read from a slow server after its connection was cut", async (after) => {
  const { manager, server } = await world(after);
  const bytes = bytesOf(200_000);
  const fetch = await manager.fetch("a", server.url("/a"));
  const first = await server.take("/a");
  first.response.writeHead(200, { "content-length": bytes.length, etag: '"one"' });
  first.response.write(bytes.subarray(0, 100_000));
  const { response } = await onlyResponse(fetch);
  const reader = response.body.getReader();
  let length = (await reader.read()).value.length;
  first.response.destroy();
  const second = await server.take("/a");
  const from = Number(/^bytes=(\d+)-/.exec(second.request.headers.range)[1]);
  second.response.writeHead(206, {
    "content-length": bytes.length - from,
    "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}`,
    "etag": '"one"',
  });
  second.response.end(bytes.subarray(from));
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    length += value.length;
  }
  assert.equal(length, bytes.length);
  assert.ok(from > 0);
});

/** Uploads a body, and returns what the server got. */
async function upload({ manager, server }, body, init = {}) {
  const fetch = await manager.fetch("up", new Request(server.url("/up"), { method: "POST", body, ...init }));
  const { request, response } = await server.take("/up");
  const received = await bodyOf(request);
  response.end();
  return { fetch: await settled(fetch), received, headers: request.headers };
}

test("A text is uploaded with its type", async (after) => {
  const { fetch, received, headers } = await upload(await world(after), "hello");
  assert.equal(received.toString(), "hello");
  // Bun's Requests have no type for a text.
  if (runtime !== "bun") assert.match(headers["content-type"], /^text\/plain/);
  assert.equal(fetch.uploadTotal, 5);
  assert.equal(fetch.uploaded, 5);
});

test("A Blob is uploaded", async (after) => {
  const bytes = bytesOf(1_000_000);
  const { received, headers } = await upload(await world(after), new Blob([bytes], { type: "a/b" }));
  assert.ok(received.equals(bytes));
  assert.equal(headers["content-type"], "a/b");
});

test("A stream is uploaded", async (after) => {
  const chunk = bytesOf(300_000);
  let left = 5;
  const stream = new ReadableStream({
    pull(controller) {
      if (left-- > 0) controller.enqueue(chunk);
      else controller.close();
    },
  });
  const { fetch, received } = await upload(await world(after), stream, { duplex: "half" });
  assert.equal(received.length, 1_500_000);
  assert.ok(received.subarray(0, chunk.length).equals(chunk));
  assert.equal(fetch.uploadTotal, 1_500_000);
});

test("An empty stream is uploaded", async (after) => {
  const stream = new ReadableStream({ start: (controller) => controller.close() });
  const { received } = await upload(await world(after), stream, { duplex: "half" });
  assert.equal(received.length, 0);
});

test("A stream that fails makes the call a TypeError", async (after) => {
  const { manager, server } = await world(after);
  const body = new ReadableStream({ pull: (controller) => controller.error(new Error("on purpose")) });
  const request = new Request(server.url("/a"), { method: "POST", body, duplex: "half" });
  await rejects(manager.fetch("a", request), "TypeError");
  assert.deepEqual(await manager.getIds(), []);
});

test("A stream is not read before the engine takes it, and cancelled when that refuses it", async (after) => {
  let answer;
  const permission = () => new Promise((resolve) => answer = resolve);
  const { manager, server } = await world(after, { permission });
  let isCancelled = false;
  let pulls = 0;
  const body = new ReadableStream({
    pull: () => void pulls++,
    cancel: () => void (isCancelled = true),
  }, { highWaterMark: 0 });
  const request = new Request(server.url("/a"), { method: "POST", body, duplex: "half" });
  const refused = rejects(manager.fetch("a", request), "NotAllowedError");
  await until(() => answer !== undefined);
  assert.equal(pulls, 0);
  answer("denied");
  await refused;
  await until(() => isCancelled);
});

test("A body that was read already is a TypeError", async (after) => {
  const { manager, server } = await world(after);
  const request = new Request(server.url("/a"), { method: "POST", body: "x" });
  await request.text();
  await rejects(manager.fetch("a", request), "TypeError");
});

test("The request of a record has the body that was sent", async (after) => {
  const { manager, server } = await world(after);
  const fetch = await manager.fetch("a", new Request(server.url("/a"), { method: "PUT", body: "hello" }));
  const [{ request }] = await fetch.matchAll();
  assert.equal(request.method, "PUT");
  assert.equal(await request.text(), "hello");
});
