//! `run`: pages and their service workers, from the examples' folders and from servers.

use std::path::{Path, PathBuf};
use std::process::Command;

use bgfetch_testkit::{Origin, Reply, Resource};
use serde_json::{Value, json};

use crate::fixture::{Ended, PROGRAM, Place, Running};

/// Slow enough that a download lasts as long as a test needs.
const SLOW: [&str; 2] = ["--slow", "20000"];

impl Place {
    pub(crate) fn app(&self, app: impl AsRef<Path>, arguments: &[&str]) -> Running {
        let mut command = Command::new(PROGRAM);
        command.arg("run").arg(app.as_ref()).args(arguments).arg("--store").arg(self.store());
        Running::spawn(command)
    }

    /// A folder with a page whose only script is `script`.
    pub(crate) fn page(&self, script: &str) -> PathBuf {
        let folder = self.path("app");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("index.html"), "<script src=app.js></script>").unwrap();
        std::fs::write(folder.join("app.js"), script).unwrap();
        folder
    }
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

/// The lines that a `source` wrote to its console.
pub(crate) fn said(ended: &Ended, source: &str) -> Vec<String> {
    let all = ended.events("console").into_iter();
    let of_source = all.filter(|line| line["source"] == source);
    of_source.map(|line| line["message"].as_str().unwrap().to_owned()).collect()
}

fn assert_podcast_is_kept(ended: &Ended) {
    let kept = "backgroundfetchsuccess: kept 2 files of my-fetch.";
    assert_eq!(said(ended, "worker"), [kept]);
    let summary = &ended.events("summary")[0];
    assert_eq!(summary["title"], "Episode 5 is ready to listen.");
    assert_eq!(summary["origin"], "http://podcast.localhost");
    assert_eq!(
        (&summary["result"], &summary["handled"]),
        (&json!("success"), &json!("backgroundfetchsuccess"))
    );
    let record = |file: &str| {
        let bytes = std::fs::metadata(example("podcast").join(file)).unwrap().len();
        let url = format!("http://podcast.localhost/{file}");
        json!({ "url": url, "status": 200, "bytes": bytes })
    };
    let records = json!([record("ep-5.mp3"), record("ep-5-artwork.jpg")]);
    assert_eq!(summary["records"], records);
}

#[test]
fn the_podcast_is_downloaded_and_kept() {
    let place = Place::new();
    let ended = place.app(example("podcast"), &["--json"]).end();
    ended.success();
    assert_podcast_is_kept(&ended);
    let page = said(&ended, "page");
    assert_eq!(page.first().unwrap(), "Downloading. You may close this page.");
    assert_eq!(page.last().unwrap(), "backgroundfetchsuccess: kept 2 files of my-fetch.");
    // The page finds it in the cache on its next visit.
    let again = place.app(example("podcast"), &["--json"]).end();
    again.success();
    assert_eq!(said(&again, "page"), ["Episode 5 is here."]);
    assert!(again.events("registered").is_empty());
}

#[test]
fn without_a_terminal_there_are_plain_lines_and_a_summary() {
    let ended = Place::new().app(example("podcast"), &[]).end();
    let lines = ended.success();
    for wanted in [
        "opening http://podcast.localhost/",
        "my-fetch: registered",
        "page: Downloading. You may close this page.",
        "worker: backgroundfetchsuccess: kept 2 files of my-fetch.",
        "Episode 5 is ready to listen. (my-fetch from http://podcast.localhost): success",
        "  200  188.43 KiB  http://podcast.localhost/ep-5.mp3",
        "  200  58.38 KiB  http://podcast.localhost/ep-5-artwork.jpg",
        "  the service worker handled backgroundfetchsuccess",
    ] {
        assert!(lines.iter().any(|line| line == wanted), "{wanted} in {lines:#?}");
    }
}

