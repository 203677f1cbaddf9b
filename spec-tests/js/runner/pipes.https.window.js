// `?pipe=` changes responses.
"use strict";

const bytes = "resources/bytes.txt";

promise_test(async () => {
  const response = await fetch(`${bytes}?pipe=status(418)|header(X-Test,a)|header(X-Test,b,True)`);
  assert_equals(response.status, 418);
  assert_equals(response.headers.get("X-Test"), "a, b");
}, "Status and headers are set");

promise_test(async () => {
  const response = await fetch(`${bytes}?pipe=slice(2,5)`);
  assert_equals(await response.text(), "234");
}, "A slice is sent");

promise_test(async () => {
  const response = await fetch(`${bytes}?pipe=trickle(3:d0.01:r2)`);
  assert_equals(await response.text(), "0123456789\n");
  assert_equals(response.headers.get("Content-Length"), null);
}, "A trickle sends all");

promise_test(async () => {
  const response = await fetch("resources/told.sub.js?pipe=slice(0,12)");
  assert_equals(await response.text(), '"use strict"');
}, "A pipe stands in place of the substitution");

promise_test(async () => {
  const response = await fetch("resources/missing.txt");
  assert_equals(response.status, 404);
  const { error } = await response.json();
  assert_equals(error.code, 404);
}, "What is missing is told in JSON");
