// A worker whose installation never ends.
"use strict";

addEventListener("install", (event) => event.waitUntil(new Promise(() => {})));
