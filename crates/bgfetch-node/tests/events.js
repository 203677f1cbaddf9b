// Events: when they come, and how long they last.
import { BackgroundFetchEvent, BackgroundFetchUpdateUIEvent, ExtendableEvent } from "@bgfetch/bgfetch";
import { assert, folder, once, rejects, test, until } from "./harness.js";
import { onlyResponse, settled, world } from "./world.js";

test("Events are held until start(), and come once", async (after) => {
  const { engine, manager, registration, server } = await world(after);
  const seen = [];
  registration.addEventListener("backgroundfetchsuccess", (event) => seen.push(event.registration.id));
  await settled(await manager.fetch("a", server.serve("/a", new Uint8Array(1))));
  await engine.jobs();
  assert.deepEqual(seen, []);
  const event = once(registration, "backgroundfetchsuccess");
  await registration.start();
  await event;
  await registration.start();
  await settled(await manager.fetch("b", server.url("/a")));
  await until(() => seen.length === 2);
  assert.deepEqual(seen, ["a", "b"]);
});

test("The event has the object of the fetch, whose result came before", async (after) => {
  const { manager, registration, server } = await world(after);
  await registration.start();
  const coming = once(registration, "backgroundfetchsuccess");
  const fetch = await manager.fetch("a", server.serve("/a", new Uint8Array(1)));
  const event = await coming;
  assert.ok(event instanceof BackgroundFetchUpdateUIEvent);
  assert.ok(event instanceof BackgroundFetchEvent && event instanceof ExtendableEvent);
  assert.equal(event.registration, fetch);
  assert.equal(fetch.result, "success");
});

test("Records can be read during the event, and not after it", async (after) => {
  const { manager, registration, server } = await world(after);
  const fetch = await manager.fetch("a", server.serve("/a", new TextEncoder().encode("hello")));
  let text = "";
  registration.addEventListener("backgroundfetchsuccess", (event) => {
    event.waitUntil((async () => {
      const { response } = await onlyResponse(event.registration);
      text = await response.text();
    })());
  });
  await registration.start();
  await until(() => !fetch.recordsAvailable);
  assert.equal(text, "hello");
  await rejects(fetch.matchAll(), "InvalidStateError");
  await rejects(fetch.match(server.url("/a")), "InvalidStateError");
});

test("A failure is told by backgroundfetchfail", async (after) => {
  const { manager, registration, server } = await world(after);
  await registration.start();
  server.serve("/a", (_, response) => response.writeHead(500).end());
  server.serve("/b", (_, response) => response.writeHead(403).end());
  const coming = once(registration, "backgroundfetchfail");
  await manager.fetch("a", server.url("/b"));
  const { registration: fetch } = await coming;
  assert.equal(fetch.failureReason, "bad-status");
});

test("An abort is told by backgroundfetchabort, whose event has no UI", async (after) => {
  const { manager, registration, server } = await world(after);
  await registration.start();
  const coming = once(registration, "backgroundfetchabort");
  await (await manager.fetch("a", server.url("/a"))).abort();
  const event = await coming;
  assert.ok(event instanceof BackgroundFetchEvent);
  assert.ok(!(event instanceof BackgroundFetchUpdateUIEvent));
});

test("A click of the user is told by backgroundfetchclick", async (after) => {
  const { engine, manager, registration, server } = await world(after);
  await registration.start();
  const coming = once(registration, "backgroundfetchclick");
  const fetch = await manager.fetch("a", server.url("/a"));
  const [job] = await engine.jobs();
  await engine.click(job);
  assert.equal((await coming).registration, fetch);
});

test("updateUI() changes the title, once", async (after) => {
  const { engine, manager, registration, server } = await world(after);
  const done = new Promise((resolve, reject) => {
    registration.onbackgroundfetchsuccess = (event) => {
      const run = async () => {
        await event.updateUI({ title: "Done" });
        await rejects(event.updateUI({ title: "Again" }), "InvalidStateError");
      };
      event.waitUntil(run().then(resolve, reject));
    };
  });
  await registration.start();
  await manager.fetch("a", server.serve("/a", new Uint8Array(1)), { title: "Begun" });
  await done;
  assert.equal((await engine.jobs())[0].title, "Done");
});

