// META: script=/resources/testdriver.js
// META: script=/resources/testdriver-vendor.js
// Notifications: https://notifications.spec.whatwg.org/
"use strict";

const active = (async () => {
  await test_driver.set_permission({ name: "notifications" }, "granted");
  const made = await navigator.serviceWorker.register("resources/worker.js", { scope: "resources/" });
  const worker = made.installing ?? made.active;
  while (worker.state !== "activated") {
    await new Promise((resolve) => {
      worker.addEventListener("statechange", resolve, { once: true });
    });
  }
  return made;
})();

/** Closes what a test shows. */
function closing(t, registration) {
  t.add_cleanup(async () => {
    for (const notification of await registration.getNotifications()) notification.close();
  });
}

promise_test(async () => {
  await active;
  assert_equals(Notification.permission, "granted");
  assert_equals(await Notification.requestPermission(), "granted");
  const told = new Promise((resolve) => Notification.requestPermission(resolve));
  assert_equals(await told, "granted");
}, "The permission is granted");

promise_test(async () => {
  const registration = await active;
  const options = {
    body: "Two files",
    tag: "done",
    icon: "icon.png",
    data: { episode: 5, bytes: new Uint8Array([1, 2]) },
    actions: [{ action: "play", title: "Play" }],
    vibrate: 200,
    timestamp: 1234,
  };
  assert_equals(await registration.showNotification("Ready", options), undefined);
  const [shown, ...others] = await registration.getNotifications();
  assert_array_equals(others, []);
  assert_true(shown instanceof Notification);
  for (const [name, expected] of Object.entries({
    title: "Ready",
    body: "Two files",
    tag: "done",
    icon: new URL("icon.png", location).href,
    image: "",
    dir: "auto",
    lang: "",
    timestamp: 1234,
    silent: null,
    renotify: false,
    requireInteraction: false,
  })) {
    assert_equals(shown[name], expected, name);
  }
  assert_array_equals(shown.vibrate, [200]);
  assert_equals(shown.actions[0].action, "play");
  assert_equals(shown.data.episode, 5);
  assert_array_equals(shown.data.bytes, [1, 2]);
  assert_equals(shown.data, shown.data);
  assert_true(Object.isFrozen(shown.actions) && Object.isFrozen(shown.vibrate));
}, "What a registration shows can be got again");

/** Resolves with a notification that the page itself shows, after all earlier events. */
async function shownByPage() {
  const notification = new Notification("From the page", { body: "text" });
  const { type } = await new Promise((resolve) => notification.onshow = resolve);
  assert_equals(type, "show");
  return notification;
}

async function titles(registration, filter) {
  return (await registration.getNotifications(filter)).map(({ title }) => title);
}

promise_test(async (t) => {
  const registration = await active;
  closing(t, registration);
  await registration.showNotification("Another", { tag: "done" });
  await registration.showNotification("No tag");
  assert_array_equals((await titles(registration)).sort(), ["Another", "No tag"]);
  assert_array_equals(await titles(registration, { tag: "done" }), ["Another"]);
  for (const notification of await registration.getNotifications()) {
    notification.onclose = t.unreached_func("a persistent notification fires no close event");
    notification.close();
  }
  assert_array_equals(await titles(registration), []);
  (await shownByPage()).close();
}, "A tag is shown once, and what is closed is gone");

promise_test(async (t) => {
  const registration = await active;
  closing(t, registration);
  await registration.showNotification("First", { tag: "done" });
  await registration.showNotification("Second");
  assert_array_equals(await titles(registration), ["First", "Second"]);
}, "Notifications are in the order of their creation");

promise_test(async (t) => {
  const registration = await active;
  const refused = (...args) =>
    promise_rejects_js(t, TypeError, registration.showNotification(...args));
  await refused();
  await refused("x", { renotify: true });
  await refused("x", { silent: true, vibrate: [1] });
  await refused("x", { dir: "up" });
  await promise_rejects_dom(
    t,
    "DataCloneError",
    registration.showNotification("x", { data: () => {} }),
  );
  assert_array_equals(await registration.getNotifications(), []);
}, "What cannot be shown is refused");

promise_test(async () => {
  const registration = await active;
  const notification = await shownByPage();
  assert_equals(notification.body, "text");
  assert_throws_js(TypeError, () => new Notification("x", { actions: [{ action: "a", title: "b" }] }));
  assert_array_equals(await registration.getNotifications(), [], "it has no registration");
  let closed = 0;
  notification.onclose = () => closed++;
  notification.close();
  notification.close();
  (await shownByPage()).close();
  assert_equals(closed, 1);
}, "A page shows a notification of its own, and is told once that it is closed");
