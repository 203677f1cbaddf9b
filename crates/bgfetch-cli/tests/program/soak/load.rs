//! The work of a soak: batches of fetches, each from a server of its own that goes away afterwards.

use std::collections::BTreeMap;
use std::process::Command;

use bgfetch_testkit::Origin;

use super::faults::{Conditions, file};
use crate::app::App;
use crate::fixture::{Ended, Place, Running};

/// How many fetches the page keeps going.
const FETCHES: usize = 50;

/// The fetches of a batch.
const BATCH: u64 = 25;

/// The most files of a fetch.
const FILES: u64 = 3;

/// How many batches are planned ahead: more than the page needs in a second.
const AHEAD: u64 = 4;

struct Batch {
    origin: Origin,
    ids: Vec<String>,
    /// The paths of uploads.
    uploads: Vec<String>,
}

/// The app, and the servers of its files.
pub(super) struct Load<'a> {
    pub(super) app: App,
    rng: fastrand::Rng,
    /// A server whose certificate the program trusts.
    trusted: &'a Origin,
    slow: bool,
    killed: bool,
    /// How many batches have a plan before the page asks for them.
    ahead: u64,
    batches: BTreeMap<u64, Batch>,
    /// The first batch of the program that runs.
    first: u64,
    /// Whether it has opened its page. By then it has printed all that an earlier one left.
    is_open: bool,
}

impl<'a> Load<'a> {
    pub(super) fn new(seed: u64, trusted: &'a Origin, slow: bool, killed: bool) -> Self {
        let mut load = Self {
            app: App::start(),
            rng: fastrand::Rng::with_seed(seed),
            trusted,
            slow,
            killed,
            ahead: AHEAD,
            batches: BTreeMap::new(),
            first: 0,
            is_open: false,
        };
        load.plan();
        load
    }

    /// The command that runs the app.
    pub(super) fn command(&mut self, place: &Place) -> Command {
        let root = place.path("root.pem");
        std::fs::write(&root, self.trusted.certificates().root_pem()).unwrap();
        let mut command = self.app.command(place, FETCHES);
        self.first = self.app.asked();
        self.is_open = false;
        command.env("SSL_CERT_FILE", root);
        command
    }

    /// Notes what the program has printed; plans what comes next, and ends servers.
    pub(super) fn tend(&mut self, running: &Running) {
        for line in running.take() {
            self.is_open |= line.contains(r#""event":"opening""#);
            self.app.ledger.read(&line);
        }
        self.app.catch_up();
        self.plan();
        self.end_servers();
    }

    pub(super) fn killed(&mut self, ended: &Ended, place: &Place) {
        self.app.killed(ended);
        self.app.stored(place);
    }

    /// Plans no more, and lets the page close.
    pub(super) fn end(&mut self) {
        self.ahead = 0;
        self.app.end();
    }

    fn plan(&mut self) {
        while self.app.planned() < self.app.asked() + self.ahead {
            self.plan_batch();
        }
    }

    fn plan_batch(&mut self) {
        let number = self.app.planned();
        // Half of them over HTTP/2, where a cut ends the other downloads of the connection, too.
        let encrypted = number % 2 == 1;
        let origin = if encrypted { Origin::start_tls_like(self.trusted) } else { Origin::start() };
        let conditions = Conditions { slow: self.slow, uploads_may_fail: self.killed || encrypted };
        let (mut uploads, mut fetches) = (Vec::new(), Vec::new());
        for fetch in 0..BATCH {
            let mut files = Vec::new();
            for number in 0..self.rng.u64(1..=FILES) {
                let path = format!("/{fetch}/{number}");
                let file = file(&mut self.rng, &origin, &path, conditions);
                uploads.extend(file.upload.map(|_| path));
                files.push(file);
            }
            fetches.push(files);
        }
        let ids = self.app.plan(fetches);
        self.batches.insert(number, Batch { origin, ids, uploads });
    }

    /// Ends the servers whose fetches are all over.
    fn end_servers(&mut self) {
        let ledger = &mut self.app.ledger;
        let (first, is_open) = (self.first, self.is_open);
        self.batches.retain(|number, batch| {
            // What an earlier program has not registered never will be.
            let was_left = is_open && *number < first;
            let is_over = |id: &String| ledger.is_told(id) || was_left && !ledger.is_promised(id);
            if !batch.ids.iter().all(is_over) {
                return true;
            }
            for path in &batch.uploads {
                let requests = batch.origin.requests_to(path).len();
                if requests > 1 {
                    ledger
                        .wrong
                        .push(format!("{} was sent {requests} times", batch.origin.url(path)));
                }
            }
            false
        });
    }
}
