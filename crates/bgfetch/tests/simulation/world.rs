//! A run: the lives of one process after another over one disk, until everything is over.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::time::Duration;

use bgfetch::embedder::{BoxFuture, Permissions, Quota, WallClock};
use bgfetch::{
    Engine, Permission, PermissionRequest, SqliteStore, StorageKey, Store, StoreOptions, UnixTime,
};
use fastrand::Rng;
use parking_lot::{Mutex, MutexGuard};
use std::future::ready;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::disk::{Disk, OUT, STORE};
use super::life;
use super::oracle::Oracle;
use super::plan::{Deed, How, Line, Plan, Wanted};
use super::resource::Resources;
use super::trace::{Counts, Trace};

/// When all runs begin: 15 December 2023.
const BEGIN: UnixTime = UnixTime(1_702_598_400_000);

/// How long the machine takes to start a process again.
const RESTART: Duration = Duration::from_secs(5);

/// Clones are the same world.
#[derive(Clone)]
pub(crate) struct World(Arc<Shared>);

struct Shared {
    plan: Plan,
    /// The directory in which the disk is.
    folder: String,
    rng: Mutex<Rng>,
    oracle: Mutex<Oracle>,
    resources: Mutex<Resources>,
    trace: Mutex<Trace>,
    disk: Mutex<Disk>,
    state: Mutex<State>,
}

/// What changes around the engine.
pub(crate) struct State {
    /// When the life began, in the time of the world and in that of its runtime.
    began: (Duration, Option<Instant>),
    pub(crate) life: usize,
    pub(crate) boots: usize,
    next_deed: usize,
    pub(crate) wall_jump: i64,
    pub(crate) line: Line,
    /// How often the line changed.
    pub(crate) line_changes: u32,
    /// Servers, workers and the disk do what they should from now on.
    pub(crate) calm: bool,
    /// For workers, whose events may come before the engine is fully opened.
    pub(crate) engine: Option<Engine>,
    /// How often workers will still fail, by site.
    pub(crate) failures: Vec<u32>,
    pub(crate) not_yets: Vec<u32>,
    pub(crate) active_workers: Vec<bool>,
    /// Who is logged in, by site.
    pub(crate) users: Vec<u8>,
    /// The calls that have not been answered.
    pub(crate) open_calls: u32,
    /// The attempts that began, and those in flight, by partition.
    pub(crate) starts: Vec<u32>,
    pub(crate) in_flight: Vec<u32>,
    /// Pages that take updates as soon as there are any, by site.
    pub(crate) prompt_pages: Vec<Vec<String>>,
    pub(crate) tasks: JoinSet<()>,
    /// How many pages there have been.
    pub(crate) pages: u32,
}

thread_local! {
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// From now on, each panic is noted for its thread.
fn watch_panics() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            PANICKED.set(true);
            before(panic);
        }));
    });
}

/// What a run leaves.
pub(crate) struct Outcome {
    pub(crate) counts: Counts,
    pub(crate) trace: Trace,
    pub(crate) violation: Option<String>,
}

impl World {
    /// Runs what a seed decides.
    pub(crate) fn run(seed: u64) -> Outcome {
        let mut rng = Rng::with_seed(seed);
        let plan = Plan::drawn(&mut rng);
        let places = Places::new();
        let sites = &plan.sites;
        // All fetches for the user share one partition, the last.
        let partitions = vec![0; sites.len() + 1];
        let state = State {
            began: (Duration::ZERO, None),
            life: 0,
            boots: 0,
            next_deed: 0,
            wall_jump: 0,
            line: Line::Online,
            line_changes: 0,
            calm: false,
            engine: None,
            failures: sites.iter().map(|site| site.failures).collect(),
            not_yets: sites.iter().map(|site| site.not_yets).collect(),
            active_workers: vec![true; sites.len()],
            users: vec![0; sites.len()],
            open_calls: 0,
            starts: partitions.clone(),
            in_flight: partitions,
            prompt_pages: vec![Vec::new(); sites.len()],
            tasks: JoinSet::new(),
            pages: 0,
        };
        let world = Self(Arc::new(Shared {
            oracle: Mutex::new(Oracle::new(plan.clone())),
            resources: Mutex::new(Resources::new(plan.resources.clone(), BEGIN)),
            rng: Mutex::new(rng),
            trace: Mutex::default(),
            disk: Mutex::new(Disk::in_directory(&places.fresh())),
            state: Mutex::new(state),
            folder: places.folder.path().display().to_string(),
            plan,
        }));
        let mut counts = Counts { runs: 1, ..Counts::default() };
        watch_panics();
        let lives = AssertUnwindSafe(|| world.live(&places, &mut counts));
        // A task may have panicked, too.
        if catch_unwind(lives).is_err() | PANICKED.take() {
            world.violate("something panicked");
        }
        let oracle = world.0.oracle.lock();
        let trace = std::mem::take(&mut *world.0.trace.lock());
        counts.told = oracle.told;
        counts.told_again = oracle.told_again;
        counts.steps = trace.steps();
        counts.seconds = world.now().as_secs();
        Outcome { counts, trace, violation: oracle.violation.clone() }
    }

