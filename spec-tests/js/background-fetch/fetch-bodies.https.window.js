// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// BackgroundFetchManager fetch(): request bodies (D19, D38); uploads of complete a record.
"use strict";

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ text: "thanks" }]);
  const registration = await manager.fetch(
    id,
    new Request(server.url, { method: "POST", body: "a photo" }),
  );
  assert_equals(registration.uploadTotal, 7);
  const report = await settled();
  assert_equals(report.uploaded, 7);
  assert_equals(report.records[0].text, "thanks");
  const [request] = await server.requests(1);
  assert_equals(request.method, "POST");
  assert_equals(request.body, "a photo");
}, "A body is sent, and uploadTotal is its length");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ text: "thanks" }]);
  const body = "x".repeat(100_000);
  const registration = await manager.fetch(id, new Request(server.url, { method: "PUT", body }));
  assert_equals(registration.uploadTotal, 100_000);
  await settled();
  const [{ bodyLength }] = await server.requests(1);
  assert_equals(bodyLength, 100_000);
}, "D38: the limit of 64 KiB for keepalive requests does not apply");

background_fetch_test(async ({ manager, id }) => {
  const never = new ReadableStream({ pull: () => new Promise(() => {}) });
  const { url } = new Server([{ holdHead: true }]);
  const request = new Request(url, { method: "POST", body: never, duplex: "half" });
  let ended = false;
  manager.fetch(`${id}-never`, request).finally(() => {
    ended = true;
  }).catch(() => {});
  const other = await manager.fetch(id, url);
  assert_array_equals(await manager.getIds(), [id]);
  assert_true(await other.abort());
  assert_false(ended);
}, "D19: a body that never ends blocks no other call");

background_fetch_test(async ({ t, manager, id }) => {
  const never = new ReadableStream({ pull: () => new Promise(() => {}) });
  const { url } = new Server([{ holdHead: true }]);
  const request = new Request(url, { method: "POST", body: never, duplex: "half" });
  manager.fetch(id, request).catch(() => {});
  await promise_rejects_js(t, TypeError, manager.fetch(id, url));
}, "D19: the id is reserved while the body is read");

background_fetch_test(async ({ t, manager, id, settled }) => {
  const broken = new ReadableStream({
    pull(controller) {
      controller.enqueue(new TextEncoder().encode("some"));
      controller.error(new Error("broken"));
    },
  });
  const server = new Server([{ size: 10 }]);
  const request = new Request(server.url, { method: "POST", body: broken, duplex: "half" });
  await promise_rejects_js(t, TypeError, manager.fetch(id, request));
  assert_equals((await server.requests()).length, 0, "nothing is sent of it");
  await manager.fetch(id, server.url);
  await settled();
}, "A body that errors rejects the call with TypeError, and frees the id");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ text: "thanks" }]);
  const chunks = ["one ", "two ", "three"];
  const body = new ReadableStream({
    pull(controller) {
      const chunk = chunks.shift();
      if (chunk === undefined) return controller.close();
      controller.enqueue(new TextEncoder().encode(chunk));
    },
  });
  const request = new Request(server.url, { method: "POST", body, duplex: "half" });
  const registration = await manager.fetch(id, request);
  assert_equals(registration.uploadTotal, 13);
  await settled();
  const [sent] = await server.requests(1);
  assert_equals(sent.body, "one two three");
  assert_equals(sent.headers["content-length"], "13", "stored first, so its length is known");
}, "A stream is read to its end before the promise resolves");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ text: "thanks" }]);
  const request = new Request(server.url, { method: "POST", body: "a photo" });
  await manager.fetch(id, request);
  assert_true(request.bodyUsed);
  const report = await settled();
  assert_equals(report.type, "backgroundfetchsuccess");
}, "fetch() uses a request's body up");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ status: 503, headers: [["Retry-After", "0"]] }, { size: 10 }]);
  await manager.fetch(id, new Request(server.url, { method: "POST", body: "an order" }));
  const report = await settled();
  assert_equals(report.failureReason, "bad-status");
  assert_equals(report.records[0].status, 503);
  assert_equals((await server.requests()).length, 1);
}, "D25: an upload is not sent again after a server error");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 1000, cut: 100 }, { size: 1000 }]);
  await manager.fetch(id, new Request(server.url, { method: "POST", body: "an order" }));
  const report = await settled();
  assert_equals(report.failureReason, "fetch-error");
  assert_equals((await server.requests()).length, 1);
}, "D25: an upload is not sent again when the connection was lost");

background_fetch_test(async ({ manager, id, settled }) => {
  const target = new Server([{ text: "thanks" }]);
  const from = new Server([{ status: 307, headers: [["Location", target.url]] }]);
  await manager.fetch(id, new Request(from.url, { method: "POST", body: "a photo" }));
  const report = await settled();
  assert_equals(report.type, "backgroundfetchsuccess");
  const [{ method, body }] = await target.requests(1);
  assert_equals(`${method} ${body}`, "POST a photo");
  assert_equals(report.uploaded, 7, "each byte counts once");
}, "D25, D26: a redirect with 307 sends the body along, and uploaded counts it once");
