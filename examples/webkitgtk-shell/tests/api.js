// Calls what the podcast does not, and sends what came of it to the server.
const { other } = document.querySelector("script").dataset;
const seen = {};
const name = (promise) => promise.then(() => "", (error) => error.name);
const ended = (fetch) =>
  new Promise((resolve) => (fetch.onprogress = () => fetch.result && resolve(fetch.failureReason)));

const registration = await navigator.serviceWorker.register("worker.js");
await navigator.serviceWorker.ready;
const manager = registration.backgroundFetch;

seen.noId = await name(manager.fetch("", "/film"));
seen.credentials = await name(manager.fetch("film", "http://user@localhost/"));
const film = await manager.fetch("film", ["/film", "/none"], { title: "A film" });
seen.idInUse = await name(manager.fetch("film", "/film"));
seen.ids = await manager.getIds();
seen.same = (await manager.get("film")) === film;
seen.unknown = (await manager.get("book")) === undefined;

const [record, none] = await film.matchAll();
seen.request = record.request.url === new URL("/film", location).href;
seen.noMatch = (await film.match("/film?x")) === undefined;
seen.match = (await film.match("/film?x", { ignoreSearch: true })) instanceof BackgroundFetchRecord;
const response = await record.responseReady;
seen.response = [response.status, response.headers.get("content-type"), response.type];
const reader = response.body.getReader();
seen.begin = new TextDecoder().decode((await reader.read()).value);
seen.status = (await none.responseReady).status;
const aborted = ended(film);
// What the page knows when its worker speaks.
const told = new Promise(
  (resolve) => (navigator.serviceWorker.onmessage = ({ data }) => resolve([data, film.result])),
);
seen.aborts = [await film.abort(), await film.abort()];
seen.aborted = await aborted;
seen.cut = await name(reader.read());
seen.told = await told;

// The page's policy does not allow the other origin.
seen.blocked = await ended(await manager.fetch("blocked", `${other}secret`));

// A frame of another origin is not the page.
const frame = document.createElement("iframe");
frame.src = `${other}frame.html#${registration.scope}`;
const loaded = new Promise((resolve) => (frame.onload = resolve));
document.body.append(frame);
await loaded;
await ended(await manager.fetch("last", "/none"));

const second = await navigator.serviceWorker.register("worker.js", { scope: "second/" });
const worker = second.installing;
await new Promise((resolve) => (worker.onstatechange = () => second.active && resolve()));
await second.backgroundFetch.fetch("gone", "/film");
seen.unregistered = await second.unregister();
seen.left = await second.backgroundFetch.getIds();
await fetch("/seen", { method: "POST", body: JSON.stringify(seen) });
