// The completion queue of this thread: calls and their answers, and what else happens.
import { setImmediate } from "node:timers";
import { toError, toException } from "./exceptions.js";
import * as native from "./native.js";

/** The queue's handle, once it was needed. */
let queue = null;
let lastToken = 0;
/** The calls that were not answered yet, by token. */
const calls = new Map();
/** What is told of the objects with these handles. */
const listeners = new Map();
let isDraining = false;
let users = 0;
let timer = null;

function queueHandle() {
  return queue ??= native.openQueue(drain);
}

/** Keeps the process alive until `unref()` was called as often. */
function ref() {
  users++;
  timer ??= setInterval(() => {}, 0x7fffffff);
}

function unref() {
  users--;
  if (users > 0) return;
  clearInterval(timer);
  timer = null;
}

/**
 * A promise for the answer to a call of the addon: `{ value, bytes, guard }`. It keeps the process
 * alive. Errors become exceptions of the web.
 */
async function call(start, object, ...given) {
  try {
    return await answerTo(start, object, given);
  } catch (error) {
    throw toException(error);
  }
}

/** The value of such an answer for a method of this package's own. */
async function ask(start, object, ...given) {
  try {
    return (await answerTo(start, object, given)).value;
  } catch (error) {
    throw toError(error);
  }
}

function answerTo(start, object, given) {
  return new Promise((resolve, reject) => {
    const token = ++lastToken;
    start(object, token, ...given);
    calls.set(token, { resolve, reject });
    ref();
  });
}

/**
 * Calls `listener` with the kind, the value and the guard of each completion that is about an object.
 * Without a listener, it is no longer called.
 */
function listen(handle, listener = null) {
  if (listener === null) listeners.delete(handle);
  else listeners.set(handle, listener);
}

function drain() {
  if (isDraining) return;
  isDraining = true;
  takeNext();
}

/** Takes one completion in each task, so that the reactions to one have run before the next one. */
function takeNext() {
  const completion = native.nextCompletion(queue);
  if (completion === null) {
    isDraining = false;
    return;
  }
  setImmediate(takeNext);
  const { kind, token, bytes, guard } = completion;
  const value = completion.value === undefined ? null : JSON.parse(completion.value);
  if (kind === "done" || kind === "failed") {
    answer(token, kind, { value, bytes, guard });
  } else {
    listeners.get(token)?.(kind, value, guard);
  }
}

function answer(token, kind, completion) {
  const { resolve, reject } = calls.get(token);
  calls.delete(token);
  unref();
  if (kind === "done") resolve(completion);
  else reject(completion.value);
}

export { ask, call, listen, queueHandle, ref, unref };
