// Keeps a number of background fetches going, as the plans of its server say.
"use strict";

const parameters = new URLSearchParams(location.search);
const most = Number(parameters.get("fetches"));
let batch = Number(parameters.get("batch"));

const pause = () => new Promise((resolve) => setTimeout(resolve, 100));

/** The next fetches to make; null if there will be none. */
async function plan() {
  for (;;) {
    const response = await fetch(`/plan/${batch}`);
    if (response.ok) {
      batch += 1;
      return response.json();
    }
    await pause();
  }
}

function request({ url, upload }) {
  return upload === null ? url : new Request(url, { method: "POST", body: new Uint8Array(upload) });
}

(async () => {
  await navigator.serviceWorker.register("/worker.js");
  const { active, backgroundFetch } = await navigator.serviceWorker.ready;
  // An idle worker would end after a second, and each one leaks memory in the JavaScript engine.
  setInterval(() => active.postMessage("stay"), 300);
  let planned = [];
  for (;;) {
    const going = await backgroundFetch.getIds();
    for (let free = most - going.length; free > 0; free -= 1) {
      if (planned.length === 0) planned = await plan();
      if (planned === null) return close();
      const { id, files } = planned.shift();
      await backgroundFetch.fetch(id, files.map(request));
      console.log(`promised ${id}`);
    }
    await pause();
  }
})();
