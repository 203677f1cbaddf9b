// Replaces a script of deno_net. The HTTP client that would call this is not exposed.
(function () {
  return { loadTlsKeyPair: () => null };
})();
