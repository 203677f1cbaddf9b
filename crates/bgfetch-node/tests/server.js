// A server on loopback whose responses a case controls.
import { createServer } from "node:http";

/** Bytes that differ from place to place. */
function bytesOf(length) {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8) * 17) & 0xff;
  return bytes;
}

/** Starts a server. Requests wait for the next `take()` of their path, unless it is served. */
async function startServer(after) {
  const served = new Map();
  const waiting = new Map();
  const requests = [];
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    requests.push({ path: pathname, method: request.method, headers: request.headers });
    const handler = served.get(pathname);
    if (handler !== undefined) {
      handler(request, response);
      return;
    }
    const waiter = waiting.get(pathname) ?? newWaiter(waiting, pathname);
    waiter.arrived.push({ request, response });
    waiter.wake();
  });
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  after(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const origin = `http://127.0.0.1:${server.address().port}`;
  return {
    origin,
    requests,
    url: (path) => origin + path,
    /** Answers all requests of a path with a handler, or with these bytes, ranges included. */
    serve(path, answer) {
      served.set(path, typeof answer === "function" ? answer : (...exchange) => serveBytes(answer, ...exchange));
      return origin + path;
    },
    /** The next request of a path that is not served: `{ request, response }`. */
    async take(path) {
      const waiter = waiting.get(path) ?? newWaiter(waiting, path);
      while (waiter.arrived.length === 0) await new Promise((resolve) => waiter.wake = resolve);
      return waiter.arrived.shift();
    },
  };
}

function newWaiter(waiting, path) {
  const waiter = { arrived: [], wake: () => {} };
  waiting.set(path, waiter);
  return waiter;
}

function serveBytes(bytes, request, response) {
  const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? "");
  const first = range === null ? 0 : Number(range[1]);
  response.writeHead(range === null ? 200 : 206, {
    "content-type": "application/octet-stream",
    "content-length": bytes.length - first,
    "etag": '"one"',
    ...(range === null ? {} : { "content-range": `bytes ${first}-${bytes.length - 1}/${bytes.length}` }),
  });
  response.end(request.method === "HEAD" ? undefined : bytes.subarray(first));
}

/** The body of a request that has arrived at the server. */
async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export { bodyOf, bytesOf, startServer };
