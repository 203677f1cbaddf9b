// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// The API base URL is the document base URL
// (https://html.spec.whatwg.org/multipage/urls-and-fetching.html#document-base-url).
"use strict";

function base(t, href) {
  const element = document.createElement("base");
  if (href !== null) element.href = href;
  document.head.append(element);
  t.add_cleanup(() => element.remove());
  return element;
}

background_fetch_test(async ({ t, manager, id }) => {
  base(t, null);
  base(t, "first/");
  base(t, "/second/");
  const folder = new URL("first/", location).href;
  assert_equals(document.baseURI, folder);
  const registration = await manager.fetch(id, ["text", new Request("made"), "/root", "?query"]);
  const urls = (await registration.matchAll()).map(({ request }) => request.url);
  const expected = [`${folder}text`, `${folder}made`, `${location.origin}/root`, `${folder}?query`];
  assert_array_equals(urls, expected);
  assert_equals((await registration.match("made")).request.url, `${folder}made`);
}, "The first <base> with an href counts for fetch(), match() and Request");

background_fetch_test(async ({ t, manager, id }) => {
  const element = base(t, "/folder/");
  assert_equals(element.href, `${location.origin}/folder/`);
  const before = new Request("a");
  element.href = "http://[";
  assert_equals(document.baseURI, location.href);
  const registration = await manager.fetch(id, [before, "b"]);
  const urls = (await registration.matchAll()).map(({ request }) => request.url);
  assert_array_equals(urls, [`${location.origin}/folder/a`, new URL("b", location).href]);
}, "A base URL that is none is the document's own, and a Request keeps its URL");

promise_test(async (t) => {
  base(t, "service_workers/");
  const folder = new URL("service_workers/", location).href;
  const options = { scope: `base-${newToken()}` };
  const registration = await navigator.serviceWorker.register("reporter.js?behaviour=report", options);
  t.add_cleanup(() => registration.unregister());
  assert_equals(registration.scope, folder + options.scope);
  assert_equals(registration.installing.scriptURL, `${folder}reporter.js?behaviour=report`);
  assert_equals(await navigator.serviceWorker.getRegistration(options.scope), registration);
  await activated(registration);
  await setPermission("notifications", "granted");
  await registration.showNotification("title", { icon: "icon.png", image: "http://[" });
  const [{ icon, image }] = await registration.getNotifications();
  assert_equals(icon, `${folder}icon.png`);
  assert_equals(image, "");
}, "It counts for service workers and notifications");

promise_test(async (t) => {
  base(t, "/folder/");
  const folder = `${location.origin}/folder/`;
  const name = newToken();
  const cache = await caches.open(name);
  t.add_cleanup(() => caches.delete(name));
  await cache.put("entry", new Response("text"));
  assert_array_equals((await cache.keys()).map(({ url }) => url), [`${folder}entry`]);
  assert_equals(await (await caches.match("/folder/entry")).text(), "text");
  assert_equals(Response.redirect("there").headers.get("location"), `${folder}there`);
  assert_throws_js(TypeError, () => Response.redirect("http://["));
  assert_equals(new Request("/", { referrer: "page" }).referrer, `${folder}page`);
  assert_equals(new Request("/", { referrer: "" }).referrer, "");
  assert_equals(new Request("/", { referrer: "about:client" }).referrer, "about:client");
  const script = document.createElement("script");
  script.src = "script.js";
  assert_equals(script.src, `${folder}script.js`);
}, "It counts for caches, responses, referrers and elements");

promise_test(async (t) => {
  for (const href of ["data:text/plain,", "javascript:0"]) {
    const element = base(t, href);
    assert_equals(document.baseURI, location.href);
    element.remove();
  }
}, "Schemes that are no base are ignored");
