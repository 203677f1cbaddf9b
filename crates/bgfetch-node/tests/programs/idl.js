// Runs idlharness.js, the harness of web-platform-tests for interfaces, over the interfaces that the
// package exports. Writes a line for each of its tests, and `done`.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as bgfetch from "@bgfetch/bgfetch";

const [packages, url] = process.argv.slice(2);
const run = (file) => (0, eval)(readFileSync(join(packages, "wpt-runner/testharness", file), "utf8"));
const idl = (name) => readFileSync(join(packages, "@webref/idl", `${name}.idl`), "utf8");

globalThis.self = globalThis;
run("testharness.js");
run("webidl2.js");
run("idlharness.js");
// Where all interfaces of Background Fetch are exposed. Deno is a window otherwise.
delete globalThis.Window;
globalThis.ServiceWorkerGlobalScope = { [Symbol.hasInstance]: (object) => object === self };
globalThis.WorkerGlobalScope = globalThis.ServiceWorkerGlobalScope;
const interfaces = Object.keys(bgfetch).filter((name) => name.startsWith("BackgroundFetch"));
for (const name of [...interfaces, "ExtendableEvent"]) {
  Object.defineProperty(self, name, { value: bgfetch[name], writable: true, configurable: true });
}

const engine = await bgfetch.openEngine({ ephemeral: true });
const registration = await engine.register("https://app.example/");
self.manager = registration.backgroundFetch;
self.fetchRegistration = await self.manager.fetch("a", url);
self.record = await self.fetchRegistration.match(url);
self.record.responseReady.catch(() => {});

setup({ explicit_done: true, explicit_timeout: true });
add_result_callback(({ name, status, message }) => {
  console.log(JSON.stringify({ name, passed: status === 0, message }));
});
add_completion_callback(() => {
  console.log("done");
  engine.close();
});
const array = new IdlArray();
array.add_untested_idls(idl("dom"), { only: ["Event", "EventInit", "EventTarget"] });
array.add_untested_idls(idl("service-workers"), { only: ["ExtendableEvent", "ExtendableEventInit"] });
array.add_untested_idls(idl("html"), { only: ["EventHandler", "EventHandlerNonNull"] });
array.add_untested_idls(idl("fetch"), { only: ["Body", "Request", "Response"] });
// All but what is part of other interfaces.
const others = ["EventInit", "FailureReason", "Options", "Result", "UIOptions"];
const only = [...interfaces, ...others.map((name) => `BackgroundFetch${name}`)];
array.add_idls(idl("background-fetch"), { only });
array.add_objects({
  BackgroundFetchManager: ["manager"],
  BackgroundFetchRecord: ["record"],
  BackgroundFetchRegistration: ["fetchRegistration"],
  BackgroundFetchEvent: ['new BackgroundFetchEvent("type", { registration: fetchRegistration })'],
  BackgroundFetchUpdateUIEvent: [
    'new BackgroundFetchUpdateUIEvent("type", { registration: fetchRegistration })',
  ],
});
array.test();
done();
