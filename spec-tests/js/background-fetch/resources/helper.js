// What the tests of this folder share. A page has one service worker registration for each behaviour
// of service_workers/reporter.js; the worker tells the page of its events.
"use strict";

const SERVICE_WORKERS = "/background-fetch/service_workers/";

/** Milliseconds after which a test fails, so that one that hangs does not keep others from running. */
const LIMIT = 5000;

function limit(t) {
  t.step_timeout(() => assert_unreached("the test does not end"), LIMIT);
}

const testDriver = (async () => {
  for (const name of ["testdriver.js", "testdriver-vendor.js"]) {
    const script = document.createElement("script");
    const loaded = once(script, "load");
    script.src = `/resources/${name}`;
    document.head.append(script);
    await loaded;
  }
})();

/** Sets a permission, as the user does. */
async function setPermission(name, state) {
  await testDriver;
  await test_driver.set_permission({ name }, state);
}

/**
 * Browsers may ask for the permission by themselves otherwise. One that cannot be told has to grant it
 * by itself.
 */
const granted = setPermission("background-fetch", "granted").catch(() => {});

/** Resolves with the registration once its worker is activated. */
async function activated(registration) {
  const worker = registration.installing ?? registration.waiting ?? registration.active;
  while (worker.state !== "activated") {
    await new Promise((resolve) => {
      worker.addEventListener("statechange", resolve, { once: true });
    });
  }
  return registration;
}

/** A registration of service_workers/reporter.js, and what its worker told. */
class Reporter {
  #reports = [];
  #waiting = new Set();

  constructor(registration) {
    this.registration = registration;
    navigator.serviceWorker.addEventListener("message", ({ data }) => {
      if (data.scope !== registration.scope) return;
      this.#reports.push(data);
      for (const wake of this.#waiting) wake();
      this.#waiting.clear();
    });
    navigator.serviceWorker.startMessages();
  }

  static async start(behaviour, scope = behaviour) {
    const registration = await navigator.serviceWorker.register(
      `${SERVICE_WORKERS}reporter.js?behaviour=${behaviour}`,
      { scope: SERVICE_WORKERS + scope },
    );
    return new Reporter(await activated(registration));
  }

  /** The next report with that id and, where it is given, of that type; each is given out once. */
  async report(id, type = undefined) {
    const fits = (report) => report.id === id && (type === undefined || report.type === type);
    for (;;) {
      const index = this.#reports.findIndex(fits);
      if (index >= 0) return this.#reports.splice(index, 1)[0];
      await new Promise((resolve) => this.#waiting.add(resolve));
    }
  }

  /** The types of the reports with that id that nobody took so far. */
  left(id) {
    return this.#reports.filter((report) => report.id === id).map(({ type }) => type);
  }

  /** Sends the worker a message and resolves with its answer. */
  async ask(message) {
    const id = newToken();
    this.registration.active.postMessage({ ...message, answer: id });
    const { value, error } = await this.report(id);
    if (error !== undefined) throw error;
    return value;
  }
}

const reporters = new Map();

function reporterOf(behaviour) {
  if (!reporters.has(behaviour)) reporters.set(behaviour, Reporter.start(behaviour));
  return reporters.get(behaviour);
}

/**
 * A promise_test with a registration. `run` is given the test, the reporter, its registration's
 * manager, an id that no other test uses, and `settled()` for the report of that id's end.
 */
function background_fetch_test(run, description, { behaviour = "report" } = {}) {
  promise_test(async (t) => {
    limit(t);
    await granted;
    const reporter = await reporterOf(behaviour);
    const { backgroundFetch: manager } = reporter.registration;
    const id = newToken();
    t.add_cleanup(async () => {
      for (const active of await manager.getIds()) {
        // A browser may list an id that it does not find.
        const registration = await manager.get(active).catch(() => undefined);
        await registration?.abort();
      }
    });
    const settled = async () => {
      for (;;) {
        const report = await reporter.report(id);
        if (report.type !== "backgroundfetchclick") return report;
      }
    };
    await run({ t, reporter, manager, id, settled });
  }, description);
}

/** A promise_test with a registration of its own, which it may unregister. */
function own_registration_test(run, description) {
  promise_test(async (t) => {
    limit(t);
    await granted;
    const reporter = await Reporter.start("report", newToken());
    t.add_cleanup(() => reporter.registration.unregister());
    await run(t, reporter, reporter.registration.backgroundFetch, newToken());
  }, description);
}

/** An iterable that nothing is looked up for but its own members. */
function iterable(values) {
  return {
    __proto__: null,
    [Symbol.iterator]() {
      let next = 0;
      return {
        __proto__: null,
        next: () => ({ __proto__: null, done: next >= values.length, value: values[next++] }),
      };
    },
  };
}

/** Resolves at the next event of that type. */
function once(target, type) {
  return new Promise((resolve) => target.addEventListener(type, resolve, { once: true }));
}

/** Resolves when progress made the registration fulfil the condition. */
async function until(registration, condition) {
  while (!condition(registration)) await once(registration, "progress");
}

/**
 * Lets answers begin whose heads are held, once the page follows the fetch. Chromium may not tell a
 * page of an end that comes while the page gets its registration.
 */
async function releaseFollowed(registration, server, answers = 1) {
  await registration.match("/");
  for (let i = 0; i < answers; i++) await server.release();
}

/** Resolves when the page sees the result, which can be after a message of the worker (D18). */
function ended(registration) {
  return until(registration, ({ result }) => result !== "");
}

/** Resolves when the settling event is over and the records are gone, which no event tells. */
async function over(registration) {
  while (registration.recordsAvailable) await registration.match("/").catch(() => {});
}

/** Asserts what became of a record, as a report has it. */
function assert_body(record, size, seed = 0) {
  assert_equals(record.error, undefined, "the record has a response");
  assert_equals(record.size, size, "length of the body");
  assert_equals(record.seed, seed, "representation of the body");
}

/** The length of a body that is cut, and where. */
const WHOLE = 60_000;
const HALF = 30_000;
