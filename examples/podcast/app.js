// The page: asks the browser to download an episode and shows the progress. The download continues
// without the page. When it has ended, the service worker handles it: see sw.js.
"use strict";

const urls = ["/ep-5.mp3", "ep-5-artwork.jpg"];
const options = {
  title: "Episode 5: Interesting things.",
  icons: [{ sizes: "300x300", src: "/ep-5-icon.png", type: "image/png" }],
  // The sum of both files. If there is one byte more, the browser aborts the download.
  downloadTotal: 192953 + 59786,
};

const element = (id) => document.getElementById(id);

function tell(text) {
  element("status").textContent = text;
  console.log(text);
}

/** Shows the episode if it is there. */
async function showEpisode() {
  const cache = await caches.open("episodes");
  const [audio, artwork] = await Promise.all(urls.map((url) => cache.match(url)));
  if (!audio || !artwork) return false;
  element("player").src = URL.createObjectURL(await audio.blob());
  element("artwork").src = URL.createObjectURL(await artwork.blob());
  element("episode").hidden = false;
  element("progress").hidden = true;
  return true;
}

/** Follows a download that this page or an earlier one started. */
function follow(bgFetch) {
  const show = () => {
    element("progress").value = bgFetch.downloaded / bgFetch.downloadTotal;
    if (bgFetch.result === "failure") tell(`The download failed: ${bgFetch.failureReason}.`);
  };
  bgFetch.addEventListener("progress", show);
  show();
  tell("Downloading. You may close this page.");
}

/** For browsers without background fetches: the page must stay open. */
async function fetchHere() {
  tell("Downloading. Please keep this page open.");
  const cache = await caches.open("episodes");
  await cache.addAll(urls);
  tell("Episode 5 is here.");
  await showEpisode();
}

if (!("serviceWorker" in navigator)) {
  tell("This page needs service workers: serve it from localhost or by https.");
} else {
  navigator.serviceWorker.register("sw.js");
  // The service worker sends a message when it is done.
  navigator.serviceWorker.addEventListener("message", async (event) => {
    tell(event.data);
    await showEpisode();
  });
  element("remove").addEventListener("click", async () => {
    await caches.delete("episodes");
    location.reload();
  });
  navigator.serviceWorker.ready.then(async (swReg) => {
    if (await showEpisode()) {
      tell("Episode 5 is here.");
    } else if ("BackgroundFetchManager" in self) {
      const active = await swReg.backgroundFetch.get("my-fetch");
      follow(active ?? (await swReg.backgroundFetch.fetch("my-fetch", urls, options)));
    } else {
      await fetchHere();
    }
  });
}
