//! Checks that what was reported before a crash is left after it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tempfile::TempDir;

use super::loss::Coin;
use super::{Loss, Recorder};

/// The boot id while a scenario is recorded.
pub const BOOT: &str = "the recorded boot";

/// The environment variable that asks for all crashes, if it is `all`. That takes some minutes.
const CRASH_POINTS: &str = "CRASH_POINTS";

/// Otherwise, one in so many moments is checked, besides those right before and after a sync.
const MOMENTS: usize = 3;

/// And of so many starts after a crash, one crashes, too, at each of its own operations.
const SECOND_CRASHES: usize = 40;

/// How many images the tests of this process have checked.
static CHECKED: AtomicUsize = AtomicUsize::new(0);

/// What a start after a crash finds.
pub trait Left: Sized {
    /// Opens what is in `place`, through this file system and with this boot id, and checks what
    /// holds after every crash.
    ///
    /// # Errors
    /// What does not hold.
    fn open(place: &Path, files: Recorder, boot: &str) -> Result<Self, String>;
}

/// What was reported in a scenario whose operations are recorded. Clones are the same.
pub struct Promises<L> {
    recorder: Recorder,
    told: Arc<Mutex<Vec<Told<L>>>>,
}

/// A report to somebody, and how to check whether what it promised is left.
struct Told<L> {
    what: String,
    /// The moments at which the promise holds.
    from: usize,
    until: usize,
    is_left: Box<Check<L>>,
}

type Check<L> = dyn Fn(&L) -> bool + Send;

impl<L> Clone for Promises<L> {
    fn clone(&self) -> Self {
        Self { recorder: self.recorder.clone(), told: Arc::clone(&self.told) }
    }
}

impl<L> fmt::Debug for Promises<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promises").field("recorder", &self.recorder).finish_non_exhaustive()
    }
}

impl<L: Left> Promises<L> {
    /// Nothing is reported yet.
    #[must_use]
    pub fn new(recorder: &Recorder) -> Self {
        Self { recorder: recorder.clone(), told: Arc::default() }
    }

    /// Notes that something is reported now.
    pub fn tell(&self, what: impl Into<String>, is_left: impl Fn(&L) -> bool + Send + 'static) {
        self.add(self.recorder.now(), what.into(), Box::new(is_left));
    }

    /// Notes what holds at every moment of the scenario.
    pub fn always(&self, what: impl Into<String>, holds: impl Fn(&L) -> bool + Send + 'static) {
        self.add(0, what.into(), Box::new(holds));
    }

    fn add(&self, from: usize, what: String, is_left: Box<Check<L>>) {
        self.told.lock().push(Told { what, from, until: usize::MAX, is_left });
    }

    /// A report no longer holds, because something is about to change it.
    pub fn take_back(&self, what: &str) {
        let mut told = self.told.lock();
        let reports = told.iter_mut().filter(|told| told.what == what && told.until == usize::MAX);
        reports.for_each(|told| told.until = self.recorder.now());
    }

    /// Random crashes, the same for the same recording.
    #[must_use]
    pub fn some_crashes(&self, many: usize) -> Vec<(usize, Loss)> {
        let (start, now) = (self.recorder.start(), self.recorder.now());
        let mut coin = Coin(now as u64);
        let crash = |seed| {
            let losses = Loss::each(seed);
            (coin.number(start, now), losses[coin.number(0, losses.len() - 1)])
        };
        (0..many as u64).map(crash).collect()
    }

    /// Crashes at many moments, with every loss, and checks what was reported by then. Prints how
    /// many images that were.
    ///
    /// # Panics
    /// If a promise is broken.
    pub fn check(&self, scenario: &str) {
        if std::env::var_os(CRASH_POINTS).is_some_and(|value| value == "all") {
            return self.check_all(scenario);
        }
        self.check_some(scenario, MOMENTS, SECOND_CRASHES);
    }

    /// Crashes at every moment, and again at every moment of every next start.
    ///
    /// # Panics
    /// If a promise is broken.
    pub fn check_all(&self, scenario: &str) {
        self.check_some(scenario, 1, 1);
    }

    fn check_some(&self, scenario: &str, every: usize, second_crashes: usize) {
        let boundaries: BTreeSet<usize> = self.recorder.sync_boundaries().into_iter().collect();
        let mut images = BTreeMap::<&str, usize>::new();
        let mut checked = 0;
        for moment in self.recorder.start()..=self.recorder.now() {
            if moment % every != 0 && !boundaries.contains(&moment) {
                continue;
            }
            for loss in Loss::each(moment as u64) {
                let crash = format!("{scenario}: after {loss:?} at {moment}");
                let boot = boot_after(loss, BOOT);
                let image = |to: &Path| self.recorder.next_start(moment, to, loss);
                let next = self.assert_kept(&crash, moment, image, &boot);
                *images.entry(loss.name()).or_default() += 1;
                checked += 1;
                if checked % second_crashes == 0 {
                    let second = images.entry("second crash").or_default();
                    *second += self.crash_again(&crash, moment, &next, &boot);
                }
            }
        }
        let all: usize = images.values().sum();
        let total = CHECKED.fetch_add(all, Ordering::Relaxed) + all;
        println!("crash points: {scenario}: {all} images {images:?}, {total} so far");
    }

