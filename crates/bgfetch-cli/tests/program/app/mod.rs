//! A web app that keeps background fetches going, for tests that kill the program while it runs.
//!
//! Its page makes the fetches of one batch after the other; the server has a plan of each. Its
//! worker tells the server how a fetch ended, with the digest of each file.

mod ledger;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use bgfetch_testkit::{Origin, Reply};
use serde_json::{Value, json};

pub(crate) use self::ledger::{Ledger, Outcome, Planned};
use crate::fixture::{Ended, PROGRAM, Place};

/// The app, its server, and what it was told so far.
pub(crate) struct App {
    pub(crate) home: Origin,
    pub(crate) ledger: Ledger,
    /// How many batches have a plan.
    planned: u64,
    /// How many batches pages have asked for.
    asked: u64,
    /// How many requests to the server are known here.
    known: usize,
}

impl App {
    pub(crate) fn start() -> Self {
        let home = Origin::start();
        let script = |text: &'static str| Reply::text("text/javascript", text);
        home.serve("/", Reply::text("text/html", "<script src=/page.js></script>"));
        home.serve("/page.js", script(include_str!("page.js")));
        home.serve("/worker.js", script(include_str!("worker.js")));
        home.serve("/told", Reply::status(204));
        Self { home, ledger: Ledger::default(), planned: 0, asked: 0, known: 0 }
    }

    /// How many batches have a plan.
    pub(crate) fn planned(&self) -> u64 {
        self.planned
    }

    /// Plans the next batch: the files of each of its fetches. Returns the fetches' ids.
    pub(crate) fn plan(&mut self, fetches: Vec<Vec<Planned>>) -> Vec<String> {
        let batch = self.planned;
        let (mut ids, mut plan) = (Vec::new(), Vec::new());
        for (number, files) in fetches.into_iter().enumerate() {
            let id = format!("{batch}.{number}");
            let of_file = |file: &Planned| json!({ "url": file.url, "upload": file.upload });
            let of_files: Vec<Value> = files.iter().map(of_file).collect();
            plan.push(json!({ "id": id, "files": of_files }));
            self.ledger.plan(&id, files);
            ids.push(id);
        }
        self.serve_plan(batch, Value::Array(plan));
        self.planned += 1;
        ids
    }

    /// From now on there is nothing more to fetch, and the page closes.
    pub(crate) fn end(&mut self) {
        self.catch_up();
        for batch in self.asked..=self.planned {
            self.serve_plan(batch, Value::Null);
        }
    }

    fn serve_plan(&self, batch: u64, plan: Value) {
        let reply = Reply::text("application/json", plan.to_string());
        self.home.serve(format!("/plan/{batch}"), reply);
    }

    /// How many batches pages have asked for.
    pub(crate) fn asked(&self) -> u64 {
        self.asked
    }

    /// Notes what pages and workers have asked for and told.
    pub(crate) fn catch_up(&mut self) {
        for request in self.home.requests_after(self.known) {
            if request.path == "/told" {
                if request.body.complete {
                    self.ledger.told(request.body.bytes().unwrap());
                } else if request.ended.is_none() {
                    // It is still being received.
                    return;
                }
            }
            let batch = request.path.strip_prefix("/plan/").map(|batch| batch.parse::<u64>());
            if let Some(batch) = batch.and_then(Result::ok).filter(|batch| *batch < self.planned) {
                self.asked = self.asked.max(batch + 1);
            }
            self.known += 1;
        }
    }

    /// The command that runs the app, from the first batch that no page has asked for.
    pub(crate) fn command(&mut self, place: &Place, fetches: usize) -> Command {
        self.catch_up();
        let mut command = Command::new(program());
        let batch = self.asked;
        let page = self.home.url(&format!("/?fetches={fetches}&batch={batch}"));
        command.arg("run").arg(page.as_str()).arg("--json").arg("--store").arg(place.store());
        command
    }

    /// Notes what a program printed that was killed.
    pub(crate) fn killed(&mut self, ended: &Ended) {
        if ended.code.is_some() {
            self.ledger.wrong.push(format!("it ended before it was killed: {ended:?}"));
        }
        self.read(ended);
    }

    /// Notes what a program printed that came to its end.
    pub(crate) fn ended(&mut self, ended: &Ended) {
        if ended.code != Some(0) {
            self.ledger.wrong.push(format!("it ended with {:?}", ended.code));
        }
        self.read(ended);
    }

    fn read(&mut self, ended: &Ended) {
        self.ledger.wrong.extend(ended.stderr.iter().cloned());
        ended.stdout.iter().for_each(|line| self.ledger.read(line));
        self.catch_up();
    }

    /// The response bodies in the store, by the URLs that they come from, with their lengths. The
    /// program must not be running.
    pub(crate) fn stored(&mut self, place: &Place) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        for (path, length) in files(&place.store().join("bodies")) {
            if path.extension().is_some_and(|extension| extension == "request") {
                continue;
            }
            found.extend(self.ledger.recognize(&path, length).map(|url| (url, length)));
        }
        found
    }
}

/// The program: the one that cargo built with these tests, or another that `BGFETCH` names.
fn program() -> PathBuf {
    std::env::var_os("BGFETCH").map_or_else(|| PROGRAM.into(), PathBuf::from)
}

/// All files below a folder with their lengths. Those that vanish meanwhile are left out.
pub(crate) fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            match std::fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => folders.push(path),
                Ok(metadata) => found.push((path, metadata.len())),
                Err(_) => {}
            }
        }
    }
    found
}

/// The number in an environment variable.
pub(crate) fn number_in(variable: &str) -> Option<f64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// The seed in `BGFETCH_SEED`, or another each time. It is printed.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("BGFETCH_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed = seed
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64);
    println!("BGFETCH_SEED={seed}");
    seed
}