#[test]
fn a_model_is_read_while_it_is_downloaded() {
    let place = Place::new();
    let app = place.path("model-download");
    std::fs::create_dir(&app).unwrap();
    for entry in std::fs::read_dir(example("model-download")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), app.join(entry.file_name())).unwrap();
    }
    let made = Command::new(app.join("make-model.sh")).args(["2", "16"]).status().unwrap();
    assert!(made.success());
    let ended = place.app(&app, &["--json"]).end();
    ended.success();
    let page = said(&ended, "page");
    for wanted in ["model-1.bin begins", "model-1.bin is as it should be", "2 of 2 parts are good"]
    {
        assert!(page.iter().any(|line| line == wanted), "{wanted} in {page:#?}");
    }
    assert_eq!(ended.events("summary")[0]["title"], "The model is ready");
}

#[test]
fn photos_are_uploaded() {
    let place = Place::new();
    let ended = place.app(example("photo-upload"), &["--json"]).end();
    ended.success();
    let received = |photo: &str| {
        let bytes = std::fs::metadata(example("photo-upload").join(photo)).unwrap().len();
        format!("/upload/{photo}: the server has {bytes} bytes")
    };
    assert_eq!(said(&ended, "worker"), [received("photo-1.jpg"), received("photo-2.jpg")]);
    let settled = &ended.events("settled")[0];
    assert_eq!(settled["result"], "success");
    assert!(settled["uploaded"].as_u64().unwrap() > 40_000, "{settled}");
}

#[test]
fn what_a_kill_interrupts_is_finished_without_the_page_and_told_once() {
    let place = Place::new();
    let arguments = ["--json", SLOW[0], SLOW[1]];
    let running = place.app(example("podcast"), &arguments);
    running.event("progress");
    running.kill();

    let ended = place.run(&["run", "--no-page", "--json"]);
    ended.success();
    assert_podcast_is_kept(&ended);
    assert_eq!(ended.events("resumed")[0]["reason"], "restart");
    assert!(ended.events("opening").is_empty() && said(&ended, "page").is_empty());

    let nothing = place.run(&["run", "--no-page"]);
    assert_eq!(nothing.success(), ["", "there were no background fetches"]);
}

#[test]
fn without_a_page_no_store_is_made() {
    let place = Place::new();
    let ended = place.run(&["run", "--no-page"]);
    assert!(ended.refusal(1).starts_with("there is no store in "), "{ended:#?}");
    assert!(!place.store().exists());
}

#[test]
fn ctrl_c_leaves_what_the_same_command_goes_on_with() {
    let place = Place::new();
    let arguments = ["--json", SLOW[0], SLOW[1]];
    let running = place.app(example("podcast"), &arguments);
    running.event("progress");
    running.signal("INT");
    let ended = running.end();
    assert_eq!(ended.refusal(130), "stopped; run the same command again to resume");
    assert_eq!(ended.events("summary")[0].get("result"), None);

    // Still slow enough that the page finds the fetch running.
    let again = place.app(example("podcast"), &["--json", "--slow", "100000"]).end();
    again.success();
    assert!(again.events("registered").is_empty());
    assert_podcast_is_kept(&again);
}

#[test]
fn a_live_fetch_is_controlled_from_another_process() {
    let place = Place::new();
    let arguments = ["--json", SLOW[0], SLOW[1]];
    let running = place.app(example("podcast"), &arguments);
    running.event("progress");
    assert_eq!(place.run(&["pause"]).success(), ["paused my-fetch"]);
    assert_eq!(running.event("paused")["reason"], "user");
    assert_eq!(place.run(&["resume"]).success(), ["resumed my-fetch"]);
    assert_eq!(running.event("resumed")["reason"], "user");
    assert_eq!(place.run(&["click"]).success(), ["clicked my-fetch"]);
    let clicked = "backgroundfetchclick: here it is.";
    running.line(|line| line.contains(clicked));
    assert_eq!(place.run(&["abort"]).success(), ["aborted my-fetch"]);
    let ended = running.end();
    ended.success();
    let aborted = "backgroundfetchabort: the download was cancelled.";
    assert_eq!(said(&ended, "worker"), [clicked, aborted]);
    let summary = &ended.events("summary")[0];
    assert_eq!(summary["failure_reason"], "aborted");
    assert_eq!(summary["handled"], "backgroundfetchabort");
}

