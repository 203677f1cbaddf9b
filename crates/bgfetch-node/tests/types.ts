// What a program in TypeScript writes. Only checked, not run.
import {
  type BackgroundFetchRecord,
  type EngineOptions,
  type Job,
  openEngine,
  type Permission,
} from "@bgfetch/bgfetch";

const options: EngineOptions = {
  directory: "state",
  durability: "process",
  headers: { authorization: "Bearer x" },
  permission: async ({ urls }): Promise<Permission> => urls.length > 9 ? "denied" : "granted",
  quota: (storageKey) => storageKey.length,
};
await using engine = await openEngine(options);
const registration = await engine.register("https://app.example/models/");
registration.addEventListener("backgroundfetchsuccess", (event) => {
  const export_ = async () => {
    await event.updateUI({ title: "Done" });
    for (const record of await event.registration.matchAll()) await record.exportTo("x", { link: true });
  };
  event.waitUntil(export_());
});
registration.onbackgroundfetchabort = (event) => event.registration.id;
// @ts-expect-error The event of an abort has no UI.
registration.onbackgroundfetchabort = (event) => event.updateUI();
await registration.start();
const request = new Request("https://hub.example/model", { method: "GET" });
const fetch = await registration.backgroundFetch.fetch("model", [request], { downloadTotal: 1e9 });
fetch.onprogress = () => fetch.downloaded / fetch.downloadTotal;
const record: BackgroundFetchRecord | undefined = await fetch.match(request, { ignoreSearch: true });
const response: Response | undefined = await record?.responseReady;
const body: ReadableStream<Uint8Array> | null | undefined = response?.body;
const reason: "aborted" | string = fetch.failureReason;
const [job]: Job[] = await engine.jobs();
if (job !== undefined) await engine.pause(job);
// @ts-expect-error An unknown option.
await openEngine({ colour: "red" });
export { body, reason };