    fn live(&self, places: &Places, counts: &mut Counts) {
        let mut power_lost = false;
        let mut ends = self.plan().ends.iter().copied().peekable();
        let mut is_over = false;
        while !is_over {
            while ends.next_if(|end| end.at < self.now()).is_some() {}
            let end = ends.peek().copied();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            // The clock runs only in the runtime.
            let (ended, now) = runtime.block_on(async {
                let ended = life::live(self, end, power_lost).await;
                (ended, self.now())
            });
            self.state().began = (now, None);
            self.disk().stop_count_down();
            self.oracle().ended(now);
            power_lost = matches!(ended, How::PowerLoss { .. });
            if power_lost {
                // What is dropped from now on no longer reaches the disk.
                self.disk().lose_power();
            }
            let database = self.disk().save_database();
            let (engine, tasks) = {
                let mut state = self.state();
                (state.engine.take(), std::mem::take(&mut state.tasks))
            };
            drop((engine, tasks));
            drop(runtime);
            self.end_life(now);
            self.trace(|| format!("{ended:?}"));
            if self.oracle().violation.is_some() {
                return;
            }
            is_over = end.is_none() && ended == How::Shutdown;
            match ended {
                How::Shutdown | How::Failure => {}
                How::Crash => {
                    counts.crashes += 1;
                    for (path, bytes) in database {
                        std::fs::write(path, bytes).unwrap();
                    }
                }
                How::PowerLoss { kept } => {
                    counts.power_losses += 1;
                    self.state().boots += 1;
                    let keeps = || self.draw(|rng| rng.u16(0..256) < kept);
                    let left = self.disk().after_power_loss(&places.fresh(), keeps);
                    *self.0.disk.lock() = left;
                }
            }
            self.check_saved();
        }
        self.check_store();
    }

    fn end_life(&self, now: Duration) {
        let mut state = self.state();
        state.began = (now + RESTART, None);
        state.life += 1;
        state.open_calls = 0;
        state.in_flight.fill(0);
        state.prompt_pages.iter_mut().for_each(Vec::clear);
    }

    /// The files that workers saved are whole, and those that were told to be saved are there.
    fn check_saved(&self) {
        let folder = self.disk().path(OUT);
        let mut oracle = self.oracle();
        let mut wrong = None;
        for fetch in oracle.fetches() {
            for (index, wanted) in fetch.call.records.iter().enumerate() {
                let path = folder.join(format!("{}-{index}", fetch.call.id));
                let right = match std::fs::read(path) {
                    Ok(bytes) => self.find(wanted, &bytes, true),
                    Err(_) => !fetch.saved.contains(&index),
                };
                if !right {
                    wrong = Some(format!("record {index} of {} was saved wrongly", fetch.call.id));
                }
            }
        }
        wrong.into_iter().for_each(|wrong| oracle.violate(wrong));
    }

    /// Nothing is left in the store.
    fn check_store(&self) {
        let options = StoreOptions::default().file_system(self.disk()).boot_id("the last");
        let mut store = SqliteStore::open(&self.disk().path(STORE), options.inline()).unwrap();
        let left = store.load().unwrap().fetches.len() + self.disk().bodies().len();
        if left > 0 {
            self.violate(format!("{left} fetches or bodies are left in the store"));
        }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.0.plan
    }

    pub(crate) fn disk(&self) -> Disk {
        self.0.disk.lock().clone()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }

