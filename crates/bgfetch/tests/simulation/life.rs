//! The life of one process: what an embedder does at its start, what pages and the user do then,
//! and how it ends.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bgfetch::{
    Connectivity, Engine, Job, Limits, ManualConnectivity, Observer, PauseReason, Reachable,
    StoreOptions,
};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::disk::STORE;
use super::network::Network;
use super::oracle::SYNC_EVERY;
use super::page;
use super::plan::{ACTIVE, End, How, Line};
use super::worker::Workers;
use super::world::World;

/// How long everything may take to come to its end, once nothing goes wrong any more.
const LAST: Duration = Duration::from_secs(3 * 3600);

/// How long a process may live without an operation on files, if it is to end at one.
const IDLE: Duration = Duration::from_secs(60);

/// A process, while it lives. Clones are the same.
#[derive(Clone)]
pub(crate) struct Life {
    pub(crate) world: World,
    pub(crate) engine: Engine,
    line: Arc<ManualConnectivity>,
}

/// Lives until the planned end, or until everything is over.
pub(crate) async fn live(world: &World, end: Option<End>, power_lost: bool) -> How {
    world.begin();
    let line = Arc::new(ManualConnectivity::default());
    let engine = match open(world, &line) {
        Ok(engine) => engine,
        Err(_) if world.disk().sync_failed() => return How::Failure,
        Err(error) => {
            world.violate(format!("the store cannot be opened: {error}"));
            return How::Crash;
        }
    };
    world.state().engine = Some(engine.clone());
    let stopped = engine.stopped();
    let life = Life { world: world.clone(), engine, line };
    let ended = async {
        let Some(End { at, operations, answers, how }) = end else { return pending().await };
        sleep(at.saturating_sub(world.now())).await;
        if operations > 0 {
            let (disk, loses_power) = (world.disk(), matches!(how, How::PowerLoss { .. }));
            // Nothing may happen on the disk.
            drop(timeout(IDLE, disk.count_down(operations, answers, loses_power)).await);
        }
        how
    };
    let violated = async {
        while world.oracle().violation.is_none() {
            sleep(Duration::from_secs(1)).await;
            if world.now() > 2 * LAST {
                world.violate("a call is never answered");
            }
        }
    };
    let ended = tokio::select! {
        biased;
        () = violated => return How::Crash,
        how = ended => how,
        stopped = stopped => match stopped {
            Err(_) if world.disk().sync_failed() => How::Failure,
            stopped => {
                world.violate(format!("the engine stopped: {stopped:?}"));
                How::Crash
            }
        },
        () = life.run(power_lost, end.is_none()) => How::Shutdown,
    };
    if ended == How::Shutdown {
        life.shut_down().await;
    }
    ended
}

fn open(world: &World, line: &Arc<ManualConnectivity>) -> bgfetch::Result<Engine> {
    let (pace, boot) = (world.clone(), world.state().boots);
    let slow = world.plan().faults.slow_store;
    let options = StoreOptions::default()
        .file_system(world.disk())
        .boot_id(format!("boot {boot}"))
        .sync_every(SYNC_EVERY);
    Engine::builder()
        .runtime(Handle::current())
        .inline_io(move || match slow {
            true => pace.time(200),
            false if pace.once_in(2) => pace.time(3),
            false => Duration::ZERO,
        })
        .directory_with(world.disk().path(STORE), options)
        .fetcher(Network(world.clone()))
        .worker_host(Workers(world.clone()))
        .quota(world.clone())
        .permissions(world.clone())
        .wall_clock(world.clone())
        .connectivity(Arc::clone(line))
        .limits(Limits::default().with(|it| it.total = world.plan().connections))
        .configure(|config| {
            config.seed = 7;
            // So that events are told, or given up, while the user is active.
            config.delivery.max_delay = Duration::from_secs(5);
        })
        .open()
}

impl Life {
    async fn run(&self, power_lost: bool, is_last: bool) {
        let world = &self.world;
        self.set_line();
        let jobs = self.jobs().await;
        let now = world.now();
        world.note(|oracle| oracle.restarted(now, power_lost, &jobs));
        if let Ok(observer) = self.engine.observe().await {
            world.spawn(observe(world.clone(), self.engine.clone(), observer));
        }
        for number in 0..world.plan().sites.len() {
            self.register(number).await;
            world.spawn(page::live(world.clone(), self.engine.clone(), number, true, None));
        }
        while let Some((at, deed)) = world.next_deed() {
            let wait = at.saturating_sub(world.now());
            if !wait.is_zero() {
                // The life may end meanwhile.
                world.put_back_deed();
                sleep(wait).await;
                world.next_deed();
            }
            world.trace(|| format!("{deed:?}"));
            // Whoever does it runs among the others when the answer comes.
            let (life, (done, is_done)) = (self.clone(), oneshot::channel());
            world.spawn(async move {
                life.perform(deed).await;
                drop(done);
            });
            drop::<Result<(), _>>(is_done.await);
            self.check().await;
        }
        sleep(ACTIVE.saturating_sub(world.now())).await;
        if is_last {
            self.calm_down().await;
        } else {
            // Until the planned end.
            pending().await
        }
    }

    pub(crate) async fn jobs(&self) -> Vec<Job> {
        self.engine.ui().jobs().await.unwrap_or_default()
    }

