// A test runner that is the same in Node, Bun and Deno, whose own ones differ.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const cases = [];
/** No case takes a fraction of this, unless it hangs. */
const LIMIT = 120_000;

const runtime = globalThis.Bun ? "bun" : globalThis.Deno ? "deno" : "node";
/** The command that runs a script in this runtime. */
const command = [process.execPath, ...(runtime === "deno" ? ["run", "-A"] : [])];

/** Adds a case. `run` gets a function that registers what has to be done after it. */
function test(name, run) {
  cases.push({ name, run });
}

/** Runs all cases, or those whose name contains the argument of the command line. */
async function runAll() {
  const filter = process.argv[2] ?? "";
  const failed = [];
  const chosen = cases.filter(({ name }) => name.includes(filter));
  for (const { name, run } of chosen) {
    const error = await outcome(run);
    console.log(`${error === null ? "ok  " : "FAIL"} ${name}`);
    if (error !== null) {
      console.log(error);
      failed.push(name);
    }
  }
  console.log(`${runtime}: ${chosen.length - failed.length} of ${chosen.length} cases passed`);
  process.exitCode = failed.length === 0 && chosen.length > 0 ? 0 : 1;
}

async function outcome(run) {
  const cleanups = [];
  let timer;
  const hang = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("the case hangs")), LIMIT);
  });
  try {
    await Promise.race([run((cleanup) => cleanups.unshift(cleanup)), hang]);
    return null;
  } catch (error) {
    return error;
  } finally {
    clearTimeout(timer);
    for (const cleanup of cleanups) await cleanup();
  }
}

/** A folder that is removed after the case. */
function folder(after) {
  const path = mkdtempSync(join(tmpdir(), "bgfetch-node-"));
  after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Resolves when the condition holds, for what no event tells. Other tasks run meanwhile. */
async function until(condition) {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** Resolves with the next event of that type. */
function once(target, type) {
  return new Promise((resolve) => target.addEventListener(type, resolve, { once: true }));
}

/** Asserts that a promise is rejected with an exception of that name, or an error with that code. */
async function rejects(promise, expected) {
  const error = await Promise.resolve(promise).then(() => null, (error) => error);
  assert.ok(error !== null, `not rejected with ${expected}`);
  assert.ok([error.name, error.code].includes(expected), `${error} is not ${expected}`);
  if (expected === "TypeError") assert.ok(error instanceof TypeError);
  else if (expected.endsWith("Error")) assert.ok(error instanceof DOMException);
  return error;
}

/** The file of a program of the tests. */
const program = (name) => fileURLToPath(new URL(`programs/${name}.js`, import.meta.url));

/** Starts a program in this runtime: `{ child, line(), end }`. */
function start(after, name, ...given) {
  const options = typeof given.at(-1) === "object" ? given.pop() : {};
  const [file, ...first] = command;
  const child = spawn(file, [...first, program(name), ...given], {
    stdio: ["ignore", "pipe", "inherit"],
    ...options,
  });
  after(() => child.kill("SIGKILL"));
  let text = "";
  let isOver = false;
  let wake = () => {};
  child.stdout.on("data", (data) => {
    text += data;
    wake();
  });
  const end = new Promise((resolve) => child.on("close", (code, signal) => resolve(signal ?? code)));
  end.then(() => {
    isOver = true;
    wake();
  });
  const line = async () => {
    while (!text.includes("\n")) {
      if (isOver) throw new Error(`${name} has ended`);
      await new Promise((resolve) => wake = resolve);
    }
    const index = text.indexOf("\n");
    const first = text.slice(0, index);
    text = text.slice(index + 1);
    return first;
  };
  return { child, end, line };
}

export { assert, folder, once, program, rejects, runAll, runtime, start, test, until };