test("An event that has ended cannot be extended or change the UI", async (after) => {
  const { manager, registration, server } = await world(after);
  await registration.start();
  const coming = once(registration, "backgroundfetchsuccess");
  const fetch = await manager.fetch("a", server.serve("/a", new Uint8Array(1)));
  const event = await coming;
  await until(() => !fetch.recordsAvailable);
  assert.throws(() => event.waitUntil(null), { name: "InvalidStateError" });
  await rejects(event.updateUI(), "InvalidStateError");
});

test("A promise that is rejected ends the event, which is not told again", async (after) => {
  const { manager, registration, server } = await world(after);
  let count = 0;
  registration.addEventListener("backgroundfetchsuccess", (event) => {
    count++;
    event.waitUntil(Promise.reject(new Error("on purpose")));
  });
  await registration.start();
  const fetch = await manager.fetch("a", server.serve("/a", new Uint8Array(1)));
  await until(() => !fetch.recordsAvailable);
  assert.equal(count, 1);
});

test("An event whose promise has settled is not told again after close()", async (after) => {
  const directory = folder(after);
  const { server } = await world(after);
  const url = server.serve("/a", new Uint8Array(1));
  for (let i = 0; i < 10; i++) {
    const { engine, manager, registration } = await world(after, { directory });
    const closed = new Promise((resolve) => {
      registration.addEventListener("backgroundfetchsuccess", (event) => {
        assert.equal(event.registration.id, `${i}`);
        const work = event.registration.matchAll();
        // This reaction comes before that of waitUntil().
        work.then(() => resolve(engine.close()));
        event.waitUntil(work);
      });
    });
    await registration.start();
    await manager.fetch(`${i}`, url);
    await closed;
  }
});

test("waitUntil() keeps the records until its promise settles", async (after) => {
  const { manager, registration, server } = await world(after);
  let finish;
  registration.addEventListener("backgroundfetchsuccess", (event) => {
    event.waitUntil(new Promise((resolve) => finish = resolve));
  });
  await registration.start();
  const fetch = await manager.fetch("a", server.serve("/a", new Uint8Array(1)));
  await until(() => finish !== undefined);
  assert.equal((await fetch.matchAll()).length, 1);
  finish();
  await until(() => !fetch.recordsAvailable);
});

test("progress events tell of bytes, which only grow", async (after) => {
  const { manager, server } = await world(after, { progressInterval: 1 });
  const fetch = await manager.fetch("a", server.url("/a"));
  const seen = [];
  fetch.onprogress = () => seen.push(fetch.downloaded);
  const { response } = await server.take("/a");
  response.writeHead(200, { "content-length": 30 });
  for (let i = 0; i < 3; i++) {
    const event = once(fetch, "progress");
    response.write("0123456789");
    await event;
  }
  response.end();
  await settled(fetch);
  assert.equal(fetch.downloaded, 30);
  assert.deepEqual(seen, [...seen].sort((a, b) => a - b));
  assert.ok(seen.length >= 3);
});

test("An event handler attribute is set, read and removed", async (after) => {
  const { manager, registration, server } = await world(after);
  const fetch = await manager.fetch("a", server.url("/a"));
  const handler = () => {};
  for (const [target, name] of [[fetch, "onprogress"], [registration, "onbackgroundfetchfail"]]) {
    assert.equal(target[name], null);
    target[name] = handler;
    assert.equal(target[name], handler);
    target[name] = 7;
    assert.equal(target[name], null);
  }
});

test("Events of a registration go to no other one", async (after) => {
  const { engine, manager, registration, server } = await world(after);
  const other = await engine.register("https://app.example/other/");
  other.addEventListener("backgroundfetchsuccess", () => assert.fail("it is not its event"));
  await other.start();
  await registration.start();
  const coming = once(registration, "backgroundfetchsuccess");
  await manager.fetch("a", server.serve("/a", new Uint8Array(1)));
  await coming;
});

test("Events that scripts create are not extended", () => {
  const event = new ExtendableEvent("a");
  assert.throws(() => event.waitUntil(null), { name: "InvalidStateError" });
  assert.throws(() => new BackgroundFetchEvent("a"), TypeError);
  assert.throws(() => new BackgroundFetchEvent("a", { registration: {} }), TypeError);
});
