// The calls of a page, by area. Each area gives a list of functions that `builtIns.inTurn` calls.
"use strict";

const areas = (() => {
  const { describe, getter, method, own, setter, show } = builtIns;
  const token = newToken();
  // The calls look nothing up on the global object.
  const {
    BackgroundFetchManager,
    BackgroundFetchRecord,
    BackgroundFetchRegistration,
    Cache,
    CacheStorage,
    Crypto,
    Document,
    document,
    Element,
    Event,
    EventTarget,
    HTMLElement,
    Map,
    MessagePort,
    Navigator,
    navigator,
    Node,
    Notification,
    Permissions,
    PermissionStatus,
    Promise,
    Request,
    Response,
    ServiceWorker,
    ServiceWorkerContainer,
    ServiceWorkerRegistration,
    StorageManager,
    SubtleCrypto,
    Symbol,
    Text,
    window,
  } = globalThis;

  show(BackgroundFetchRegistration, getter(BackgroundFetchRegistration, "id"));
  show(BackgroundFetchRecord, getter(BackgroundFetchRecord, "request"));
  show(Request, getter(Request, "url"));
  show(Response, getter(Response, "status"));
  show(ServiceWorkerRegistration, getter(ServiceWorkerRegistration, "scope"));
  show(ServiceWorker, getter(ServiceWorker, "state"));
  show(Cache, () => "");
  show(Permissions, () => "");
  show(PermissionStatus, getter(PermissionStatus, "state"));
  show(Notification, getter(Notification, "title"));
  show(Text, getter(Text, "data"));
  show(HTMLElement, getter(HTMLElement, "id"));

  /** A call of a method, an attribute's getter or its setter, found now. */
  const bound = (call, object, argument) => () => call(object, argument);

  async function start(t) {
    const registration = await navigator.serviceWorker.register("resources/worker.js", {
      scope: `resources/${token}`,
    });
    t.add_cleanup(() => registration.unregister());
    return await activated(registration);
  }

  return {
    async backgroundFetch(t) {
      const registration = await start(t);
      const { backgroundFetch: manager } = registration;
      const url = new Server([{ size: 30 }]).url;
      const held = new Server([{ holdHead: true }]).url;
      const request = new Request(held, { method: "POST", body: "text", headers: { a: "b" } });
      const active = await manager.fetch("active", [url, request]);
      await (await active.match(url)).responseReady;
      const record = await active.match(url);
      await record.responseReady;
      const over = await manager.fetch("over", held);
      await over.abort();
      while (active.downloaded < 30 || active.uploaded < 4) await once(active, "progress");
      while (over.recordsAvailable) await over.match("/").catch(() => {});
      const options = { __proto__: null, title: "Title", icons: undefined, downloadTotal: 5 };
      const query = { __proto__: null, ignoreSearch: true, ignoreMethod: true, ignoreVary: true };
      const used = new Request(url, { method: "POST", body: "text" });
      await used.text();
      const M = BackgroundFetchManager;
      const R = BackgroundFetchRegistration;
      const fetch = method(M, "fetch");
      const get = method(M, "get");
      const match = method(R, "match");
      const matchAll = method(R, "matchAll");
      const attributes = ["id", "uploadTotal", "uploaded", "downloadTotal", "result", "failureReason", "recordsAvailable"]
        .map((name) => getter(R, name)).flatMap((get) => [() => get(active), () => get(over), () => get(record)]);
      const responseReady = getter(BackgroundFetchRecord, "responseReady");
      const requestOf = getter(BackgroundFetchRecord, "request");
      const setHandler = setter(R, "onprogress");
      const handler = () => {};
      return [
        ...attributes,
        () => fetch(manager, ["", url]),
        () => fetch(manager, ["id", "http://["]),
        () => fetch(manager, ["active", url, options]),
        () => fetch(manager, ["active", request, options]),
        () => fetch(manager, ["active", used, options]),
        () => fetch(manager, ["id", url, 1]),
        () => fetch(manager, ["id"]),
        () => fetch(active, ["id", url]),
        () => get(manager, ["active"]),
        () => get(manager, ["nothing\ud800"]),
        () => get(manager, []),
        bound(method(M, "getIds"), manager, []),
        () => match(active, [url, query]),
        () => match(active, [request, query]),
        () => match(active, ["/nothing"]),
        () => match(active, []),
        () => match(over, [url]),
        () => matchAll(active, []),
        () => matchAll(active, [url, query]),
        bound(method(R, "abort"), over, []),
        () => responseReady(record),
        () => responseReady(active),
        () => requestOf(record),
        () => setHandler(active, handler),
        () => setHandler(active, null),
        () => new M(),
        () => new R(),
      ];
    },

    /** New fetches, which stay offline. */
    async fetching(t) {
      const { backgroundFetch: manager } = await start(t);
      bgfetchTesting.setOffline(true);
      t.add_cleanup(() => bgfetchTesting.setOffline(false));
      const url = new Server([{ size: 30 }]).url;
      const requests = iterable([url, new Request(url, { method: "PUT", headers: { a: "b" } })]);
      const icon = { __proto__: null, src: "icon.png", sizes: undefined, type: undefined, label: undefined };
      const options = { __proto__: null, title: "Title", icons: iterable([icon]), downloadTotal: 5 };
      const fetch = method(BackgroundFetchManager, "fetch");
      const abort = method(BackgroundFetchRegistration, "abort");
      let number = 0;
      return [
        async () => {
          const registration = await own(fetch(manager, ["new-" + ++number, requests, options]));
          return await own(abort(registration, []));
        },
      ];
    },

    /** Messages to a worker, and its answers. */
    async messages(t) {
      const { active: worker } = await start(t);
      const { serviceWorker: container } = navigator;
      const postMessage = method(ServiceWorker, "postMessage");
      let answered = null;
      container.addEventListener("message", (event) => answered(event.data));
      container.startMessages();
      const map = new Map([[1, new Set(["text"])]]);
      return [
        () => {
          const promise = own(new Promise((resolve) => answered = resolve));
          postMessage(worker, [{ list: [1], map }]);
          return promise;
        },
      ];
    },

    async serviceWorkers(t) {
      const registration = await start(t);
      const { serviceWorker: container } = navigator;
      const worker = registration.active;
      const C = ServiceWorkerContainer;
      const S = ServiceWorkerRegistration;
      const module = { __proto__: null, type: "module", scope: undefined, updateViaCache: undefined };
      const postMessage = method(ServiceWorker, "postMessage");
      const getterNames = ["scope", "installing", "waiting", "active", "updateViaCache", "backgroundFetch"];
      return [
        ...getterNames.map((name) => getter(S, name)).flatMap((get) => [() => get(registration), () => get(worker)]),
        bound(getter(ServiceWorker, "scriptURL"), worker),
        bound(getter(ServiceWorker, "state"), worker),
        bound(getter(C, "controller"), container),
        bound(getter(C, "controller"), worker),
        bound(method(C, "getRegistration"), container, [registration.scope]),
        bound(method(C, "getRegistration"), container, ["https://elsewhere.test/"]),
        bound(method(C, "getRegistrations"), container, []),
        bound(method(C, "register"), container, ["http://["]),
        bound(method(C, "register"), container, ["/worker.js", module]),
        () => postMessage(worker, [Symbol()]),
        () => postMessage(worker, [worker]),
        () => postMessage(container, [1]),
        bound(setter(S, "onupdatefound"), registration, null),
        () => new S(),
      ];
    },

    async caches(t) {
      const name = `cache-${token}`;
      const { caches } = window;
      const cache = await caches.open(name);
      t.add_cleanup(() => caches.delete(name));
      const url = new URL("/entry", location).href;
      const request = new Request(url, { headers: { a: "b" } });
      const response = new Response("text", { headers: { vary: "a" } });
      await cache.put(request, response.clone());
      const open = method(CacheStorage, "open");
      const has = method(CacheStorage, "has");
      const match = method(Cache, "match");
      const put = method(Cache, "put");
      const query = { __proto__: null, ignoreSearch: true, ignoreMethod: true, ignoreVary: true, cacheName: undefined };
      return [
        () => open(caches, [name]),
        () => has(caches, [name]),
        () => has(cache, [name]),
        bound(method(CacheStorage, "keys"), caches, []),
        bound(method(CacheStorage, "match"), caches, [request, query]),
        bound(method(CacheStorage, "delete"), caches, ["nothing"]),
        () => match(cache, [request]),
        () => match(cache, [url, query]),
        () => match(cache, []),
        bound(method(Cache, "matchAll"), cache, [url, query]),
        bound(method(Cache, "keys"), cache, []),
        bound(method(Cache, "delete"), cache, ["/nothing", query]),
        bound(method(Cache, "add"), cache, ["data:text/plain,"]),
        () => put(cache, ["ftp://there.test/", response]),
        () => put(cache, [url]),
      ];
    },

    async elements() {
      const parent = document.createElement("div");
      document.body.append(parent);
      const { createElement, createTextNode, createComment } = Object.fromEntries(
        ["createElement", "createTextNode", "createComment"].map((name) => [name, method(Document, name)]),
      );
      const nodes = Object.fromEntries(
        ["appendChild", "insertBefore", "removeChild", "replaceChildren", "append", "prepend", "contains", "hasChildNodes", "getRootNode"]
          .map((name) => [name, method(Node, name)]),
      );
      const elements = Object.fromEntries(
        ["setAttribute", "getAttribute", "hasAttribute", "removeAttribute", "getAttributeNames", "matches", "querySelector", "querySelectorAll", "getElementsByTagName", "getElementsByClassName"]
          .map((name) => [name, method(Element, name)]),
      );
      const attributes = ["id", "className", "tagName", "localName", "children", "childElementCount", "firstElementChild"]
        .map((name) => getter(Element, name));
      const ofNodes = ["parentNode", "parentElement", "childNodes", "firstChild", "lastChild", "nextSibling", "previousSibling", "textContent", "isConnected", "ownerDocument"]
        .map((name) => getter(Node, name));
      const setText = setter(Node, "textContent");
      const setId = setter(Element, "id");
      const type = getter(Event, "type");
      const target = getter(Event, "target");
      const addEventListener = method(EventTarget, "addEventListener");
      const removeEventListener = method(EventTarget, "removeEventListener");
      const click = method(HTMLElement, "click");
      const preventDefault = method(Event, "preventDefault");
      const getElementById = method(Document, "getElementById");
      const onclick = setter(HTMLElement, "onclick");
      const capture = { __proto__: null, capture: true, once: true, passive: false, signal: undefined };
      return [
        () => {
          const child = createElement(document, ["span"]);
          nodes.appendChild(parent, [child]);
          nodes.insertBefore(parent, [createTextNode(document, ["text"]), child]);
          nodes.append(parent, [createComment(document, ["comment"]), "more"]);
          nodes.prepend(parent, ["first"]);
          elements.setAttribute(child, ["Class", "one two"]);
          elements.setAttribute(child, ["data-a", "b"]);
          setId(child, "child");
          let text = "";
          for (let i = 0; i < attributes.length; i++) text += describe(attributes[i](child)) + ",";
          for (let i = 0; i < ofNodes.length; i++) text += describe(ofNodes[i](child)) + ",";
          text += describe(elements.getAttribute(child, ["data-A"])) + describe(elements.hasAttribute(child, ["id"])) +
            describe(elements.getAttributeNames(child, [])) + describe(elements.matches(child, ["span.one[data-a=b], p"])) +
            describe(elements.querySelector(parent, ["#child"])) + describe(elements.querySelectorAll(parent, ["*"])[0]) +
            describe(elements.getElementsByTagName(parent, ["SPAN"]).length) +
            describe(elements.getElementsByClassName(parent, ["two one"])[0]) +
            describe(nodes.contains(parent, [child])) + describe(nodes.hasChildNodes(child, [])) + describe(nodes.getRootNode(child, []));
          elements.removeAttribute(child, ["data-a"]);
          setText(child, "new");
          nodes.removeChild(parent, [child]);
          nodes.replaceChildren(parent, []);
          return text;
        },
        () => {
          const child = createElement(document, ["p"]);
          nodes.appendChild(parent, [child]);
          let text = "";
          const heard = (event) => {
            text += type(event) + describe(target(event) === child) + ";";
            preventDefault(event, []);
          };
          addEventListener(parent, ["click", heard, capture]);
          addEventListener(parent, ["click", heard]);
          onclick(child, heard);
          click(child, []);
          onclick(child, null);
          removeEventListener(parent, ["click", heard]);
          click(child, []);
          nodes.removeChild(parent, [child]);
          return text;
        },
        () => createElement(document, ["<"]),
        () => nodes.appendChild(parent, [1]),
        () => nodes.appendChild(parent, [document]),
        () => elements.setAttribute(parent, [" ", ""]),
        () => elements.querySelector(parent, ["a > b"]),
        () => elements.getAttribute(1, ["a"]),
        () => getElementById(document, ["nothing"]),
        bound(getter(Document, "title"), document),
        bound(getter(Document, "body"), document),
      ];
    },

    async navigator(t) {
      const registration = await start(t);
      const { crypto, navigator } = window;
      const { permissions, storage } = navigator;
      const { subtle } = crypto;
      const query = method(Permissions, "query");
      const show = method(ServiceWorkerRegistration, "showNotification");
      const getNotifications = method(ServiceWorkerRegistration, "getNotifications");
      const close = method(Notification, "close");
      const options = {
        __proto__: null, actions: undefined, badge: undefined, body: "Body", data: [1], dir: "ltr", icon: "icon.png", image: undefined,
        lang: "", navigate: undefined, renotify: false, requireInteraction: false, silent: null, tag: "tag", timestamp: 1, vibrate: 5,
      };
      const filter = { __proto__: null, tag: "tag" };
      const randomUUID = method(Crypto, "randomUUID");
      const getRandomValues = method(Crypto, "getRandomValues");
      const iconOf = getter(Notification, "icon");
      const bodyOf = getter(Notification, "body");
      const digest = method(SubtleCrypto, "digest");
      const bytes = new Uint8Array(3);
      const { buffer } = bytes;
      const view = new DataView(buffer, 1);
      return [
        () => query(permissions, [{ __proto__: null, name: "notifications" }]),
        () => query(permissions, [{ __proto__: null, name: "nothing" }]),
        () => query(storage, []),
        bound(method(StorageManager, "persist"), storage, []),
        bound(method(StorageManager, "persisted"), storage, []),
        bound(method(StorageManager, "estimate"), storage, []),
        bound(method(StorageManager, "estimate"), permissions, []),
        bound(getter(Navigator, "onLine"), navigator),
        bound(getter(Navigator, "permissions"), navigator),
        () => typeof randomUUID(crypto, []),
        () => getRandomValues(crypto, [bytes]) === bytes,
        () => getRandomValues(crypto, [view]),
        () => digest(subtle, ["SHA-1", bytes]),
        () => digest(subtle, ["sha-256", view]),
        () => digest(subtle, [{ __proto__: null, name: "SHA-512" }, buffer]),
        () => digest(subtle, ["MD5", bytes]),
        () => digest(subtle, ["SHA-1", 1]),
        async () => {
          await own(show(registration, ["Title", options]));
          const shown = await own(getNotifications(registration, [filter]));
          for (let i = 0; i < shown.length; i++) close(shown[i], []);
          return describe(shown.length) + iconOf(shown[0]) + bodyOf(shown[0]);
        },
        () => show(registration, []),
        () => new Notification("Title", options) !== null,
      ];
    },

    async structuredClone() {
      const { structuredClone } = window;
      const value = { list: [1, "text", true, null, 2n, -0, undefined], date: new Date(5), regexp: /a/g, object: new Boolean(true) };
      value.map = new Map([[value, new Set([value.list])]]);
      value.bytes = new Uint16Array(new ArrayBuffer(8, { maxByteLength: 10 }), 2, 2);
      value.view = new DataView(new ArrayBuffer(1));
      value.error = new DOMException("text", "AbortError");
      const check = (clone) => clone.list[1] + describe(clone.list[4]) + describe(clone.map !== value.map) + describe(clone.error);
      const uncloneable = new Map([[1, navigator]]);
      const { port1 } = new MessageChannel();
      const postMessage = method(MessagePort, "postMessage");
      return [
        () => check(structuredClone(value)),
        () => structuredClone(uncloneable),
        () => structuredClone(() => {}),
        () => structuredClone(value, 1),
        () => postMessage(port1, [value]),
        () => postMessage(port1, [port1]),
      ];
    },
  };
})();
