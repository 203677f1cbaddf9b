//! Holds attempts back to the [rates](crate::rate) of their engine: the side with tasks and timers.
//!
//! Nobody is held back by sleeping with bytes that nobody can use: an attempt that waits does not
//! read, so the sender has to wait too.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bgfetch_model::ids::FetchKey;
use bgfetch_model::time::Instant;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};
use tokio::time::sleep_until;

use crate::fetcher::BodySource;
use crate::partition::Partition;
use crate::rate::{Consumer, MOST, Rates, Ticket};

/// The rates of an engine, which its attempts share. Clones are the same.
#[derive(Clone)]
pub struct Throttle(Arc<Shared>);

struct Shared {
    began: tokio::time::Instant,
    /// OPTIMIZATION: without any cap, nobody takes the lock.
    has_caps: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rates: Rates,
    waiting: BTreeMap<Ticket, Waiting>,
    /// The one of them that watches the time for all, and until when.
    watch: Option<(Ticket, Option<Instant>)>,
}

/// An attempt that has asked for bytes.
struct Waiting {
    /// What it was given and has not fetched yet.
    given: Option<u64>,
    wake: Arc<Notify>,
}

impl Throttle {
    /// Rates with this cap for all fetches together, in bytes per second. `None` is no cap.
    #[must_use]
    pub fn new(rate: Option<u64>) -> Self {
        let throttle = Self(Arc::new(Shared {
            began: tokio::time::Instant::now(),
            has_caps: AtomicBool::new(false),
            state: Mutex::default(),
        }));
        throttle.set_rate(rate);
        throttle
    }

    /// Caps the rate of all fetches together, in bytes per second. `None` is no cap, and with 0
    /// nothing moves.
    pub fn set_rate(&self, rate: Option<u64>) {
        self.change(|rates, now| rates.set_all(now, rate));
    }

    /// Caps the rate of one fetch, in bytes per second. `None` is no cap, and with 0 nothing moves.
    pub fn set_fetch_rate(&self, fetch: FetchKey, rate: Option<u64>) {
        self.change(|rates, now| rates.set_fetch(now, fetch, rate));
    }

    /// What an attempt of this fetch may move.
    #[must_use]
    pub fn share(&self, partition: Partition, fetch: FetchKey) -> Share {
        Share {
            throttle: self.clone(),
            consumer: Consumer { partition, fetch },
            wake: Arc::default(),
            ticket: None,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Rates, Instant)) {
        let mut state = self.lock();
        change(&mut state.rates, self.now());
        self.0.has_caps.store(state.rates.has_caps(), Ordering::Release);
        state.turn(self.now(), None);
    }

    fn has_caps(&self) -> bool {
        self.0.has_caps.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }

    fn now(&self) -> Instant {
        Instant(self.0.began.elapsed())
    }
}

impl State {
    /// Gives what there is, and appoints who watches the time until there is more. `caller` looks at
    /// the result itself.
    fn turn(&mut self, now: Instant, caller: Option<Ticket>) {
        while let Some((ticket, given)) = self.rates.next(now) {
            if let Some(waiting) = self.waiting.get_mut(&ticket) {
                waiting.given = Some(given);
                waiting.wake.notify_one();
            }
        }
        let first = self.waiting.iter().find(|(_, waiting)| waiting.given.is_none());
        let watch = first.map(|(ticket, _)| (*ticket, self.rates.due()));
        if let Some((ticket, Waiting { wake, .. })) = first
            && watch != self.watch
            && caller != Some(*ticket)
        {
            wake.notify_one();
        }
        self.watch = watch;
    }
}

/// What one attempt may move of the rates of its engine.
pub struct Share {
    throttle: Throttle,
    consumer: Consumer,
    wake: Arc<Notify>,
    /// Its place in the queue.
    ticket: Option<Ticket>,
}

impl Share {
    /// The most bytes that it is given at once.
    pub(crate) fn piece(&self) -> u64 {
        match self.throttle.has_caps() {
            true => self.throttle.lock().rates.piece(self.consumer.fetch),
            false => MOST,
        }
    }

