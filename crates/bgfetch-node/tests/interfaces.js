// The interfaces have the shape that Web IDL gives them.
import { fileURLToPath } from "node:url";
import * as bgfetch from "@bgfetch/bgfetch";
import { assert, rejects, start, test } from "./harness.js";
import { world } from "./world.js";

test("The interfaces pass idlharness.js of web-platform-tests", async (after) => {
  const { server } = await world(after);
  const packages = fileURLToPath(new URL("node_modules/@bgfetch/bgfetch/node_modules", import.meta.url));
  const { end, line } = start(after, "idl", packages, server.url("/never"));
  const failed = [];
  let count = 0;
  for (let text = await line(); text !== "done"; text = await line()) {
    const { name, passed, message } = JSON.parse(text);
    count++;
    if (!passed) failed.push(`${name}: ${message}`);
  }
  assert.deepEqual(failed, []);
  assert.equal(count, 86);
  assert.equal(await end, 0);
});

test("Methods and attributes refuse other objects", async (after) => {
  const { manager } = await world(after);
  await rejects(manager.fetch.call({}, "a", "https://a.example/"), "TypeError");
  const { prototype } = bgfetch.BackgroundFetchRegistration;
  const { get } = Object.getOwnPropertyDescriptor(prototype, "id");
  assert.throws(() => get.call({}), TypeError);
  await rejects(prototype.abort.call({}), "TypeError");
});

for (const name of ["BackgroundFetchManager", "BackgroundFetchRegistration", "BackgroundFetchRecord"]) {
  test(`${name} has no constructor for scripts`, () => {
    assert.throws(() => new bgfetch[name](), { name: "TypeError", message: "Illegal constructor" });
  });
}

test("The package changes nothing of the runtime", () => {
  assert.equal(globalThis.BackgroundFetchManager, undefined);
  const { constructor } = Object.getOwnPropertyDescriptors(Promise.prototype);
  assert.equal(constructor.value, Promise);
});
