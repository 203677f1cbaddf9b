// META: timeout=long
// `bgfetchTesting`: what the user does, and what a crash does.
"use strict";

async function registration() {
  const made = await navigator.serviceWorker.register("/runner/resources/worker.js", {
    scope: "/runner/resources/",
  });
  const worker = made.installing ?? made.active;
  while (worker.state !== "activated") {
    await new Promise((resolve) => {
      worker.addEventListener("statechange", resolve, { once: true });
    });
  }
  return made;
}

const ready = registration();
const forever = "/common/slow.py?delay=600000";

function background_fetch_test(run, description) {
  promise_test(async (t) => {
    const { backgroundFetch } = await ready;
    const id = description;
    await backgroundFetch.fetch(id, forever, { title: "A title" });
    t.add_cleanup(() => {
      bgfetchTesting.abort(id);
    });
    // The work begins when the microtasks of the promise have run.
    await new Promise((resolve) => setTimeout(resolve));
    await run(id);
  }, description);
}

test(() => {
  for (const name of ["state", "pause", "resume", "abort", "click"]) {
    assert_throws_js(Error, () => bgfetchTesting[name]("there is none"), name);
  }
  assert_throws_js(Error, () => bgfetchTesting.setPermission("perhaps"));
}, "What is not there is an error");

background_fetch_test((id) => {
  const expected = {
    id,
    scope: new URL("/runner/resources/", location).href,
    title: "A title",
    downloaded: 0,
    downloadTotal: 0,
    uploaded: 0,
    uploadTotal: 0,
    paused: false,
    pauseReason: null,
    result: "",
    failureReason: "",
  };
  const state = bgfetchTesting.state(id);
  assert_object_equals(state, expected);
  assert_object_equals(bgfetchTesting.list().find((it) => it.id === id), expected);
}, "A fetch is shown as the user sees it");

background_fetch_test((id) => {
  bgfetchTesting.pause(id);
  assert_equals(bgfetchTesting.state(id).pauseReason, "user");
  bgfetchTesting.resume(id);
  assert_false(bgfetchTesting.state(id).paused);
}, "A pause and its end are seen at once");

background_fetch_test((id) => {
  assert_true(bgfetchTesting.abort(id));
  const { result, failureReason } = bgfetchTesting.state(id);
  assert_array_equals([result, failureReason], ["failure", "aborted"]);
  assert_false(bgfetchTesting.abort(id));
}, "An abort is seen at once");

promise_test(async () => {
  const { backgroundFetch } = await ready;
  for (let round = 0; round < 5; round++) {
    const id = `many ${round}`;
    await backgroundFetch.fetch(id, Array.from({ length: 20 }, (_, i) => `${forever}&${i}`));
    // Some have been sent by now, others wait for their turn.
    await new Promise((resolve) => setTimeout(resolve));
    assert_true(bgfetchTesting.abort(id));
    const { result, failureReason } = bgfetchTesting.state(id);
    assert_array_equals([result, failureReason], ["failure", "aborted"]);
  }
}, "An abort of many requests is seen at once, whatever they wait for");

promise_test(async () => {
  const { backgroundFetch } = await ready;
  const fetch = await backgroundFetch.fetch("by a script", forever);
  const aborted = fetch.abort();
  assert_false(bgfetchTesting.abort("by a script"));
  assert_equals(bgfetchTesting.state("by a script").failureReason, "aborted");
  assert_true(await aborted);
}, "An abort waits for the one that a script began before");

background_fetch_test(async (id) => {
  const offline = new Promise((resolve) => addEventListener("offline", resolve, { once: true }));
  bgfetchTesting.setOffline(true);
  assert_equals(bgfetchTesting.state(id).pauseReason, "offline");
  await offline;
  assert_false(navigator.onLine);
  const online = new Promise((resolve) => addEventListener("online", resolve, { once: true }));
  bgfetchTesting.setOffline(false);
  assert_false(bgfetchTesting.state(id).paused);
  await online;
  assert_true(navigator.onLine);
}, "Being offline is seen at once, and told to the page");

background_fetch_test(async (id) => {
  bgfetchTesting.click(id);
  const shown = await (await ready).getNotifications({ tag: "clicked" });
  assert_array_equals(shown.map(({ title }) => title), [id]);
}, "A click is seen at once");

background_fetch_test(async (id) => {
  bgfetchTesting.restartEngine();
  assert_equals(bgfetchTesting.state(id).result, "", "it goes on");
  const { backgroundFetch } = await ready;
  assert_array_equals(await backgroundFetch.getIds(), [id]);
}, "A crash of the engine loses nothing");

promise_test(async (t) => {
  const { backgroundFetch } = await ready;
  bgfetchTesting.setPermission("denied");
  t.add_cleanup(() => bgfetchTesting.setPermission("granted"));
  await promise_rejects_dom(t, "NotAllowedError", backgroundFetch.fetch("denied", forever));
}, "A permission is taken away");
