// https://html.spec.whatwg.org/multipage/webappapis.html#report-an-exception: uncaught errors. Those
// of scripts of other origins are muted, because their texts could tell a page what a response of
// another origin contains.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_host_console } = core.ops;
const { getterOf, SafeSet } = core.loadExtScript("ext:bgfetch_deno/primordials.js");
const { fire, reportException } = core.loadExtScript("ext:bgfetch_deno/deno.js");
const event = core.loadExtScript("ext:deno_web/02_event.js");

const { ErrorEvent } = event;
const defaultPrevented = getterOf(event.Event.prototype, "defaultPrevented");
const filenameOf = getterOf(ErrorEvent.prototype, "filename");
const destructureError = core.destructureError;
const reportUnhandledException = core.reportUnhandledException;
/** The console level of uncaught errors. */
const UNCAUGHT = 4;
const MUTED = "Script error.";
const global = globalThis;

/** The names of scripts with muted errors. */
const muted = new SafeSet();

/** From now on, errors that are thrown in the script with that name are muted. */
function muteErrorsOf(name) {
  muted.add(name);
}

/** Whether an error was thrown in a script with muted errors. */
function isMuted(error) {
  const { frames } = destructureError(error);
  return frames.length > 0 && muted.has(frames[0].fileName);
}

/** Fires the event. Returns whether the error remains to be written to the console. */
function isUnhandled(errorEvent) {
  fire(global, errorEvent);
  return !defaultPrevented(errorEvent);
}

/** Reports an uncaught error of a script whose errors are muted. */
function reportMuted() {
  const init = { __proto__: null, cancelable: true, message: MUTED };
  if (isUnhandled(new ErrorEvent("error", init))) writeMuted();
}

function writeMuted() {
  op_host_console("Uncaught " + MUTED, UNCAUGHT);
}

/**
 * Deno's reportException() first destructures the error. Then it fires the event at what it knows as
 * the global object, which is replaced until then.
 */
const reporter = {
  __proto__: null,
  dispatchEvent(errorEvent) {
    event.saveGlobalThisReference(global);
    if (!muted.has(filenameOf(errorEvent))) return isUnhandled(errorEvent);
    reportMuted();
    return false;
  },
};

function installErrors() {
  core.destructureError = (error) => {
    event.saveGlobalThisReference(reporter);
    return destructureError(error);
  };
  // Errors of the listeners of an error event are only written.
  core.reportUnhandledException = (error) => {
    event.saveGlobalThisReference(global);
    if (isMuted(error)) writeMuted();
    else reportUnhandledException(error);
  };
  core.setReportExceptionCallback(reportException);
}

return { installErrors, isMuted, muteErrorsOf, reportMuted, writeMuted };
})();
