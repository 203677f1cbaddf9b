// The interfaces of Background Fetch for pages and service workers of WebKitGTK. What they ask for, the shell
// does: pages send it messages, and service workers send requests that its proxy answers.
(() => {
  "use strict";
  const page = globalThis.document && webkit.messageHandlers.backgroundFetch;
  if (!isSecureContext || (page && !navigator.serviceWorker)) return;

  // The site may replace these later.
  const { Request, Response } = globalThis;
  const send = fetch.bind(globalThis);
  const secret = Symbol("only this script constructs these objects");
  const document = crypto.randomUUID();
  const calls = [];

  const exception = ({ name, message }) =>
    name === "TypeError" ? new TypeError(message) : new DOMException(message, name);

  async function request(method, scope, args = null) {
    const options = { method: "POST", body: JSON.stringify([method, scope, args]) };
    const response = await send(`${location.origin}/.background-fetch/call`, options);
    if (!response.ok) throw exception(await response.json());
    return response;
  }

  async function call(method, scope, args = null) {
    if (!page) return (await request(method, scope, args)).json();
    return new Promise((resolve, reject) => {
      const number = calls.push({ resolve, reject }) - 1;
      page.postMessage(JSON.stringify([document, number, [method, scope, args]]));
    });
  }

  function describe(input) {
    const request = new Request(input);
    if (!["GET", "HEAD"].includes(request.method)) throw new TypeError("uploads are left out");
    const { method, url, mode, credentials, cache, redirect, integrity, referrer } = request;
    return {
      ...{ method, url, mode, credentials, cache, redirect, integrity },
      headers: [...request.headers],
      referrer: { "": "no-referrer", "about:client": "client" }[referrer] ?? { url: referrer },
      referrer_policy: request.referrerPolicy || "empty",
    };
  }

  const base = () => globalThis.document?.baseURI ?? location.href;
  const parse = (icons) => icons?.map((icon) => ({ ...icon, src: new URL(icon.src, base()).href }));

  class BackgroundFetchRecord {
    #scope;
    #key;
    #ready;
    constructor(token, scope, { key, request: { url, method, headers } }) {
      if (token !== secret) throw new TypeError("Illegal constructor");
      this.#scope = scope;
      this.#key = key;
      this.request = new Request(url, { method, headers });
    }
    get responseReady() {
      return (this.#ready ??= this.#response());
    }
    async #response() {
      const answer = await request("responseReady", this.#scope, this.#key);
      const head = JSON.parse(new URLSearchParams(`head=${answer.headers.get("x-head")}`).get("head"));
      const { status, status_text: statusText, headers } = head;
      const whole = answer.body.pipeThrough(new TransformStream(this.#untilEnd(answer)));
      const body = [204, 205, 304].includes(status) ? null : whole;
      const response = new Response(body, { status, statusText, headers });
      const define = (name, value) => Object.defineProperty(response, name, { value });
      define("url", head.url_list.at(-1));
      define("redirected", head.url_list.length > 1);
      define("type", head.response_type);
      return response;
    }
    /** Takes off the mark at the end of the body. Without it, the body was cut. */
    #untilEnd(answer) {
      const mark = new TextEncoder().encode(answer.headers.get("x-end"));
      let rest = new Uint8Array();
      return {
        transform: (chunk, controller) => {
          const bytes = new Uint8Array(rest.length + chunk.length);
          bytes.set(rest);
          bytes.set(chunk, rest.length);
          // What may be the beginning of the mark has to wait.
          let end = Math.max(bytes.length - mark.length, 0);
          while (!bytes.subarray(end).every((byte, at) => byte === mark[at])) end++;
          if (end) controller.enqueue(bytes.slice(0, end));
          rest = bytes.slice(end);
        },
        flush: async () => {
          if (rest.length === mark.length) return;
          // This tells the reason.
          await request("responseReady", this.#scope, this.#key);
          throw new TypeError("the body was cut");
        },
      };
    }
  }

  const states = new WeakMap();
  // There are no uploads.
  const attributes = ({ result, ...state }) => ({
    ...{ uploadTotal: 0, uploaded: 0, ...state },
    result: result ? ("Ok" in result ? "success" : "failure") : "",
    failureReason: result?.Err ?? "",
  });
  class BackgroundFetchRegistration extends EventTarget {
    #scope;
    #onprogress = null;
    constructor(token, scope, state) {
      if (token !== secret) throw new TypeError("Illegal constructor");
      super();
      this.#scope = scope;
      states.set(this, attributes(state));
    }
    get onprogress() {
      return this.#onprogress;
    }
    set onprogress(listener) {
      this.removeEventListener("progress", this.#onprogress);
      this.addEventListener("progress", (this.#onprogress = listener));
    }
    abort() {
      return call("abort", this.#scope, states.get(this).key);
    }
    async match(request, options) {
      return (await this.#match(describe(request), options))[0];
    }
    matchAll(request, options) {
      return this.#match(request === undefined ? null : describe(request), options);
    }
    async #match(request, { ignoreSearch, ignoreMethod, ignoreVary } = {}) {
      const options = [!!ignoreSearch, !!ignoreMethod, !!ignoreVary];
      const found = await call("match", this.#scope, [states.get(this).key, request, options]);
      return found.map((record) => new BackgroundFetchRecord(secret, this.#scope, record));
    }
  }
  const numbers = ["uploadTotal", "uploaded", "downloadTotal", "downloaded"];
  for (const name of ["id", ...numbers, "result", "failureReason", "recordsAvailable"])
    Object.defineProperty(BackgroundFetchRegistration.prototype, name, {
      enumerable: true,
      get() {
        return states.get(this)[name];
      },
    });

  // Equal keys are the same object.
  const objects = new Map();
  function objectOf(scope, state) {
    if (!objects.has(state.key)) {
      objects.set(state.key, new BackgroundFetchRegistration(secret, scope, state));
      // Ends with the page or with the shell.
      if (page) call("follow", scope, state.key).catch(() => {});
    }
    return objects.get(state.key);
  }

  class BackgroundFetchManager {
    #registration;
    constructor(token, registration) {
      if (token !== secret) throw new TypeError("Illegal constructor");
      this.#registration = registration;
    }
    async fetch(id, input, { title = "", icons = [], downloadTotal = 0 } = {}) {
      const { scope, active } = this.#registration;
      if (!active) throw new TypeError("there is no active service worker");
      const requests = (Array.isArray(input) ? input : [input]).map(describe);
      const args = [String(id), requests, title, parse(icons), downloadTotal];
      return objectOf(scope, await call("fetch", scope, args));
    }
    async get(id) {
      const { scope } = this.#registration;
      const state = await call("get", scope, String(id));
      return state ? objectOf(scope, state) : undefined;
    }
    getIds() {
      return call("getIds", this.#registration.scope);
    }
  }

  const managers = new WeakMap();
  const { unregister } = ServiceWorkerRegistration.prototype;
  Object.defineProperties(ServiceWorkerRegistration.prototype, {
    backgroundFetch: {
      configurable: true,
      enumerable: true,
      get() {
        if (!managers.has(this)) managers.set(this, new BackgroundFetchManager(secret, this));
        return managers.get(this);
      },
    },
    unregister: {
      value: async function () {
        const done = await unregister.call(this);
        if (done) await call("unregister", this.scope);
        return done;
      },
    },
  });

  const expose = (interfaces) => {
    for (const value of interfaces)
      Object.defineProperty(globalThis, value.name, { value, configurable: true, writable: true });
  };
  expose([BackgroundFetchManager, BackgroundFetchRegistration, BackgroundFetchRecord]);

  if (page) {
    const shell = {
      isNamed: (name) => name === document,
      resolve(of, number, value) {
        if (of === document) calls[number].resolve(value);
      },
      reject(of, number, error) {
        if (of === document) calls[number].reject(exception(error));
      },
      /** Whether this document has an object of the fetch. */
      update(of, state) {
        const object = of === document && objects.get(state.key);
        if (!object) return false;
        const old = states.get(object);
        const now = attributes(state);
        states.set(object, now);
        const changed = Object.keys(now).some((name) => now[name] !== old[name]);
        if (changed && !old.result) object.dispatchEvent(new Event("progress"));
        return true;
      },
    };
    Object.defineProperty(globalThis, "backgroundFetchShell", { value: Object.freeze(shell) });
    return;
  }

  // What follows is for service workers.
  class BackgroundFetchEvent extends ExtendableEvent {
    #promises = [];
    #active = false;
    constructor(type, init) {
      super(type, init);
      this.registration = init.registration;
    }
    waitUntil(promise) {
      if (!this.#active) throw new DOMException("the event is over", "InvalidStateError");
      this.#promises.push(Promise.resolve(promise));
    }
    /** Fires the event. Resolves to why one of its promises was rejected, or to null. */
    static async fire(event, hasRun) {
      event.#active = true;
      dispatchEvent(event);
      await null;
      await hasRun();
      let rejection = null;
      for (let settled = 0; settled < event.#promises.length; settled++)
        await event.#promises[settled].catch((reason) => (rejection ??= String(reason)));
      event.#active = false;
      return rejection;
    }
  }
  const { fire } = BackgroundFetchEvent;
  delete BackgroundFetchEvent.fire;

  class BackgroundFetchUpdateUIEvent extends BackgroundFetchEvent {
    #name;
    constructor(type, init) {
      super(type, init);
      this.#name = init[secret] ?? "";
    }
    async updateUI({ title, icons } = {}) {
      await call("updateUI", registration.scope, [this.#name, title ?? null, parse(icons) ?? null]);
    }
  }
  expose([BackgroundFetchEvent, BackgroundFetchUpdateUIEvent]);

  for (const kind of ["success", "fail", "abort", "click"]) {
    const name = `backgroundfetch${kind}`;
    let current = null;
    Object.defineProperty(globalThis, `on${name}`, {
      configurable: true,
      get: () => current,
      set(listener) {
        removeEventListener(name, current);
        addEventListener(name, (current = listener));
      },
    });
  }

  // Requests to the shell are not for the listeners of the site.
  addEventListener("fetch", (event) => {
    if (new URL(event.request.url).pathname.startsWith("/.background-fetch/"))
      event.stopImmediatePropagation();
  });

  // From the page that the shell has opened to reach this worker.
  addEventListener("message", (message) => {
    const asked = message.data?.backgroundFetchEvent;
    if (!asked) return;
    message.stopImmediatePropagation();
    const [event, type, updatesUi, scope, state] = asked;
    const init = { registration: objectOf(scope, state), [secret]: event };
    const fired = new (updatesUi ? BackgroundFetchUpdateUIEvent : BackgroundFetchEvent)(type, init);
    const handled = fire(fired, () => call("hasRun", scope, [event, true]));
    message.waitUntil(handled.then((rejection) => call("settled", scope, [event, rejection])));
  });
})();