    /// Waits until it may move some bytes, and returns how many: at most `wanted`, and at least one
    /// if any are wanted. Cancel safe: it keeps its place in the queue.
    pub(crate) async fn take(&mut self, wanted: u64) -> u64 {
        loop {
            let due = match self.try_take(wanted) {
                Ok(given) => return given,
                Err(due) => due,
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = until(due) => {}
            }
        }
    }

    /// Takes what there is or, as an error, the time to try again if that is up to the caller.
    fn try_take(&mut self, wanted: u64) -> Result<u64, Option<tokio::time::Instant>> {
        if wanted == 0 || (self.ticket.is_none() && !self.throttle.has_caps()) {
            return Ok(wanted);
        }
        let mut state = self.throttle.lock();
        let ticket = *self.ticket.get_or_insert_with(|| {
            let ticket = state.rates.ask(self.consumer.clone(), wanted);
            let wake = Arc::clone(&self.wake);
            state.waiting.insert(ticket, Waiting { given: None, wake });
            ticket
        });
        state.turn(self.throttle.now(), Some(ticket));
        if let Some(given) = state.waiting.get(&ticket).and_then(|waiting| waiting.given) {
            state.waiting.remove(&ticket);
            self.ticket = None;
            if given > wanted {
                state.rates.give_back(self.consumer.fetch, given - wanted);
                state.turn(self.throttle.now(), None);
            }
            return Ok(given.min(wanted));
        }
        let due = state.watch.filter(|(watcher, _)| *watcher == ticket).and_then(|(_, due)| due);
        Err(due.and_then(|due| self.throttle.0.began.checked_add(due.0)))
    }

    /// Whether the rates hold back an attempt of the same site.
    pub(crate) fn holds_back_site(&self) -> bool {
        let partition = &self.consumer.partition;
        self.throttle.has_caps() && self.throttle.lock().rates.holds_back(partition)
    }

    /// A request's body that is sent at the rates. `held` is true while they hold it back.
    pub(crate) fn body(
        &self,
        body: Arc<dyn BodySource>,
        held: watch::Sender<bool>,
    ) -> Arc<dyn BodySource> {
        let (throttle, consumer) = (self.throttle.clone(), self.consumer.clone());
        Arc::new(ThrottledBody { body, throttle, consumer, held })
    }
}

/// Leaves the queue, and gives back what it was given and did not take.
impl Drop for Share {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let mut state = self.throttle.lock();
        match state.waiting.remove(&ticket).and_then(|waiting| waiting.given) {
            Some(given) => state.rates.give_back(self.consumer.fetch, given),
            None => state.rates.withdraw(ticket),
        }
        state.turn(self.throttle.now(), None);
    }
}

async fn until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

struct ThrottledBody {
    body: Arc<dyn BodySource>,
    throttle: Throttle,
    consumer: Consumer,
    held: watch::Sender<bool>,
}

impl BodySource for ThrottledBody {
    fn length(&self) -> u64 {
        self.body.length()
    }

    fn open(&self) -> BoxStream<'static, io::Result<Bytes>> {
        let Consumer { partition, fetch } = self.consumer.clone();
        let (share, held) = (self.throttle.share(partition, fetch), self.held.clone());
        let start = (self.body.open(), Bytes::new(), share);
        stream::try_unfold(start, move |(mut body, mut rest, mut share)| {
            let held = held.clone();
            async move {
                while rest.is_empty() {
                    match body.try_next().await? {
                        Some(bytes) => rest = bytes,
                        None => return Ok(None),
                    }
                }
                let wanted = rest.len() as u64;
                let given = match share.try_take(wanted) {
                    Ok(given) => given,
                    Err(_) => {
                        let _held = Held::new(held);
                        share.take(wanted).await
                    }
                };
                let piece = rest.split_to(usize::try_from(given).unwrap_or(rest.len()));
                Ok(Some((piece, (body, rest, share))))
            }
        })
        .boxed()
    }
}

/// Tells that a body is held back, until it is dropped.
struct Held(watch::Sender<bool>);

impl Held {
    fn new(held: watch::Sender<bool>) -> Self {
        held.send_replace(true);
        Self(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle").field("rates", &self.lock().rates).finish()
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("consumer", &self.consumer).finish_non_exhaustive()
    }
}
