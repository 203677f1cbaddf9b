// META: variant=?first
// META: variant=?second

// Each variant is a page of its own.
"use strict";

test(() => {
  assert_in_array(location.search, ["?first", "?second"]);
}, "The page has the variant's query");
