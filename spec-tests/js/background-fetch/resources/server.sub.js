// A server that answers as a test says: /bgfetch/faults of the test server. What a reply may say is
// in crates/bgfetch-wpt/src/server/faults.rs.
"use strict";

// The origins that the test server is reachable by, beside the page's.
const OTHER_ORIGIN = "https://{{hosts[alt][]}}:{{ports[https][0]}}";
const INSECURE_ORIGIN = "http://{{host}}:{{ports[http][0]}}";
const OTHER_PORT = "https://{{host}}:{{ports[https][1]}}";

let tokens = 0;

/** A name that no other test uses. */
function newToken() {
  tokens++;
  return `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}-${tokens}`;
}

class Server {
  #token = newToken();
  #query;
  #origin;

  /** The n-th request gets the n-th reply, those after the last get the last. */
  constructor(replies, { origin = location.origin, preflight } = {}) {
    this.#origin = origin;
    this.#query = new URLSearchParams({ token: this.#token, script: JSON.stringify(replies) });
    if (preflight !== undefined) this.#query.set("preflight", JSON.stringify(preflight));
  }

  get url() {
    return this.urlOf("");
  }

  /** One of several URLs that share the replies and the log. */
  urlOf(name) {
    return `${this.#origin}/bgfetch/faults/${name}?${this.#query}`;
  }

  /**
   * All requests, once there are that many, and once that many of their answers have ended:
   * objects with method, path, headers, body, bodyLength and ended.
   */
  async requests(requests = 0, ended = 0) {
    const query = new URLSearchParams({ token: this.#token, requests, ended });
    const response = await fetch(`/bgfetch/log?${query}`);
    return await response.json();
  }

  /** Lets an answer go on that is held. */
  async release() {
    await fetch(`/bgfetch/release?token=${this.#token}`);
  }
}
