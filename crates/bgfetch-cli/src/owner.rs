//! The process that owns a store works on the fetches of all `get`s, its own and those of others.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use bgfetch::control::{Delivered, Delivery, EngineOptions, Get, Response};
use bgfetch::{Engine, FetchKey, JobRecord, Observer, What};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Mutex, broadcast, mpsc, watch as state};
use tokio::time::{Interval, MissedTickBehavior};

use crate::exit::Failure;
use crate::network::{Untrusted, UrlSet};
use crate::register::find_or_register;
use crate::saving::{is_of_get, registration_of};
use crate::worker::Shared;

/// How many responses wait for a hand that is slow. The engine keeps only the newest progress for it.
pub(crate) const UPDATES: usize = 16;

/// How often the state of fetches is reported to those who draw it.
const DRAW_INTERVAL: Duration = Duration::from_millis(200);

/// An addition per record for fetches with very many records, because each report copies all of
/// them.
const DRAW_INTERVAL_PER_RECORD: Duration = Duration::from_micros(20);

/// The owner of a store.
pub(crate) struct Owner {
    engine: Engine,
    options: EngineOptions,
    worker: Arc<Shared>,
    /// Those whose certificates are not verified, if `options` say so.
    urls: UrlSet,
    /// Held while a fetch is looked for and registered.
    registering: Mutex<()>,
    /// The fetches that are followed, whether or not anybody still listens; `None` for one that is
    /// about to be.
    followed: state::Sender<Vec<Option<FetchKey>>>,
    /// The fetches that are paused as long as this process owns the store.
    set_aside: std::sync::Mutex<HashSet<FetchKey>>,
    /// The number of other processes that listen.
    hands: state::Sender<usize>,
}

/// A fetch that the owner has accepted. Its events are kept from before it was registered.
pub(crate) struct Accepted {
    first: Response,
    /// What to report on; `None` if there is nothing to do.
    fetch: Option<FetchKey>,
    records: usize,
    observer: Observer,
    deliveries: broadcast::Receiver<Delivery>,
    _followed: Followed,
}

/// Is in the list of fetches that are followed while it lives.
struct Followed {
    list: state::Sender<Vec<Option<FetchKey>>>,
    fetch: Option<FetchKey>,
}

impl Followed {
    fn new(list: &state::Sender<Vec<Option<FetchKey>>>) -> Self {
        list.send_modify(|list| list.push(None));
        Self { list: list.clone(), fetch: None }
    }

    /// From now on it is this fetch.
    fn is(&mut self, fetch: Option<FetchKey>) {
        self.list.send_modify(|list| {
            if let Some(place) = list.iter_mut().find(|place| **place == self.fetch) {
                *place = fetch;
            }
        });
        self.fetch = fetch;
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.list.send_modify(|list| {
            if let Some(place) = list.iter().position(|place| *place == self.fetch) {
                list.swap_remove(place);
            }
        });
    }
}

/// Is counted while it lives.
pub(crate) struct Counted(state::Sender<usize>);

