//! `run` for a long time against servers that misbehave. `make soak` makes it an hour.
//!
//! Two programs do the same work on stores of their own. One is killed every few seconds: what it
//! leaves in its store must not add up. The other one is never killed: nothing must add up in its
//! memory.

mod faults;
mod figures;
mod load;
mod plot;

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use bgfetch_testkit::Origin;

use self::figures::{FIGURES, Figure, MEMORY, Sample, Trend};
use self::load::Load;
use crate::app::{App, files, number_in, seed};
use crate::fixture::{Place, Running};

/// The time between two samples.
const INTERVAL: Duration = Duration::from_secs(1);

/// The longest life of a program that is killed, in milliseconds.
const LIFE: u64 = 8000;

/// How long fetches may take to end once there are no new ones. Longer than all retries that the
/// faults cause.
const PATIENCE: Duration = Duration::from_secs(300);

/// The shortest soak whose figures are judged. A shorter one has hardly a sample for each fault.
const JUDGED: Duration = Duration::from_secs(5 * 60);

/// What a worker that has ended leaves in memory, in MiB: QuickJS leaks it. A worker ends although
/// its page keeps it busy if the machine is so slow that it is idle for a second.
const REALM: f64 = 2.5;

/// What became of one of the two programs.
struct Soaked {
    name: &'static str,
    app: App,
    samples: Vec<Sample>,
    kills: u32,
    /// The files that are left in `bodies` when all is over.
    left: usize,
}

impl Soaked {
    /// How each figure has developed, by its name.
    fn trends(&self) -> impl Iterator<Item = (&'static str, Trend)> {
        let ended = self.app.ledger.starts.saturating_sub(1) as f64;
        let trend = move |(index, figure): (usize, &Figure)| {
            // A process that lives for seconds shows nothing but its store.
            let is_judged = self.kills == 0 || figure.is_of_store;
            let known = if index == MEMORY { REALM * ended } else { 0.0 };
            (figure.name, Trend::of(&self.samples, index, is_judged.then_some(known)))
        };
        FIGURES.iter().enumerate().map(trend)
    }
}

#[test]
fn nothing_is_lost_and_nothing_adds_up_while_servers_misbehave() {
    let minutes = number_in("BGFETCH_SOAK_MINUTES").unwrap_or(0.2);
    let time = Duration::from_secs_f64(minutes * 60.0);
    let seed = seed();
    let trusted = &Origin::start_tls();
    let [steady, killed] = std::thread::scope(|scope| {
        ["steady", "killed"]
            .map(|name| scope.spawn(move || soak(name, name == "killed", seed, time, trusted)))
            .map(|thread| thread.join().unwrap())
    });
    let programs = [steady, killed];
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak");
    std::fs::create_dir_all(&folder).unwrap();
    let table = table(&programs);
    let lines = programs.each_ref().map(|soaked| (soaked.name, soaked.samples.as_slice()));
    std::fs::write(folder.join("figures.md"), &table).unwrap();
    std::fs::write(folder.join("samples.csv"), csv(&programs)).unwrap();
    std::fs::write(folder.join("plot.svg"), plot::svg(&lines)).unwrap();
    println!("{table}\nThe plot is in {}", folder.display());
    for soaked in &programs {
        let Soaked { name, app, left, .. } = soaked;
        let (wrong, lost) = (&app.ledger.wrong, app.ledger.lost());
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
        assert!(lost.is_empty(), "{name}: {lost:#?}");
        assert_eq!(*left, 0, "{name}: bodies are left in the store");
        let again = app.ledger.count().told_again;
        assert!(soaked.kills > 0 || again == 0, "{name}: {again} told again without a kill");
        let rising = soaked.trends().filter(|(_, trend)| trend.is_flat() == Some(false));
        let rising: Vec<_> = rising.filter(|_| time >= JUDGED).collect();
        assert!(rising.is_empty(), "{name}: {rising:#?}");
    }
}

