// The document of a window: it is built from the parts that its HTML has, and runs its scripts.
(function () {
"use strict";

const { core } = __bootstrap;
const { op_page_document, op_page_load_script, op_page_loaded } = core.ops;
const { afterMicrotasks, Event, fire } = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { reportException } = core.loadExtScript("ext:deno_web/02_event.js");

async function runPage() {
  const parts = op_page_document();
  core.unrefOpPromise(parts);
  let script = null;
  for (const { part, name, attributes, text } of (await parts) ?? []) {
    if (part === "open" && name === "script") {
      script = { text: "", src: new Map(attributes).get("src") };
    } else if (part === "text" && script !== null) {
      script.text += text;
    } else if (part === "close" && script !== null) {
      await run(script);
      script = null;
    }
  }
  fire(globalThis, new Event("load"));
  op_page_loaded();
}

async function run({ src, text }) {
  let source = text;
  const url = src === undefined ? location.href : new URL(src, location.href).href;
  if (src !== undefined) {
    const loaded = await op_page_load_script(url);
    if (loaded.error) return console.error(`The script ${url} was not loaded: ${loaded.error}`);
    source = loaded.source;
  }
  const [, error] = core.evalContext(source, url);
  if (error) reportException(error.thrown);
  await new Promise(afterMicrotasks);
}

return { runPage };
})();
