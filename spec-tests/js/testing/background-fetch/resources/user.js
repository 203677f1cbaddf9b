// What the user does in the tests of this folder, beside what `bgfetchTesting` has a call for.
"use strict";

/** Is offline from now on, at most until the end of the test. */
function goOffline(t) {
  t.add_cleanup(() => bgfetchTesting.setOffline(false));
  bgfetchTesting.setOffline(true);
}
