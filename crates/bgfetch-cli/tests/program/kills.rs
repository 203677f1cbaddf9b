//! `run`, killed by `SIGKILL` at random moments. `make kills` has more of them.

use std::collections::HashMap;
use std::time::Instant;

use bgfetch_testkit::{KIB, Resource, Serve as _};

use crate::app::{App, Outcome, Planned, number_in, seed};
use crate::fixture::{Place, Running};

/// How many fetches the page keeps going.
const FETCHES: usize = 4;

/// The files of a fetch.
const FILES: u64 = 2;

/// Slow enough that most kills interrupt several downloads.
const BYTES_PER_SECOND: u64 = 256 * KIB;

/// The most of the promised bytes, in percent, that may be downloaded again although they were in
/// the store.
const AGAIN: f64 = 2.0;

/// What the server sent, compared with what the store held after each kill.
#[derive(Default)]
struct Wire {
    /// The bytes of each file in the store after the last kill.
    stored: HashMap<String, u64>,
    /// How many requests had arrived by then.
    requests: usize,
    /// The bytes that were requested again although they were stored.
    again: u64,
}

impl Wire {
    /// Compares the requests since the last kill with what was stored then.
    fn compare(&mut self, app: &App) {
        for request in app.home.requests_after(self.requests) {
            let url = app.home.url(&request.path).to_string();
            // Later requests for the file follow faults, not the kill.
            if let Some(stored) = self.stored.remove(&url) {
                self.again += stored.saturating_sub(request.range_start().unwrap_or(0));
            }
        }
    }

    fn killed(&mut self, app: &mut App, place: &Place) {
        self.compare(app);
        self.stored = HashMap::new();
        for (url, length) in app.stored(place) {
            let stored = self.stored.entry(url).or_default();
            *stored = length.max(*stored);
        }
        self.requests = app.home.requests().len();
    }
}

/// Whether a path is that of a file, as [`plan`] makes them.
fn is_file(path: &str) -> bool {
    path.starts_with("/files/")
}

/// Plans a batch of fetches that all succeed.
fn plan(app: &mut App, rng: &mut fastrand::Rng) {
    let batch = app.planned();
    let mut file = |number| {
        let path = format!("/files/{batch}/{number}");
        let resource = Resource::new(rng.u64(..), rng.u64(64 * KIB..512 * KIB)).etag("\"1\"");
        app.home.serve(&path, resource.clone().paced(BYTES_PER_SECOND));
        let (url, outcomes) = (app.home.url(&path).into(), vec![Outcome::Bytes(resource.clone())]);
        Planned { url, upload: None, sent: vec![resource], outcomes }
    };
    let fetches = (0..FETCHES as u64)
        .map(|fetch| (0..FILES).map(|number| file(fetch * FILES + number)).collect());
    let fetches = fetches.collect();
    app.plan(fetches);
}

#[test]
fn whenever_it_is_killed_nothing_promised_is_lost_and_nothing_stored_is_fetched_again() {
    let kills = number_in("BGFETCH_KILLS").unwrap_or(10.0) as u32;
    let mut rng = fastrand::Rng::with_seed(seed());
    let mut app = App::start();
    let place = Place::new();
    let mut wire = Wire::default();
    // How long it takes from the start to the first promise.
    let mut start = None;
    for _ in 0..kills {
        app.catch_up();
        while app.planned() < app.asked() + 3 {
            plan(&mut app, &mut rng);
        }
        let started = Instant::now();
        let running = Running::spawn(app.command(&place, FETCHES));
        match start {
            None => {
                running.line(|line| line.contains("promised "));
                start = Some(started.elapsed());
            }
            // A moment in time and no event, so that it depends on nothing that the program does:
            // some come before it has opened its store, some while it tells.
            Some(start) => {
                running.ends_within(start.mul_f64(3.0 * rng.f64()));
            }
        }
        app.killed(&running.kill());
        wire.killed(&mut app, &place);
    }
    app.end();
    let ended = Running::spawn(app.command(&place, FETCHES)).end();
    app.ended(&ended);
    wire.compare(&app);

    let (count, lost, wrong) = (app.ledger.count(), app.ledger.lost(), &app.ledger.wrong);
    let requests = app.home.requests();
    let resumed = requests.iter().filter(|request| request.range().is_some()).count();
    let sent: u64 = requests.iter().filter(|r| is_file(&r.path)).map(|request| request.sent).sum();
    let percent = |bytes: u64| 100.0 * bytes as f64 / count.bytes as f64;
    println!(
        "{kills} kills: {} fetches promised, {} told, {} lost, {} wrong, {} told again",
        count.promised,
        count.told,
        lost.len(),
        wrong.len(),
        count.told_again,
    );
    println!(
        "{} bytes told, {sent} sent ({:.2} % more), {resumed} downloads resumed, {} stored bytes \
         fetched again ({:.2} %)",
        count.bytes,
        percent(sent.saturating_sub(count.bytes)),
        wire.again,
        percent(wire.again),
    );
    assert!(lost.is_empty(), "{lost:#?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(percent(wire.again) < AGAIN);
    assert_eq!(app.stored(&place), [], "nothing is left in the store");
}