/// Runs a program for this time, and then until its fetches are over.
fn soak(
    name: &'static str,
    is_killed: bool,
    seed: u64,
    time: Duration,
    trusted: &Origin,
) -> Soaked {
    let place = Place::new();
    let mut rng = fastrand::Rng::with_seed(seed ^ u64::from(is_killed));
    let mut load = Load::new(rng.u64(..), trusted, time >= JUDGED, is_killed);
    let (mut samples, mut kills) = (Vec::new(), 0);
    let started = Instant::now();
    let mut next_sample = started + INTERVAL;
    loop {
        let running = Running::spawn(load.command(&place));
        let life = if is_killed { Duration::from_millis(rng.u64(..LIFE)) } else { time };
        let end = (Instant::now() + life).min(started + time);
        let mut has_ended = false;
        while !has_ended && Instant::now() < end {
            let until = end.min(next_sample);
            has_ended = running.ends_within(until.saturating_duration_since(Instant::now()));
            if until == next_sample {
                let at = started.elapsed();
                samples.extend(Sample::take(at, running.pid(), &place.store()));
                next_sample += INTERVAL;
                load.tend(&running);
            }
        }
        if has_ended {
            load.app.ledger.wrong.push("the program ended early".into());
        }
        if has_ended || started.elapsed() >= time {
            finish(&mut load, running);
            break;
        }
        load.killed(&running.kill(), &place);
        kills += 1;
    }
    let left = files(&place.store().join("bodies")).len();
    Soaked { name, app: load.app, samples, kills, left }
}

/// Ends the work, and waits until the program ends by itself because nothing is left to do.
fn finish(load: &mut Load<'_>, running: Running) {
    load.end();
    let patience = Instant::now() + PATIENCE;
    while !running.ends_within(INTERVAL) && Instant::now() < patience {
        load.tend(&running);
    }
    if running.ends_within(Duration::ZERO) {
        load.app.ended(&running.end());
    } else {
        load.app.ledger.wrong.push("the program did not end".into());
        load.app.killed(&running.kill());
    }
}

/// The figures, as Markdown.
fn table(programs: &[Soaked]) -> String {
    let mut table = String::new();
    // A String takes any text, here and below.
    let mut line = |text: String| writeln!(table, "{text}").unwrap();
    line(
        "| program | kills | worker starts | promised | told | lost | wrong | told again |".into(),
    );
    line("|---|---|---|---|---|---|---|---|".into());
    for Soaked { name, app, kills, .. } in programs {
        let (count, lost, wrong) = (app.ledger.count(), app.ledger.lost(), &app.ledger.wrong);
        line(format!(
            "| {name} | {kills} | {} | {} | {} | {} | {} | {} |",
            app.ledger.starts,
            count.promised,
            count.told,
            lost.len(),
            wrong.len(),
            count.told_again
        ));
    }
    line("\n| program | figure | first quarter | last quarter | per hour | flat |".into());
    line("|---|---|---|---|---|---|".into());
    for soaked in programs {
        for (figure, trend) in soaked.trends() {
            let flat = trend.is_flat().map_or("", |flat| if flat { "yes" } else { "no" });
            line(format!(
                "| {} | {figure} | {:.1} | {:.1} | {:+.1} | {flat} |",
                soaked.name, trend.first, trend.last, trend.slope
            ));
        }
    }
    table
}

/// All samples.
fn csv(programs: &[Soaked]) -> String {
    let names = FIGURES.map(|figure| format!("\"{}\"", figure.name));
    let mut csv = format!("program,second,{}\n", names.join(","));
    for Soaked { name, samples, .. } in programs {
        for Sample { at, values } in samples {
            let values = values.map(|value| value.to_string());
            // A String takes any text.
            writeln!(csv, "{name},{:.1},{}", at.as_secs_f64(), values.join(",")).unwrap();
        }
    }
    csv
}
