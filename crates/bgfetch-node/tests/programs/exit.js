// Does something, and comes to its end. Nothing but the runtime ends it.
import { openEngine } from "@bgfetch/bgfetch";

const [how, url] = process.argv.slice(2);
const engine = await openEngine({ ephemeral: true });
if (how !== "idle") {
  const registration = await engine.register("https://app.example/");
  registration.addEventListener("backgroundfetchsuccess", () => {});
  if (how === "started") await registration.start();
  if (how === "fetching") await registration.backgroundFetch.fetch("a", url);
  if (how === "unread" || how === "cancelled" || how === "waiting") {
    const fetch = await registration.backgroundFetch.fetch("a", url);
    const response = await (await fetch.match(url)).responseReady;
    if (how === "waiting") {
      console.log(await response.text());
    } else {
      const reader = response.body.getReader();
      await reader.read();
      if (how === "cancelled") {
        reader.read();
        await reader.cancel();
      }
    }
  }
}
if (how === "closed") await engine.close();
if (how === "unreferenced") {
  for (const change of ["ref", "ref", "unref", "unref"]) engine[change]();
}
console.log("the end of the script");
if (how === "waiting") {
  engine.ref();
  // The timer alone would not keep the process alive.
  setTimeout(async () => {
    await engine.close();
    console.log("the engine is closed");
  }, 10).unref?.();
}
