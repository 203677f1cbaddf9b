// What the interfaces need of Deno.
(function () {
"use strict";

const { core } = __bootstrap;
const {
  afterMicrotasks,
  checkBody,
  configureInterface,
  describe,
  DOMException,
  Event,
  EventTarget,
  fire,
  fromStoredRequest,
  illegalConstructor,
  isRequest,
  newResponse,
  parseUrl,
  takeBody,
  toStoredRequest,
} = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { addListener, removeListener } = core.loadExtScript("ext:bgfetch_deno/event_target.js");

return {
  __proto__: null,
  addListener,
  afterMicrotasks,
  checkBody,
  configureInterface,
  describe,
  DOMException,
  Event,
  EventTarget,
  fire,
  fromStoredRequest,
  illegalConstructor,
  isRequest,
  newResponse,
  parseUrl,
  removeListener,
  takeBody,
  toStoredRequest,
};
})();