    pub(crate) async fn register(&self, site: usize) {
        let key = self.world.plan().sites[site].registration.clone();
        let registered = self.engine.register(key.storage_key, key.scope).await;
        if let Ok(registration) = registered
            && !self.world.state().active_workers[site]
        {
            registration.set_active_worker(false).await.unwrap_or_default();
        }
    }

    pub(crate) fn set_line(&self) {
        let line = self.world.state().line;
        let now = self.world.now();
        let state = match line {
            // Nobody notices that it is dead.
            Line::Online | Line::Dead => Connectivity::Online,
            Line::Offline => Connectivity::Offline(Reachable::default()),
            Line::CaptivePortal => Connectivity::CaptivePortal,
            Line::Metered => Connectivity::Metered,
        };
        let holds_back = matches!(line, Line::Offline | Line::CaptivePortal);
        self.world.oracle().offline_since = holds_back.then_some(now);
        self.line.set(state);
    }

    async fn check(&self) {
        check(&self.world, &self.engine).await;
    }

    /// Nothing goes wrong any more, and nobody holds anything back: everything comes to its end.
    async fn calm_down(&self) {
        let world = &self.world;
        {
            let mut state = world.state();
            state.calm = true;
            state.line = Line::Online;
            state.line_changes += 1;
            state.active_workers.fill(true);
        }
        world.disk().set_full(false);
        world.disk().set_sync_fails(false);
        self.set_line();
        world.trace(|| String::from("everything is calm"));
        for number in 0..world.plan().sites.len() {
            let registration = world.plan().sites[number].registration.clone();
            let registration = self.engine.registration(registration);
            registration.set_active_worker(true).await.unwrap_or_default();
        }
        let last = world.now() + LAST;
        loop {
            let jobs = self.jobs().await;
            for job in &jobs {
                if job.display.pause_reason == Some(PauseReason::User) {
                    drop(self.engine.ui().resume(job.key).await);
                }
            }
            let open_calls = world.state().open_calls;
            if open_calls == 0 && jobs.iter().all(|job| job.display.over) {
                break;
            }
            if world.now() > last {
                let waits = jobs.iter().filter(|job| !job.display.over).collect::<Vec<_>>();
                let text = format!("{open_calls} calls and these wait for ever: {waits:#?}");
                return world.violate(text);
            }
            sleep(Duration::from_secs(20)).await;
        }
        // What is about to be told.
        sleep(Duration::from_secs(5)).await;
        world.note(super::oracle::Oracle::finished);
        self.check().await;
        for job in self.jobs().await {
            self.dismiss(&job).await;
        }
        self.check_nothing_is_left().await;
    }

    async fn check_nothing_is_left(&self) {
        let world = &self.world;
        for site in &world.plan().sites {
            let usage = self.engine.usage(site.registration.storage_key.clone()).await;
            if !usage.is_ok_and(|usage| usage.total == 0) {
                world.violate(format!("{site:?} still takes quota"));
            }
        }
        let in_flight = world.state().in_flight.clone();
        if in_flight.iter().any(|attempts| *attempts > 0) {
            world.violate(format!("attempts are in flight: {in_flight:?}"));
        }
        let mut bodies = world.disk().bodies();
        // Whoever opens a body while its fetch is being deleted leaves an empty file, which the
        // next start removes.
        bodies.retain(|_, bytes| *bytes > 0);
        if !bodies.is_empty() {
            world.violate(format!("bodies are left: {bodies:?}"));
        }
        if !self.jobs().await.is_empty() {
            world.violate("a fetch is left");
        }
    }

    async fn shut_down(self) {
        let Self { world, engine, .. } = self;
        if let Err(error) = engine.shutdown().await
            && !world.disk().sync_failed()
        {
            world.violate(format!("the engine did not end well: {error}"));
        }
        let mut tasks = std::mem::take(&mut world.state().tasks);
        tasks.shutdown().await;
        let tasks = Handle::current().metrics().num_alive_tasks();
        if tasks > 0 {
            world.violate(format!("{tasks} tasks are left"));
        }
    }
}

/// Passes on what an observer is told.
async fn observe(world: World, engine: Engine, mut observer: Observer) {
    while let Some(event) = observer.next().await {
        world.trace(|| {
            let (downloaded, uploaded) = (event.downloaded, event.uploaded);
            format!("{} {downloaded}/{uploaded}: {:?}", event.id, event.what)
        });
        let now = world.now();
        world.note(|oracle| oracle.observed(now, &event));
        check(&world, &engine).await;
    }
}

/// Checks what must hold at any moment.
async fn check(world: &World, engine: &Engine) {
    for (number, site) in world.plan().sites.iter().enumerate() {
        if let Ok(usage) = engine.usage(site.registration.storage_key.clone()).await
            && usage.total > site.quota
        {
            world.violate(format!("site {number} takes more than its quota: {usage:?}"));
        }
        let bodies = world.disk().bodies();
        let bytes: u64 = {
            let oracle = world.oracle();
            let of_site = oracle.fetches().iter().filter(|fetch| fetch.call.site == number);
            let keys = of_site.filter_map(|fetch| bodies.get(&fetch.key?.0));
            keys.sum()
        };
        if bytes > site.quota && world.disk().has_power() {
            world.violate(format!("site {number} stores {bytes} bytes, more than its quota"));
        }
    }
}
