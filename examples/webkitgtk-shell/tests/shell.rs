//! Needs an X server: `make webkitgtk` starts one, and keeps the picture.

// A panic in a helper fails its test, as intended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Lines, PipeReader};
use std::path::Path;
use std::process::{Child, Command};

use bgfetch_testkit::{Gate, Origin, Reply, Serve};
use gtk::gdk_pixbuf::Pixbuf;
use gtk::prelude::*;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// There is one for all tests.
static SCREEN: Mutex<()> = Mutex::new(());

const PODCAST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../podcast/");
/// A page of the same origin that sends what is in the cache to the server.
const CHECK: &str = "<script type=module>
    const cache = await caches.open('episodes');
    for (const { url } of await cache.keys()) {
        const body = await (await cache.match(url)).blob();
        await fetch('/cached' + new URL(url).pathname, { method: 'POST', body });
    }
</script>";

const WORKER: &str = "
    addEventListener('install', () => skipWaiting());
    addEventListener('activate', (event) => event.waitUntil(clients.claim()));
    addEventListener('backgroundfetchabort', async ({ type, registration: { id } }) => {
        for (const page of await clients.matchAll()) page.postMessage(`${type} ${id}`);
    });
";
/// Asks for a fetch of the page that embeds it.
const FRAME: &str = "<script>
    const request = { method: 'GET', url: location.hash.slice(1) + 'stolen' };
    const call = ['fetch', location.hash.slice(1), ['stolen', [request], '', [], 0]];
    webkit.messageHandlers.backgroundFetch.postMessage(JSON.stringify(['name', 0, call]));
</script>";

struct Browser {
    process: Child,
    lines: Lines<BufReader<PipeReader>>,
    printed: Vec<String>,
}

impl Browser {
    fn start(profile: &Path, url: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bgfetch-webkitgtk-shell"));
        let (output, input) = std::io::pipe().unwrap();
        command.arg(profile).arg(url).stdout(input.try_clone().unwrap()).stderr(input);
        // There is no graphics card.
        command.envs([("WEBKIT_DISABLE_COMPOSITING_MODE", "1"), ("LIBGL_ALWAYS_SOFTWARE", "1")]);
        let (process, lines) = (command.spawn().unwrap(), BufReader::new(output).lines());
        Self { process, lines, printed: Vec::new() }
    }

    /// Waits until it prints a line that contains the text.
    fn wait_for(&mut self, text: &str) {
        while self.count(text) == 0 {
            let line = self.lines.next().expect("the browser has ended").unwrap();
            println!("{line}");
            self.printed.push(line);
        }
    }

    fn count(&self, text: &str) -> usize {
        self.printed.iter().filter(|line| line.contains(text)).count()
    }
}