    /// Crashes at every moment of a start after a crash. Returns the number of images.
    fn crash_again(&self, crash: &str, moment: usize, next: &Recorder, boot: &str) -> usize {
        let mut images = 0;
        for again in next.start()..=next.now() {
            for loss in Loss::each(again as u64) {
                let crash = format!("{crash}, and after {loss:?} at {again} of the next start");
                let image = |to: &Path| next.next_start(again, to, loss);
                self.assert_kept(&crash, moment, image, &boot_after(loss, boot));
                images += 1;
            }
        }
        images
    }

    /// Checks what was reported before this moment, and returns the operations of opening the
    /// image.
    fn assert_kept(
        &self,
        crash: &str,
        moment: usize,
        image: impl Fn(&Path) -> Recorder,
        boot: &str,
    ) -> Recorder {
        let (broken, operations) =
            self.broken(moment, image, boot).unwrap_or_else(|error| panic!("{crash}: {error}"));
        let broken: Vec<String> =
            broken.into_iter().map(|told| self.told.lock()[told].what.clone()).collect();
        assert!(broken.is_empty(), "{crash}, these are broken: {broken:?}");
        operations
    }

    /// Opens an image of this moment. Returns which promises are broken, and the operations.
    fn broken(
        &self,
        moment: usize,
        image: impl Fn(&Path) -> Recorder,
        boot: &str,
    ) -> Result<(Vec<usize>, Recorder), String> {
        let place = in_memory();
        let recorder = image(place.path());
        let left = L::open(place.path(), recorder.clone(), boot)?;
        let told = self.told.lock();
        let told = told.iter().enumerate();
        let told = told.filter(|(_, told)| (told.from..told.until).contains(&moment));
        let broken = told.filter(|(_, told)| !(told.is_left)(&left)).map(|(number, _)| number);
        Ok((broken.collect(), recorder))
    }

    /// Lets each sync in turn bring nothing to disk. Every kind of sync but those in `unneeded`
    /// must turn out to be needed, and every report to rest on a sync, or on those since the report
    /// before.
    ///
    /// # Panics
    /// If that is not so.
    pub fn check_syncs(&self, scenario: &str, unneeded: &[&str]) {
        let mut kinds = BTreeMap::<String, bool>::new();
        let mut resting = BTreeSet::new();
        for (sync, kind) in self.recorder.syncs() {
            let (needed, broken) = self.without_sync(sync);
            resting.extend(broken);
            *kinds.entry(kind).or_default() |= needed;
        }
        let not: Vec<&String> =
            kinds.iter().filter(|(_, needed)| !**needed).map(|(kind, _)| kind).collect();
        assert_eq!(not, unneeded, "{scenario}: these syncs are not needed");
        let mut before = 0;
        for moment in self.reports().into_iter().filter(|moment| *moment > 0) {
            for loss in losses_without_order(moment as u64) {
                resting.extend(self.broken_without(before..moment, moment, loss).1);
            }
            before = moment;
        }
        for (number, Told { what, from, .. }) in self.told.lock().iter().enumerate() {
            let rests = *from == 0 || resting.contains(&number);
            assert!(rests, "{scenario}: {what:?} rests on no sync");
        }
    }

    /// The moments of the reports.
    fn reports(&self) -> BTreeSet<usize> {
        self.told.lock().iter().map(|told| told.from).collect()
    }

    /// Whether a sync is needed, and the promises that are broken without it.
    fn without_sync(&self, sync: usize) -> (bool, BTreeSet<usize>) {
        let (mut needed, mut broken) = (false, BTreeSet::new());
        for moment in self.reports().into_iter().filter(|moment| *moment > sync) {
            for loss in losses_without_order(moment as u64) {
                let (is_broken, promises) = self.broken_without(sync..sync + 1, moment, loss);
                needed |= is_broken;
                broken.extend(promises);
            }
        }
        let boundaries = self.recorder.sync_boundaries().into_iter();
        let mut crashes = boundaries.filter(|moment| *moment > sync).flat_map(|moment| {
            let losses = (0..4).flat_map(move |n| losses_without_order((moment as u64) << n));
            losses.map(move |loss| (moment, loss))
        });
        needed = needed
            || crashes.any(|(moment, loss)| self.broken_without(sync..sync + 1, moment, loss).0);
        (needed, broken)
    }

    /// Whether anything is broken without these syncs, and which promises.
    fn broken_without(&self, syncs: Range<usize>, moment: usize, loss: Loss) -> (bool, Vec<usize>) {
        let image = |to: &Path| {
            self.recorder.image_without(syncs.clone(), moment, to, loss);
            Recorder::new(to)
        };
        match self.broken(moment, image, &boot_after(loss, BOOT)) {
            Ok((promises, _)) => (!promises.is_empty(), promises),
            // It cannot even be opened.
            Err(_) => (true, Vec::new()),
        }
    }
}

/// The losses that show whether a sync is needed.
fn losses_without_order(seed: u64) -> [Loss; 3] {
    [Loss::UnsyncedAndNames, Loss::Journal { seed }, Loss::Torn { sector: 512, seed }]
}

/// The boot id of the next start.
fn boot_after(loss: Loss, boot: &str) -> String {
    match loss {
        Loss::Process => boot.to_owned(),
        _ => format!("{boot}, and another one"),
    }
}

/// A directory that costs no access to a disk, if there is such a place.
fn in_memory() -> TempDir {
    let memory = TempDir::new_in("/dev/shm");
    memory.or_else(|_| TempDir::new()).unwrap()
}
