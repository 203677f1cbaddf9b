// https://html.spec.whatwg.org/multipage/workers.html#the-workerglobalscope-common-interface: the
// members that every kind of worker has.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_host_explain_syntax_error, op_host_import_script } = core.ops;
const { map } = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const { DOMException, evaluate, isSyntaxError, parseUrl } = core.loadExtScript(
  "ext:bgfetch_deno/deno.js",
);
const { muteErrorsOf } = core.loadExtScript("ext:bgfetch_host/errors.js");
const { requiredArguments, usvString } = core.loadExtScript("ext:bgfetch_deno/webidl.js");
const { structuredClone } = core.loadExtScript("ext:bgfetch_host/structured_clone.js");

function importScripts(...urls) {
  const prefix = "Failed to execute 'importScripts' on 'WorkerGlobalScope'";
  const parsed = map(urls, (url, index) => {
    const text = usvString(url, prefix, "Argument " + (index + 1));
    try {
      return parseUrl(text);
    } catch {
      throw new DOMException(prefix + ": '" + text + "' is not a URL", "SyntaxError");
    }
  });
  for (let i = 0; i < parsed.length; i++) {
    const url = parsed[i];
    const script = op_host_import_script(url);
    // What is wrong could reveal something about another origin.
    const failed = () => new DOMException(prefix + ": " + url + " failed", "NetworkError");
    if (script === null) throw failed();
    const { source, hasMutedErrors } = script;
    if (hasMutedErrors) muteErrorsOf(url);
    const error = evaluate(source, url);
    if (error !== null) {
      if (hasMutedErrors) throw failed();
      if (isSyntaxError(error.thrown)) op_host_explain_syntax_error(source);
      throw error.thrown;
    }
  }
}

/**
 * A message to the creator of the worker. That is not a script, so nothing receives the message.
 */
function postMessage(message, options = undefined) {
  requiredArguments(
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
