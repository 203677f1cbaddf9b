// The page: uploads photos as one item. The browser keeps a copy of them, so the page may be
// closed.
"use strict";

const element = (id) => document.getElementById(id);

function tell(text) {
  element("status").textContent = text;
  console.log(text);
}

/** Uploads photos: pairs of a name and a blob. */
async function upload(swReg, photos) {
  const requests = photos.map(
    ([name, photo]) => new Request(`/upload/${encodeURIComponent(name)}`, { method: "POST", body: photo }),
  );
  const options = { title: `Uploading ${photos.length} photos` };
  // Each upload has its own id: several may be active.
  const bgFetch = await swReg.backgroundFetch.fetch(`photos-${Date.now()}`, requests, options);
  bgFetch.addEventListener("progress", () => {
    element("progress").value = bgFetch.uploaded / bgFetch.uploadTotal;
    if (bgFetch.result === "success") tell(`${bgFetch.uploaded} of ${bgFetch.uploadTotal} bytes are uploaded`);
  });
  tell(`Uploading ${bgFetch.uploadTotal} bytes. You may close this page.`);
}

async function uploadSamples(swReg) {
  const names = ["photo-1.jpg", "photo-2.jpg"];
  const blobs = names.map(async (name) => [name, await (await fetch(name)).blob()]);
  await upload(swReg, await Promise.all(blobs));
}

if ("serviceWorker" in navigator && "BackgroundFetchManager" in self) {
  navigator.serviceWorker.register("sw.js");
  navigator.serviceWorker.ready.then((swReg) => {
    element("photos").addEventListener("change", (event) => {
      upload(swReg, Array.from(event.target.files, (file) => [file.name, file]));
    });
    return uploadSamples(swReg);
  });
} else {
  tell("This page needs background fetches, and localhost or https.");
}
