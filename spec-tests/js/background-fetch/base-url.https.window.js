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