    pub(crate) fn oracle(&self) -> MutexGuard<'_, Oracle> {
        self.0.oracle.lock()
    }

    pub(crate) fn resources(&self) -> MutexGuard<'_, Resources> {
        self.0.resources.lock()
    }

    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.0.rng.lock())
    }

    /// True once in so many times.
    pub(crate) fn once_in(&self, times: u32) -> bool {
        self.draw(|rng| rng.u32(0..times) == 0)
    }

    /// A random time up to `most` milliseconds.
    pub(crate) fn time(&self, most: u64) -> Duration {
        self.draw(|rng| Duration::from_millis(rng.u64(0..=most)))
    }

    /// The life begins.
    pub(crate) fn begin(&self) {
        self.state().began.1 = Some(Instant::now());
    }

    /// The time since the run began.
    pub(crate) fn now(&self) -> Duration {
        let (base, began) = self.state().began;
        base + began.map(|began| began.elapsed()).unwrap_or_default()
    }

    /// The right time, which the clock of this machine may not show.
    pub(crate) fn true_time(&self) -> UnixTime {
        BEGIN.after(self.now())
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.state().calm
    }

    /// The next deed, once its time has come.
    pub(crate) fn next_deed(&self) -> Option<(Duration, Deed)> {
        let mut state = self.state();
        let deed = self.plan().deeds.get(state.next_deed).cloned();
        state.next_deed += 1;
        deed
    }

    /// A deed that was taken was not done.
    pub(crate) fn put_back_deed(&self) {
        self.state().next_deed -= 1;
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.state().tasks.spawn(task);
    }

    pub(crate) fn trace(&self, line: impl FnOnce() -> String) {
        // Paths differ from run to run.
        let line = line().replace(&self.0.folder, "");
        let now = self.now();
        self.0.trace.lock().add(now, line);
    }

    pub(crate) fn violate(&self, what: impl Into<String>) {
        self.oracle().violate(what);
    }

    /// Tells the oracle something that happened. After the power is lost, nothing does.
    pub(crate) fn note<T: Default>(&self, note: impl FnOnce(&mut Oracle) -> T) -> T {
        if self.disk().has_power() { note(&mut self.oracle()) } else { T::default() }
    }

    /// Tells the oracle what somebody was answered, right after which the process may end.
    pub(crate) fn learn<T: Default>(&self, learn: impl FnOnce(&mut Oracle) -> T) -> T {
        let learned = self.note(learn);
        self.disk().answered();
        learned
    }

    /// Whether somebody could have sent these bytes for what was wanted, or more.
    pub(crate) fn find(&self, wanted: &Wanted, bytes: &[u8], whole: bool) -> bool {
        self.resources().find(wanted, bytes, whole)
    }

    /// The partition of a site's requests.
    pub(crate) fn partition(&self, site: usize) -> usize {
        if self.plan().sites[site].for_user { self.plan().sites.len() } else { site }
    }

    fn site_of(&self, key: &StorageKey) -> usize {
        let of = |site: &super::plan::Site| site.registration.storage_key == *key;
        self.plan().sites.iter().position(of).unwrap()
    }
}

impl Permissions for World {
    fn query(&self, _: &PermissionRequest) -> BoxFuture<'static, Permission> {
        Box::pin(ready(Permission::Granted))
    }
}

impl Quota for World {
    fn limit(&self, storage_key: &StorageKey) -> BoxFuture<'static, u64> {
        let quota = self.plan().sites[self.site_of(storage_key)].quota;
        // Some answers come at once.
        let delay = if self.once_in(2) { Duration::ZERO } else { self.time(50) };
        Box::pin(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            quota
        })
    }
}

impl WallClock for World {
    fn now(&self) -> UnixTime {
        let jump = self.state().wall_jump;
        UnixTime(self.true_time().0.saturating_add_signed(jump))
    }
}

/// Directories for the disk, which are deleted at the end.
struct Places {
    folder: TempDir,
    made: Mutex<usize>,
}

impl Places {
    fn new() -> Self {
        let in_memory = Path::new("/dev/shm");
        let folder = match in_memory.is_dir() {
            true => TempDir::new_in(in_memory),
            false => TempDir::new(),
        };
        Self { folder: folder.unwrap(), made: Mutex::new(0) }
    }

    fn fresh(&self) -> PathBuf {
        let mut made = self.made.lock();
        *made += 1;
        let path = self.folder.path().join(made.to_string());
        std::fs::create_dir(&path).unwrap();
        path
    }
}
