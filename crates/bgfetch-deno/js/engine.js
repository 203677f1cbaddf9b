// The engine's operations, for the interfaces. Fetches are known by their keys, service worker
// registrations by their scopes, and records, events and extensions by numbers.
(function () {
"use strict";

const { core } = __bootstrap;
const {
  op_bgfetch_abort,
  op_bgfetch_attributes,
  op_bgfetch_check_request,
  op_bgfetch_close_record,
  op_bgfetch_end_dispatch,
  op_bgfetch_extend,
  op_bgfetch_fetch,
  op_bgfetch_forget,
  op_bgfetch_get,
  op_bgfetch_get_ids,
  op_bgfetch_match_all,
  op_bgfetch_next_event,
  op_bgfetch_next_update,
  op_bgfetch_request_body,
  op_bgfetch_response_ready,
  op_bgfetch_settle,
  op_bgfetch_start,
  op_bgfetch_update_ui,
} = core.ops;
const { asyncOp } = core.loadExtScript("ext:bgfetch_deno/deno.js");

/** An op without arguments that does not keep the embedder's event loop alive while it waits. */
function waitingOp(stub) {
  const op = asyncOp(stub);
  return () => {
    const promise = op();
    core.unrefOpPromise(promise);
    return promise;
  };
}

return {
  __proto__: null,
  abort: asyncOp(op_bgfetch_abort),
  attributes: op_bgfetch_attributes,
  checkRequest: op_bgfetch_check_request,
  closeRecord: op_bgfetch_close_record,
  endDispatch: op_bgfetch_end_dispatch,
  extend: op_bgfetch_extend,
  fetch: asyncOp(op_bgfetch_fetch),
  forget: op_bgfetch_forget,
  get: asyncOp(op_bgfetch_get),
  getIds: asyncOp(op_bgfetch_get_ids),
  matchAll: asyncOp(op_bgfetch_match_all),
  nextEvent: waitingOp(op_bgfetch_next_event),
  nextUpdate: waitingOp(op_bgfetch_next_update),
  requestBody: op_bgfetch_request_body,
  responseReady: asyncOp(op_bgfetch_response_ready),
  settle: op_bgfetch_settle,
  start: op_bgfetch_start,
  updateUI: asyncOp(op_bgfetch_update_ui),
};
})();
