// META: title=A title & its marks <
// META: script=resources/helper.js
// META: script=/runner/resources/told.sub.js?word=told
// META: timeout=long

// What `// META:` lines say is done, and what the server substitutes is told.
"use strict";

test(() => {
  assert_equals(document.title, "A title & its marks <");
}, "The page has the title");

test(() => {
  assert_equals(helper, "helper.js ran");
  assert_equals(told.word, "told");
}, "Scripts ran before the test, in a folder beside it and by a path");

test(() => {
  assert_equals(told.host, location.hostname);
  assert_equals(told.port, location.port);
  assert_equals(told.subdomain, `www1.${location.hostname}`);
  assert_not_equals(told.alternate, location.hostname);
  assert_not_equals(told.httpPort, location.port);
}, "Names and ports are substituted");

test(() => {
  const long = document.querySelector("meta[name=timeout]");
  assert_equals(long.getAttribute("content"), "long");
}, "The harness is told of the longer time");
