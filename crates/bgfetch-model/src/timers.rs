//! Every timer of the model.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::ids::{FetchKey, RecordKey};
use crate::time::Instant;

/// What a timer of the model limits or delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A record's back-off ends, or it is time to retry after a full disk.
    Retry(RecordKey),
    /// The embedder's time to answer whether the record's page may access the local network is over.
    LocalNetwork(RecordKey),
    /// Coalesced progress is due.
    Progress(FetchKey),
    /// The time for clients to apply that the fetch settled is over (D18).
    ClientsApplied(FetchKey),
    /// The running time of the fetch is stored, or has reached its limit (D48).
    RunningTime(FetchKey),
    /// The settling event is delivered again, or its time to live ends while it waits for a worker.
    Redeliver(FetchKey),
}

/// The running timers, each at most once.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Instant, Timer)>,
    by_timer: BTreeMap<Timer, Instant>,
}

impl Timers {
    /// Starts a timer, or moves a running one.
    pub(crate) fn set(&mut self, timer: Timer, at: Instant) {
        self.clear(timer);
        self.by_time.insert((at, timer));
        self.by_timer.insert(timer, at);
    }

    pub(crate) fn clear(&mut self, timer: Timer) {
        if let Some(at) = self.by_timer.remove(&timer) {
            self.by_time.remove(&(at, timer));
        }
    }

    /// When the next timer expires.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes a timer that expired.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Timer> {
        let (at, timer) = self.by_time.first().copied()?;
        if at > now {
            return None;
        }
        self.clear(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn timers_end_in_order_and_can_be_moved_or_cleared() {
        let at = |seconds| Instant(Duration::from_secs(seconds));
        let (a, b, c) = (
            Timer::Progress(FetchKey(1)),
            Timer::Redeliver(FetchKey(1)),
            Timer::ClientsApplied(FetchKey(1)),
        );
        let mut timers = Timers::default();
        timers.set(a, at(3));
        timers.set(b, at(2));
        timers.set(c, at(1));
        timers.set(a, at(1));
        timers.clear(c);
        assert_eq!(timers.next(), Some(at(1)));
        assert_eq!(timers.pop(at(2)), Some(a));
        assert_eq!(timers.pop(at(1)), None);
        assert_eq!(timers.pop(at(2)), Some(b));
        assert_eq!(timers.next(), None);
    }
}