#[test]
fn a_page_from_a_server_is_run_in_its_folder() {
    let origin = Origin::start();
    let film = Resource::new(1, 5000);
    let page = "<script>
        navigator.serviceWorker.register('sw.js');
        navigator.serviceWorker.ready.then((found) => found.backgroundFetch.fetch('film', 'film'));
        </script>";
    origin.serve("/app/", Reply::text("text/html", page));
    let worker = "onbackgroundfetchsuccess = (e) => console.log(e.registration.downloaded)";
    origin.serve("/app/sw.js", Reply::text("text/javascript", worker));
    origin.serve("/app/film", film);
    let place = Place::new();
    let ended = place.app(origin.url("/app/").as_str(), &["--json"]).end();
    ended.success();
    assert_eq!(said(&ended, "worker"), ["5000"]);
}

#[test]
fn a_page_without_fetches_ends_when_its_scripts_do() {
    let place = Place::new();
    let app = place.page(
        "setTimeout(() => console.log('late'), 700);
         navigator.serviceWorker.ready.then(() => console.log('never'));",
    );
    let ended = place.app(&app, &[]).end();
    let expected =
        ["opening http://app.localhost/", "page: late", "", "there were no background fetches"];
    assert_eq!(ended.success(), expected);
}

#[test]
fn a_page_that_closes_itself_leaves_its_fetch_to_the_service_worker() {
    let place = Place::new();
    let app = place.page(
        "navigator.serviceWorker.register('sw.js');
         navigator.serviceWorker.ready.then(async (found) => {
             await found.backgroundFetch.fetch('own', 'app.js');
             setInterval(() => {}, 10);
             close();
         });",
    );
    let worker = "onbackgroundfetchsuccess = (event) => console.log(event.registration.id)";
    std::fs::write(app.join("sw.js"), worker).unwrap();
    let ended = place.app(&app, &["--json"]).end();
    ended.success();
    assert_eq!(said(&ended, "worker"), ["own"]);
}

#[test]
fn an_event_that_no_worker_handles_is_left_for_the_next_run() {
    let place = Place::new();
    let app = place.page(
        "navigator.serviceWorker.register('sw.js');
         navigator.serviceWorker.ready.then((found) => found.backgroundFetch.fetch('own', 'data'));",
    );
    // Its installation starts, but it never starts again afterwards.
    let worker = "if (registration.active) throw new Error('broken');";
    std::fs::write(app.join("sw.js"), worker).unwrap();
    // Longer than an idle worker keeps running.
    std::fs::write(app.join("data"), vec![0; 60_000]).unwrap();
    let ended = place.app(&app, &["--json", SLOW[0], SLOW[1]]).end();
    let refusal = ended.refusal(1);
    assert!(refusal.starts_with("no service worker handles the event of own; "), "{refusal}");
    assert_eq!(ended.events("settled")[0]["result"], "success");
    assert!(ended.events("handled").is_empty());
    let why = ended.events("not-handled")[0]["message"].as_str().unwrap().to_owned();
    assert!(why.starts_with("the worker did not start") && why.contains("broken"), "{why}");
    let shown = place.run(&["show", "--json"]);
    assert!(shown.success()[0].contains("\"state\":\"saving\""), "{shown:?}");
}

#[test]
fn what_cannot_be_opened_is_told_in_one_line() {
    let origin = Origin::start();
    origin.serve("/gone", Reply::status(404));
    origin.serve("/data", Resource::new(1, 10));
    let place = Place::new();
    let refusal = |app: &str| place.app(app, &["--json"]).end().refusal(1).to_owned();
    assert!(refusal("no-such-folder").starts_with("no-such-folder: neither a URL nor a folder"));
    let folder = place.path("");
    assert!(refusal(folder.to_str().unwrap()).ends_with("there is no index.html in that folder"));
    assert_eq!(refusal("ftp://a.test/"), "ftp://a.test/: only http and https URLs can be fetched");
    let gone = refusal(origin.url("/gone").as_str());
    assert!(gone.contains("/gone") && gone.contains("404"), "{gone}");
    let data = refusal(origin.url("/data").as_str());
    assert!(data.contains("/data"), "{data}");
    let usage = place.run(&["run"]);
    assert!(usage.refusal(2).contains("[APP]") || usage.refusal(2).contains("<APP>"), "{usage:?}");
}

