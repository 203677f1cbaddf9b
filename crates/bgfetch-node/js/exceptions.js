// What the engine's errors are for a script. An error of the addon has two words in its `code`: the name
// of the error, and that of its exception.

/** The exception that an interface of the web throws. Errors of the runtime stay as they are. */
function toException(error) {
  const { name, exception } = namesOf(error);
  if (name === null) return error;
  // All handles of an engine are freed with it.
  if (name === "invalid-handle") return new DOMException("The engine is closed", "AbortError");
  if (exception === "") return toError(error);
  if (exception === "TypeError") return new TypeError(error.message);
  return new DOMException(error.message, exception);
}

/** The error that this package's own methods throw: its `code` is the name of the engine's error. */
function toError(error) {
  const { name } = namesOf(error);
  if (name === null) return error;
  const isClosed = name === "invalid-handle";
  const message = isClosed ? "the engine is closed" : error.message;
  return Object.assign(new Error(message), { code: isClosed ? "closed" : name });
}

function namesOf({ code }) {
  const words = typeof code === "string" ? code.split(" ") : [];
  if (words.length !== 2) return { name: null, exception: null };
  return { name: words[0], exception: words[1] };
}

/** The result of a function of the addon, for an interface of the web. */
function attempt(call) {
  try {
    return call();
  } catch (error) {
    throw toException(error);
  }
}

export { attempt, toError, toException };
