// A service worker that has nothing to say.
