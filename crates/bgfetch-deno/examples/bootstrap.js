// The embedder's part: its globals, and its service worker registrations.
import { core } from "ext:core/mod.js";

const { install } = core.loadExtScript("ext:bgfetch_deno/mod.js");
const { EventTarget } = core.loadExtScript("ext:deno_web/02_event.js");
const { setLocationHref } = core.loadExtScript("ext:deno_web/12_location.js");

class ServiceWorkerRegistration extends EventTarget {
  scope = null;
}
install(globalThis, ServiceWorkerRegistration, (registration) => registration.scope);
globalThis.registration = new ServiceWorkerRegistration();
globalThis.print = (text) => core.print(`${text}\n`);
globalThis.open = (url) => {
  setLocationHref(url);
  registration.scope = url;
};
