// Passes the results to the runner. The headless user agent's waits for the promise `testResults`.
// The one for browsers uses `testCommands`, as it reaches pages only from outside.
"use strict";

if ("document" in self) setup({ output: false });
// The server replaces the next line with its settings.
// SETUP

globalThis.testResults = new Promise((resolve) => {
  add_completion_callback((tests, harness) => {
    resolve({
      status: harness.status,
      message: harness.message ?? null,
      subtests: tests.map(({ name, status, message }) => ({
        name,
        status,
        message: message ?? null,
      })),
    });
  });
});

{
  const waiting = [];
  let wake = null;

  globalThis.testCommands = {
    /** For testdriver-vendor.js: resolves when the runner has carried out a command. */
    send(command) {
      return new Promise((resolve, reject) => {
        waiting.push({ command, resolve, reject });
        wake?.();
      });
    },

    /** For the runner: the next command, or the results if there are no more commands. */
    async take() {
      const sent = new Promise((resolve) => {
        wake = resolve;
      });
      const results = waiting.length > 0 ? undefined : await Promise.race([testResults, sent]);
      return results === undefined ? waiting[0].command : { results };
    },

    /** For the runner: ends the command that was taken, with an error message or null. */
    answer(error) {
      const { resolve, reject } = waiting.shift();
      if (error === null) resolve();
      else reject(new Error(error));
    },
  };
}