impl Counted {
    fn new(count: &state::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Owner {
    /// The owner of the engine's store. `worker` belongs to the engine's worker and `urls` to its
    /// fetcher.
    pub(crate) fn new(
        engine: Engine,
        options: EngineOptions,
        worker: Arc<Shared>,
        urls: UrlSet,
    ) -> Self {
        Self {
            engine,
            options,
            worker,
            urls,
            registering: Mutex::default(),
            followed: state::Sender::default(),
            set_aside: std::sync::Mutex::default(),
            hands: state::Sender::default(),
        }
    }

    /// Makes the fetch durable, or finds it.
    ///
    /// # Errors
    ///
    /// It is refused.
    pub(crate) async fn accept(&self, get: &Get) -> Result<Accepted, Failure> {
        let pid = std::process::id();
        if let Some(name) = self.options.difference(&get.engine) {
            let variables = if name == "proxy" { " (or http_proxy and the like)" } else { "" };
            return Err(Failure(format!(
                "--{name}{variables} is not the same as that of the process which has the store open (process \
                 id {pid}); use the same, another --store, or wait for its end"
            )));
        }
        self.urls.add(get.files.iter().map(|file| file.url.clone()));
        if get.hold {
            self.worker.hold(registration_of(get.scope.clone()), get.id.clone());
        }
        let observer = self.engine.observe().await?;
        let deliveries = self.worker.deliveries.subscribe();
        let mut followed = Followed::new(&self.followed);
        let first = {
            let _registering = self.registering.lock().await;
            self.take_up(&get.id).await?;
            find_or_register(&self.engine, get).await?
        };
        // From here on the worker handles events, including those of other fetches.
        if self.worker.engine.get().is_none() {
            self.worker.engine.set(self.engine.clone()).unwrap_or_default();
        }
        let fetch = match &first {
            Response::Accepted { fetch, .. } => Some(*fetch),
            _ => None,
        };
        followed.is(fetch);
        let records = get.files.len();
        Ok(Accepted { first, fetch, records, observer, deliveries, _followed: followed })
    }

    /// Sets fetches aside that other commands have left, and whose servers this process does not
    /// trust: with the options that they began with, it may be right to trust them.
    pub(crate) async fn set_aside(
        &self,
        untrusted: &mut mpsc::UnboundedReceiver<Untrusted>,
    ) -> Infallible {
        while let Some(server) = untrusted.recv().await {
            // If the engine has stopped, its shutdown tells why.
            self.set_aside_fetches_from(&server).await.unwrap_or_default();
        }
        // The fetcher is gone.
        std::future::pending().await
    }

    async fn set_aside_fetches_from(
        &self,
        Untrusted { url, why }: &Untrusted,
    ) -> bgfetch::Result<()> {
        let ui = self.engine.ui();
        for job in ui.jobs().await? {
            let waits = |record: &JobRecord| record.url == *url && record.result.is_none();
            let is_left = job.display.result.is_none() && job.records.iter().any(waits);
            if is_left && job.display.pause_reason.is_none() && is_of_get(&job.registration) {
                match ui.pause(job.key).await {
                    Ok(()) => {}
                    Err(error) if error.is_closed() => return Err(error),
                    // It has just ended. The others have not.
                    Err(_) => continue,
                }
                self.aside().insert(job.key);
                let what = Delivered::SetAside(why.clone());
                let delivery = Delivery { fetch: job.key, id: job.id, what };
                // Nobody may listen.
                self.worker.deliveries.send(delivery).unwrap_or_default();
            }
        }
        Ok(())
    }

    /// Resumes the fetch with this id if it was set aside.
    async fn take_up(&self, id: &str) -> bgfetch::Result<()> {
        let ui = self.engine.ui();
        let aside: Vec<_> = self.aside().iter().copied().collect();
        for fetch in aside {
            if ui.job(fetch).await?.is_some_and(|job| job.id == id) {
                self.aside().remove(&fetch);
                ui.resume(fetch).await?;
            }
        }
        Ok(())
    }

    /// Resumes what was set aside, for the next owner. [`Self::set_aside`] must not run any more.
    pub(crate) async fn end(&self) -> bgfetch::Result<()> {
        let aside = std::mem::take(&mut *self.aside());
        for fetch in aside {
            // It may have been removed or resumed since.
            self.engine.ui().resume(fetch).await.or_else(|error| match error.call_error() {
                Some(_) => Ok(()),
                None => Err(error),
            })?;
        }
        Ok(())
    }

    fn aside(&self) -> MutexGuard<'_, HashSet<FetchKey>> {
        self.set_aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports on a fetch until it has ended; continues in silence if nobody listens any more.
    /// With `all`, what became of other fetches is reported as well.
    pub(crate) async fn follow(
        self: Arc<Self>,
        accepted: Accepted,
        jobs: bool,
        all: bool,
        updates: mpsc::Sender<Response>,
    ) {
        let Accepted { first, fetch, records, mut observer, mut deliveries, _followed } = accepted;
        // A hand that is gone is told nothing.
        let tell = async |response| updates.send(response).await.unwrap_or_default();
        tell(first).await;
        let Some(fetch) = fetch else {
            return;
        };
        let mut draw = drawing(records);
        let mut delivered = false;
        loop {
            tokio::select! {
                delivery = deliveries.recv() => match delivery {
                    Ok(delivery) => {
                        let own = delivery.fetch == fetch;
                        let not_written = matches!(delivery.what, Delivered::NotWritten(_));
                        delivered |= own && matches!(delivery.what, Delivered::Written(_));
                        if own || all {
                            tell(Response::Delivery(delivery)).await;
                        }
                        if own && not_written {
                            return;
                        }
                    }
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
                event = observer.next() => match event {
                    None => return,
                    Some(event) if event.fetch != fetch => {}
                    Some(event) => {
                        // The worker has reported the event before, but on another channel.
                        let handled = matches!(event.what, What::EventEnded { handled: true, .. });
                        while handled && let Ok(delivery) = deliveries.try_recv() {
                            let own = delivery.fetch == fetch;
                            delivered |= own && matches!(delivery.what, Delivered::Written(_));
                            if own || all {
                                tell(Response::Delivery(delivery)).await;
                            }
                        }
                        // It may have reported it before anybody listened.
                        if handled
                            && !delivered
                            && let Ok(Some(job)) = self.engine.ui().job(fetch).await
                        {
                            tell(Response::Over(Box::new(job))).await;
                            return;
                        }
                        let over = matches!(event.what, What::EventEnded { .. } | What::Removed);
                        tell(Response::Event(event)).await;
                        if over {
                            return;
                        }
                    }
                },
                _ = draw.tick(), if jobs && !updates.is_closed() => {
                    match self.engine.ui().job(fetch).await {
                        Ok(Some(job)) => tell(Response::Job(Box::new(job))).await,
                        Ok(None) => {}
                        Err(_) => return,
                    }
                }
            }
        }
    }

    /// Counts another process for as long as the result lives.
    pub(crate) fn attach(&self) -> Counted {
        Counted::new(&self.hands)
    }

    /// Whether another process waits for a fetch.
    pub(crate) fn has_hands(&self) -> bool {
        *self.hands.borrow() > 0
    }

    /// How many fetches other than this one are worked on for somebody.
    pub(crate) fn others(&self, own: Option<FetchKey>) -> usize {
        self.followed.borrow().iter().filter(|fetch| **fetch != own).collect::<HashSet<_>>().len()
    }

    /// Waits until there are none.
    pub(crate) async fn others_end(&self, own: Option<FetchKey>) {
        let mut followed = self.followed.subscribe();
        // The sender lives as long as this.
        let ended = followed.wait_for(|list| list.iter().all(|fetch| *fetch == own));
        ended.await.map(drop).unwrap_or_default();
    }
}

/// Reports all fetches, then their events; with `jobs`, all fetches again and again.
///
/// # Errors
///
/// The engine is closed.
pub(crate) async fn watch(
    engine: &Engine,
    jobs: bool,
    updates: mpsc::Sender<Response>,
) -> bgfetch::Result<()> {
    let mut observer = engine.observe().await?;
    let ui = engine.ui();
    let all = ui.jobs().await?;
    let mut draw = drawing(all.iter().map(|job| job.records.len()).sum());
    let mut next = Some(Response::Jobs(all));
    while let Some(response) = next {
        if updates.send(response).await.is_err() {
            break;
        }
        next = tokio::select! {
            event = observer.next() => event.map(Response::Event),
            _ = draw.tick(), if jobs => Some(Response::Jobs(ui.jobs().await?)),
        };
    }
    Ok(())
}

/// Ticks whenever fetches with that many records are to be drawn.
fn drawing(records: usize) -> Interval {
    let records = u32::try_from(records).unwrap_or(u32::MAX);
    let per_record = DRAW_INTERVAL_PER_RECORD.saturating_mul(records);
    let mut draw = tokio::time::interval(DRAW_INTERVAL + per_record);
    draw.set_missed_tick_behavior(MissedTickBehavior::Delay);
    draw
}

#[cfg(test)]
mod tests {
    use bgfetch::HeaderList;
    use bgfetch::control::File;
    use bgfetch::mock::{Behaviour, ScriptedHost};
    use bgfetch_testkit::{Origin, Resource};
    use url::Url;

    use super::*;

    #[tokio::test]
    async fn a_fetch_whose_files_were_saved_before_somebody_listened_is_told_to_be_over() {
        let (base, origin) = (tempfile::tempdir().unwrap(), Origin::start());
        origin.serve("/film", Resource::new(1, 10));
        // A worker that has told others what it saved.
        let host = ScriptedHost::new([Behaviour::Succeed]);
        let engine = Engine::builder().directory(base.path().join("store")).worker_host(host);
        let engine = engine.open().unwrap();
        let (options, worker) = (EngineOptions::default(), Arc::new(Shared::new()));
        let owner = Owner::new(engine.clone(), options, worker, UrlSet::default());
        let owner = Arc::new(owner);
        let url = origin.url("/film");
        let get = Get {
            id: "film".into(),
            again: true,
            files: vec![File { url, integrity: String::new(), headers: HeaderList::default() }],
            title: String::new(),
            download_total: 0,
            scope: Url::from_directory_path(base.path()).unwrap(),
            hold: false,
            engine: EngineOptions::default(),
            jobs: false,
            accepted: None,
        };
        let accepted = owner.accept(&get).await.unwrap();
        let (updates, mut told) = mpsc::channel(UPDATES);
        tokio::spawn(owner.follow(accepted, false, false, updates));
        let mut last = None;
        while let Some(response) = told.recv().await {
            last = Some(response);
        }
        let Some(Response::Over(job)) = last else { panic!("{last:?}") };
        assert_eq!((job.display.result, job.id.as_str()), (Some(Ok(())), "film"));
        engine.shutdown().await.unwrap();
    }
}