/// As by `kill -9`.
impl Drop for Browser {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// A picture of the screen, as soon as something is painted at this point.
fn picture(x: i32, y: i32) -> Pixbuf {
    gtk::init().unwrap();
    let screen = gtk::gdk::Screen::default().unwrap().root_window().unwrap();
    // X tells nobody what others have painted.
    loop {
        let picture = screen.pixbuf(0, 0, 900, 700).unwrap();
        let at = usize::try_from(y * picture.rowstride() + x * picture.n_channels()).unwrap();
        if picture.read_pixel_bytes()[at..at + 3] != [255; 3] {
            return picture;
        }
    }
}

#[test]
fn a_download_of_an_unmodified_page_continues_after_a_kill() {
    let _alone = SCREEN.lock();
    let origin = Origin::start();
    let serve = |path: &str, media_type: &str, file: &str| {
        let bytes = std::fs::read(format!("{PODCAST}{file}")).unwrap();
        origin.serve(path, Reply::text(media_type, bytes.clone()));
        bytes
    };
    serve("/", "text/html", "index.html");
    serve("/app.js", "text/javascript", "app.js");
    serve("/sw.js", "text/javascript", "sw.js");
    serve("/ep-5-icon.png", "image/png", "ep-5-icon.png");
    let artwork = serve("/ep-5-artwork.jpg", "image/jpeg", "ep-5-artwork.jpg");
    let episode = serve("/ep-5.mp3", "audio/mpeg", "ep-5.mp3");
    let (length, half) = (episode.len(), episode.len() / 2);
    let first = Reply::text("audio/mpeg", episode.clone()).header("etag", "\"5\"");
    let rest = Reply::text("audio/mpeg", episode[half..].to_vec()).header("etag", "\"5\"");
    let range = format!("bytes {half}-{}/{length}", length - 1);
    let rest = rest.with_status(206).header("content-range", range);
    let (cut, resumes) = (Gate::new(), Gate::new());
    origin.serve("/ep-5.mp3", first.hold_at(half as u64, &cut).then(rest.hold_head(&resumes)));
    origin.serve("/check.html", Reply::text("text/html", CHECK));
    let profile = tempfile::tempdir().unwrap();

    let mut browser = Browser::start(profile.path(), origin.url("/").as_str());
    let stored = half + artwork.len();
    browser.wait_for(&format!("Interesting things. {stored} of {} bytes", length + artwork.len()));
    drop(browser);

    let mut browser = Browser::start(profile.path(), origin.url("/").as_str());
    browser.wait_for("Downloading.");
    resumes.open();
    browser.wait_for("Episode 5 is ready to listen. success");
    browser.wait_for("backgroundfetchsuccess: kept 2 files of my-fetch.");
    // The artwork is there.
    let picture = picture(300, 500);
    if let Ok(file) = std::env::var("PICTURE") {
        picture.savev(file, "png", &[]).unwrap();
    }
    assert_eq!(browser.count("backgroundfetchsuccess my-fetch"), 1);
    let starts: Vec<_> =
        origin.requests_to("/ep-5.mp3").iter().map(|it| it.range_start()).collect();
    assert_eq!(starts, [None, Some(half as u64)]);
    drop(browser);

    let _browser = Browser::start(profile.path(), origin.url("/check.html").as_str());
    assert!(body(&origin, "/cached/ep-5.mp3") == episode);
    assert!(body(&origin, "/cached/ep-5-artwork.jpg") == artwork);
}

/// Waits until something was sent to the path.
fn body(origin: &Origin, path: &str) -> Vec<u8> {
    let log =
        origin.blocking_wait_until(|log| log.iter().any(|it| it.path == path && it.body.complete));
    log.iter().rfind(|it| it.path == path).unwrap().body.bytes().unwrap().to_vec()
}

#[test]
fn what_the_podcast_does_not_use_works_too() {
    let _alone = SCREEN.lock();
    let (origin, other) = (Origin::start(), Origin::start());
    let html =
        format!("<body><script type=module src=api.js data-other={}></script>", other.url(""));
    let html = Reply::text("text/html", html);
    origin.serve("/", html.header("content-security-policy", "connect-src 'self'"));
    origin.serve("/api.js", Reply::text("text/javascript", include_str!("api.js")));
    origin.serve("/worker.js", Reply::text("text/javascript", WORKER));
    origin.serve("/film", Reply::text("video/mp4", "begin and end").hold_at(5, &Gate::new()));
    let secret = Reply::text("text/plain", "").header("access-control-allow-origin", "*");
    other.serve("/secret", secret);
    other.serve("/frame.html", Reply::text("text/html", FRAME));
    let profile = tempfile::tempdir().unwrap();
    let mut browser = Browser::start(profile.path(), origin.url("/").as_str());
    let seen: Value = serde_json::from_slice(&body(&origin, "/seen")).unwrap();
    let expected = json!({
        "noId": "TypeError", "credentials": "TypeError", "idInUse": "TypeError",
        "ids": ["film"], "same": true, "unknown": true,
        "request": true, "noMatch": true, "match": true,
        "response": [200, "video/mp4", "basic"], "begin": "begin", "status": 404,
        "aborts": [true, false], "aborted": "aborted", "cut": "AbortError",
        "told": ["backgroundfetchabort film", "failure"], "blocked": "fetch-error",
        "unregistered": true, "left": [],
    });
    assert_eq!(seen, expected);
    browser.wait_for("A film aborted");
    assert!(origin.requests_to("/stolen").is_empty());
    assert!(other.requests_to("/secret").is_empty());
}
