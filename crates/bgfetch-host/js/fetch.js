// https://fetch.spec.whatwg.org/#fetch-method, through the network of the user agent.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_host_fetch, op_host_fetch_handle } = core.ops;
const {
  bodyErrorer,
  newResponse,
  onAbort,
  Request,
  takeBody,
  toStoredRequest,
  webidl,
} = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { isDanglingMarkup } = core.loadExtScript("ext:bgfetch_deno/dangling_markup.js");

async function fetch(input, init = {}) {
  webidl.requiredArguments(arguments.length, 1, "Failed to execute 'fetch'");
  const request = new Request(input, init);
  const { signal } = request;
  signal.throwIfAborted();
  const stored = { ...toStoredRequest(request), dangling_markup: isDanglingMarkup(input) };
  const handle = op_host_fetch_handle();
  onAbort(signal, () => core.tryClose(handle));
  try {
    const { head, body } = await op_host_fetch(handle, stored, takeBody(request));
    signal.throwIfAborted();
    const response = newResponse(head, body);
    const endBody = bodyErrorer(response);
    onAbort(signal, () => endBody(signal.reason));
    return response;
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    core.tryClose(handle);
  }
}

return { fetch };
})();
