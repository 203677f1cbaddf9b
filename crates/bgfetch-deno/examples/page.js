(async () => {
  const film = await registration.backgroundFetch.fetch("film", "film.mp4", { title: "A film" });
  const record = await film.match("film.mp4");
  const response = await record.responseReady;
  print(`${response.url}: ${response.status}`);
  let bytes = 0;
  for await (const chunk of response.body) bytes += chunk.byteLength;
  print(`${bytes} bytes read while they arrived`);
})();
