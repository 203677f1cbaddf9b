// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// Update background fetch instances, and stored body bytes total (D26).
"use strict";

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 5000, hold: 1000 }]);
  const registration = await manager.fetch(id, server.url);
  assert_equals(registration.downloaded, 0);
  const event = await once(registration, "progress");
  assert_equals(event.constructor, Event);
  assert_true(event.isTrusted);
  assert_false(event.bubbles);
  assert_false(event.cancelable);
  assert_equals(event.target, registration);
  await server.release();
  await settled();
}, "progress is a plain, trusted event at the registration");

background_fetch_test(async ({ manager, id, settled }) => {
  // Browsers may have as few as two requests under way.
  const servers = [2000, 4000].map((size) => new Server([{ size, hold: size / 2 }]));
  const registration = await manager.fetch(id, servers.map(({ url }) => url));
  const seen = [];
  registration.onprogress = () => seen.push(registration.downloaded);
  await until(registration, ({ downloaded }) => downloaded === 3000);
  for (const server of servers) await server.release();
  await settled();
  await ended(registration);
  assert_equals(registration.downloaded, 6000);
  assert_array_equals(seen, [...seen].sort((a, b) => a - b), "it only grows");
  assert_equals(new Set(seen).size >= 2, true);
}, "downloaded is the sum of all records' bodies, grows and is exact in the end");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 5000, holdHead: true }]);
  const registration = await manager.fetch(id, server.url, { downloadTotal: 5000 });
  await releaseFollowed(registration, server);
  const report = await settled();
  assert_equals(report.type, "backgroundfetchsuccess");
  await ended(registration);
  assert_equals(registration.downloaded, 5000);
}, "As many bytes as downloadTotal do not exceed it");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 5000, holdHead: true }]);
  const registration = await manager.fetch(id, server.url, { downloadTotal: 4999 });
  await releaseFollowed(registration, server);
  const report = await settled();
  assert_equals(report.type, "backgroundfetchfail");
  assert_equals(report.failureReason, "download-total-exceeded");
  await ended(registration);
  assert_less_than_equal(registration.downloaded, 4999, "no byte beyond it is stored");
}, "One byte more than downloadTotal exceeds it");

background_fetch_test(async ({ manager, id, settled }) => {
  const servers = [0, 1].map((seed) => new Server([{ size: 3000, seed, hold: 1500 }]));
  const registration = await manager.fetch(id, servers.map(({ url }) => url), {
    downloadTotal: 6000,
  });
  await until(registration, ({ downloaded }) => downloaded === 3000);
  for (const server of servers) await server.release();
  assert_equals((await settled()).type, "backgroundfetchsuccess");
}, "Records that share a downloadTotal can use all of it");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 5000, hold: 4000 }]);
  const registration = await manager.fetch(id, server.url);
  const seen = [];
  registration.onprogress = () => seen.push(`${registration.downloaded} ${registration.result}`);
  await until(registration, ({ downloaded }) => downloaded === 4000);
  await server.release();
  await settled();
  await ended(registration);
  assert_equals(new Set(seen).size, seen.length, "each event tells something new");
  assert_equals(seen.at(-1), "5000 success");
}, "Progress is told when there is some, and the last one always");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 10, holdHead: true }]);
  const registration = await manager.fetch(id, server.url);
  await releaseFollowed(registration, server);
  await settled();
  await ended(registration);
  let events = 0;
  registration.onprogress = () => events++;
  await over(registration);
  assert_equals(events, 0);
  assert_equals(registration.result, "success");
}, "No progress is told after the result");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ size: 5000, hold: 1000 }]);
  const registration = await manager.fetch(id, server.url);
  const order = [];
  registration.addEventListener("progress", () => order.push("listener"), { once: true });
  const first = () => order.push("handler that was replaced");
  registration.onprogress = first;
  assert_equals(registration.onprogress, first);
  registration.onprogress = () => order.push("handler");
  await until(registration, ({ downloaded }) => downloaded === 1000);
  assert_array_equals(order.slice(0, 2), ["listener", "handler"]);
  registration.onprogress = null;
  assert_equals(registration.onprogress, null);
  await server.release();
  await settled();
}, "onprogress is an event handler");

background_fetch_test(async ({ manager, id, settled }) => {
  const first = { size: WHOLE, cut: HALF };
  const server = new Server([first, { size: 5000, seed: 1, hold: 1000 }]);
  const registration = await manager.fetch(id, server.url);
  await server.requests(2);
  await until(registration, ({ downloaded }) => downloaded === 1000);
  await server.release();
  await settled();
  await ended(registration);
  assert_equals(registration.downloaded, 5000);
}, "A record that began again counts its new bytes alone");

background_fetch_test(async ({ manager, id, settled }) => {
  const server = new Server([{ text: "thanks", holdHead: true }]);
  const upload = (body) => new Request(server.url, { method: "POST", body });
  const registration = await manager.fetch(id, [upload("x".repeat(2000)), upload("y".repeat(500))]);
  assert_equals(registration.uploadTotal, 2500);
  await releaseFollowed(registration, server, 2);
  const report = await settled();
  assert_equals(report.uploaded, 2500);
  await ended(registration);
  assert_equals(registration.uploaded, 2500);
  assert_equals(registration.downloaded, 12);
}, "uploaded is the sum of all request bodies, and exact in the end");
