// The classes of the errors that ops throw: see exceptions.rs.
(function () {
"use strict";

const { core } = __bootstrap;
const { DOMException, QuotaExceededError } = core.loadExtScript("ext:bgfetch_deno/deno.js");

for (const name of ["AbortError", "InvalidStateError", "NotAllowedError", "OperationError"]) {
  core.registerErrorBuilder(
    `BackgroundFetch${name}`,
    (message) => new DOMException(message, name),
  );
}
core.registerErrorBuilder(
  "BackgroundFetchQuotaExceededError",
  (message) => new QuotaExceededError(message),
);
})();
