// https://fetch.spec.whatwg.org/#fetch-method, over the user agent's network.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_host_fetch, op_host_fetch_handle } = core.ops;
const { getterOf, uncurryThis } = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const {
  AbortSignal,
  asyncOp,
  bodyErrorer,
  newResponse,
  onAbort,
  parseUrl,
  Request,
  takeBody,
  toStoredRequest,
  withAbsoluteReferrer,
} = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { isDanglingMarkup } = core.loadExtScript("ext:bgfetch_deno/dangling_markup.js");
const { requestInfo, requiredArguments } = core.loadExtScript("ext:bgfetch_deno/webidl.js");

const fetchFromNetwork = asyncOp(op_host_fetch);
const signalOf = getterOf(Request.prototype, "signal");
const reasonOf = getterOf(AbortSignal.prototype, "reason");
const throwIfAborted = uncurryThis(AbortSignal.prototype.throwIfAborted);

async function fetch(input, init = undefined) {
  requiredArguments(arguments.length, 1, "Failed to execute 'fetch'");
  const { response } = await fetchResponse(input, init);
  return response;
}

/**
 * The response, in a record, because resolving a promise with the response itself would look up
 * `then`.
 */
async function fetchResponse(input, init) {
  const prefix = "Failed to execute 'fetch'";
  const info = requestInfo(input, prefix, "Argument 1");
  const source = typeof info === "string" ? parseUrl(info) : info;
  const request = new Request(source, withAbsoluteReferrer(init));
  const signal = signalOf(request);
  throwIfAborted(signal);
  const stored = toStoredRequest(request);
  stored.dangling_markup = isDanglingMarkup(info);
  const handle = op_host_fetch_handle();
  onAbort(signal, () => core.tryClose(handle));
  try {
    const { head, body } = await fetchFromNetwork(handle, stored, takeBody(request));
    throwIfAborted(signal);
    const response = newResponse(head, body);
    const endBody = bodyErrorer(response);
    onAbort(signal, () => endBody(reasonOf(signal)));
    return { __proto__: null, response };
  } catch (error) {
    throwIfAborted(signal);
    throw error;
  } finally {
    core.tryClose(handle);
  }
}

return { fetch, fetchResponse };
})();
