// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// DOMStrings keep their code units, so that BackgroundFetchManager get() finds ids that are no valid
// Unicode, and BackgroundFetchManager getIds() tells them; USVStrings get one U+FFFD for each lone surrogate.
"use strict";

const held = () => new Server([{ holdHead: true }]).url;

background_fetch_test(async ({ manager, id }) => {
  // The last two are what the first and U+FFFF could be written as.
  const ends = ["\uD800", "\uDC00", "\uDC00\uD800", "\uFFFD", "\uFFFF", "\uFFFFd800", "\uFFFFffff"];
  const ids = ends.map((end) => id + end);
  for (const each of ids) assert_equals((await manager.fetch(each, held())).id, each);
  assert_array_equals(await manager.getIds(), ids);
  for (const each of ids) assert_equals((await manager.get(each)).id, each);
  assert_equals(await manager.get(`${id}\uD801`), undefined);
}, "Ids that differ in lone surrogates, and those that look like their escapes, are distinct");

background_fetch_test(async ({ t, manager, id }) => {
  await manager.fetch(`${id}\uDFFF`, held());
  await promise_rejects_js(t, TypeError, manager.fetch(`${id}\uDFFF`, held()));
}, "An id with a lone surrogate is in use");

background_fetch_test(async ({ manager, id, reporter }) => {
  const odd = `\uDBFF${id}`;
  const registration = await manager.fetch(odd, new Server([{ size: 10 }]).url);
  const report = await reporter.report(odd);
  assert_equals(report.type, "backgroundfetchsuccess");
  assert_equals(registration.id, odd);
  assert_array_equals(await manager.getIds(), []);
}, "An event tells of the id as the page gave it");

background_fetch_test(async ({ manager, id }) => {
  const server = new Server([{ holdHead: true }]);
  const url = server.urlOf("\uDC00a\uD800");
  const registration = await manager.fetch(id, [url, new Request(url)], {
    title: "\uD800",
    icons: [{ src: "/\uD800", sizes: "\uD800", label: "\uD800", type: "\uD800" }],
  });
  const wanted = server.urlOf("%EF%BF%BDa%EF%BF%BD");
  for (const record of await registration.matchAll()) assert_equals(record.request.url, wanted);
  assert_equals((await registration.matchAll(url)).length, 2);
}, "URLs get one U+FFFD for each lone surrogate");

promise_test(async () => {
  const url = new URL("https://a.test/");
  url.search = "\uD800";
  url.hash = "\uDC00\uD800";
  assert_equals(url.href, "https://a.test/?%EF%BF%BD#%EF%BF%BD%EF%BF%BD");
  assert_equals(URL.parse("\uD800", "https://a.test/\uD800/").pathname, "/%EF%BF%BD/%EF%BF%BD");
  assert_array_equals(new TextEncoder().encode("\uD800a"), [0xef, 0xbf, 0xbd, 0x61]);
  assert_equals(await new Blob(["\uDC00"]).text(), "\uFFFD");
  assert_equals(await new Request("/", { method: "POST", body: "a\uD800" }).text(), "a\uFFFD");
}, "So do other texts that leave scripts");