#[test]
fn a_store_has_one_run_at_a_time() {
    let place = Place::new();
    let arguments = ["--json", SLOW[0], SLOW[1]];
    let running = place.app(example("podcast"), &arguments);
    running.event("progress");
    let second = place.app(example("podcast"), &[]).end();
    assert!(second.refusal(1).starts_with("another process is at work on the store in "));
    let events: Vec<Value> = second.stdout.iter().map(|line| json!(line)).collect();
    assert!(events.is_empty(), "{events:?}");
    let get = Running::spawn(place.get_plain(["http://a.test/x"])).end();
    let pid = running.pid();
    let refusal = format!("the store is used by bgfetch run (process id {pid}), which takes no");
    assert!(get.refusal(1).starts_with(&refusal), "{get:?}");
    let watch = Running::spawn(place.command(&["watch"]));
    watch.line(|line| line.contains(": progress ") || line.contains(": running"));
    running.signal("INT");
    assert_eq!(running.end().code, Some(130));
}

#[test]
#[cfg(target_os = "linux")]
fn a_gibibyte_is_read_while_it_is_downloaded_and_memory_stays_small() {
    let place = Place::new();
    let script = "
        (async () => {
            await navigator.serviceWorker.register('sw.js');
            const { backgroundFetch } = await navigator.serviceWorker.ready;
            const fetch = await backgroundFetch.fetch('film', ['film.bin']);
            const record = await fetch.match('film.bin');
            const { body } = await record.responseReady;
            let bytes = 0;
            let before = false;
            for await (const chunk of body) {
                before ||= fetch.result === '';
                bytes += chunk.length;
            }
            console.log(`${bytes} bytes, ${before ? 'some before' : 'all after'} the end`);
            // The process is inspected while it runs.
            setInterval(() => undefined, 1e6);
        })();
    ";
    let app = place.page(script);
    std::fs::write(app.join("sw.js"), "").unwrap();
    let film = std::fs::File::create(app.join("film.bin")).unwrap();
    film.set_len(1 << 30).unwrap();
    let running = place.app(&app, &["--json"]);
    let said = running.event("console");
    assert_eq!(said["message"], format!("{} bytes, some before the end", 1 << 30));
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    running.kill();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kibibytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kibibytes < 200_000, "{peak}");
}

#[test]
fn a_click_without_a_page_opens_the_window_that_the_worker_wants() {
    let place = Place::new();
    let app = place.page(
        "if (location.search === '?clicked') console.log('opened');
         else navigator.serviceWorker.register('sw.js').then(async () => {
             const found = await navigator.serviceWorker.ready;
             await found.backgroundFetch.fetch('film', 'film.bin');
             close();
         });",
    );
    let worker = "onbackgroundfetchclick = (event) => event.waitUntil(
            clients.openWindow('/?clicked').then(({ url }) => console.log(url)));
        onbackgroundfetchabort = () => {};";
    std::fs::write(app.join("sw.js"), worker).unwrap();
    std::fs::write(app.join("film.bin"), [0; 400_000]).unwrap();
    let running = place.app(&app, &["--json", SLOW[0], SLOW[1]]);
    running.event("progress");
    assert_eq!(place.run(&["click"]).success(), ["clicked film"]);
    let url = "http://app.localhost/?clicked";
    running.line(|line| line.contains(url) && line.contains("\"console\""));
    assert_eq!(place.run(&["abort"]).success(), ["aborted film"]);
    let ended = running.end();
    ended.success();
    assert_eq!(said(&ended, "worker"), [url]);
    assert_eq!(said(&ended, "page"), ["opened"]);
}
