// https://w3c.github.io/ServiceWorker/, as far as a realm knows its own registration.
(function () {
"use strict";

function installServiceWorkerApi(kind, scope, { define, EventTarget, webidl }) {
  const create = Symbol("create");

  class ServiceWorkerRegistration extends EventTarget {
    #scope;

    constructor(key = null, scope = null) {
      if (key !== create) webidl.illegalConstructor();
      super();
      this.#scope = scope;
    }

    get scope() {
      return this.#scope;
    }
  }
  const { get } = Object.getOwnPropertyDescriptor(ServiceWorkerRegistration.prototype, "scope");
  webidl.configureInterface(ServiceWorkerRegistration);
  define({ ServiceWorkerRegistration }, false);

  const registration = scope === null ? null : new ServiceWorkerRegistration(create, scope);
  if (kind === "ServiceWorker") {
    define({ registration }, true);
  } else if (kind === "Window") {
    installContainer(registration, { create, define, EventTarget, webidl });
  }
  return {
    ServiceWorkerRegistration,
    scopeOf: (object) => Reflect.apply(get, object, []),
  };
}

function installContainer(registration, { create, define, EventTarget, webidl }) {
  class ServiceWorkerContainer extends EventTarget {
    #ready;

    constructor(key = null) {
      if (key !== create) webidl.illegalConstructor();
      super();
      this.#ready = registration === null ? new Promise(() => {}) : Promise.resolve(registration);
    }

    get ready() {
      return this.#ready;
    }
  }
  webidl.configureInterface(ServiceWorkerContainer);

  class Navigator {
    #serviceWorker;

    constructor(key = null) {
      if (key !== create) webidl.illegalConstructor();
      this.#serviceWorker = new ServiceWorkerContainer(create);
    }

    get serviceWorker() {
      return this.#serviceWorker;
    }
  }
  webidl.configureInterface(Navigator);
  define({ Navigator, ServiceWorkerContainer }, false);
  define({ navigator: new Navigator(create) }, true);
}

return { installServiceWorkerApi };
})();
