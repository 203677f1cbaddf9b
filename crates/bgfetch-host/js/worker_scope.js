// https://html.spec.whatwg.org/multipage/workers.html#the-workerglobalscope-common-interface: what
// every kind of worker has.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_host_import_script } = core.ops;
const { DOMException, webidl } = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { structuredClone } = core.loadExtScript("ext:bgfetch_host/structured_clone.js");

function importScripts(...urls) {
  const prefix = "Failed to execute 'importScripts' on 'WorkerGlobalScope'";
  const parsed = urls.map((url, index) => {
    const text = webidl.converters.USVString(url, prefix, `Argument ${index + 1}`);
    try {
      return new URL(text, location.href).href;
    } catch {
      throw new DOMException(`${prefix}: '${text}' is not a URL`, "SyntaxError");
    }
  });
  for (const url of parsed) {
    const { source, error: failure } = op_host_import_script(url);
    if (failure) throw new DOMException(`${prefix}: ${url}: ${failure}`, "NetworkError");
    const [, error] = core.evalContext(source, url);
    if (error) throw error.thrown;
  }
}

/** To whoever made the worker. No script did, so that nobody listens. */
function postMessage(message, options = {}) {
  webidl.requiredArguments(
    arguments.length,
    1,
    "Failed to execute 'postMessage' on 'DedicatedWorkerGlobalScope'",
  );
  structuredClone(message, options);
}

function installWorkerScope(kind, global) {
  const functions = kind === "DedicatedWorker" ? { importScripts, postMessage } : { importScripts };
  for (const [name, value] of Object.entries(functions)) {
    Object.defineProperty(global, name, {
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
  }
}

return { installWorkerScope };
})();
