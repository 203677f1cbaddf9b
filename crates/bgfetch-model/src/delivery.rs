//! How a settling event ends, and when an unhandled one is fired again.
//!
//! The spec fires it once and forgets it. Here it is delivered at least once, within bounds that
//! keep a broken worker from being started for ever. Only starting a worker counts as an attempt:
//! while no worker is available, the event waits.

use alloc::string::String;
use core::time::Duration;
use serde::{Deserialize, Serialize};

use crate::serialize;
use crate::time::{Now, UnixTime};

/// How much longer each wait is than the one before it.
const GROWTH: u32 = 4;

/// How long an engine must have run before the time to live may end an event. It gives the
/// embedder's workers time to become available.
const RUNS_FIRST: Duration = Duration::from_secs(60 * 60);

/// How much of a reason that a worker gave is kept, in bytes of UTF-8.
const LONGEST_REASON: usize = 4 << 10;

/// How an event ended: exactly once, and for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The listeners ran and every promise given to `waitUntil()` settled. A listener that threw
    /// has run as well.
    Handled {
        /// Why the first rejected promise was rejected. The event counts as delivered all the same:
        /// the worker has seen it.
        rejection: Option<Rejection>,
    },
    /// The worker may not have done its work: the event should be fired again.
    NotHandled(NotHandledReason),
}

impl Outcome {
    /// Whether the event counts as delivered.
    #[must_use]
    pub const fn is_handled(&self) -> bool {
        matches!(self, Self::Handled { .. })
    }

    /// The same outcome with a reason of limited length: it may be a text of the site's.
    pub(crate) fn shortened(mut self) -> Self {
        let reason = match &mut self {
            Self::Handled { rejection: Some(Rejection(reason)) }
            | Self::NotHandled(
                NotHandledReason::StartFailed(reason) | NotHandledReason::Crashed(reason),
            ) => reason,
            Self::Handled { rejection: None }
            | Self::NotHandled(
                NotHandledReason::NoActiveWorker
                | NotHandledReason::NotYet
                | NotHandledReason::TimedOut,
            ) => return self,
        };
        if reason.len() > LONGEST_REASON {
            reason.truncate(reason.floor_char_boundary(LONGEST_REASON));
            reason.push('…');
            reason.shrink_to_fit();
        }
        self
    }

    /// A short name for logs and metrics, which reveals nothing about the site.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Handled { rejection: None } => "handled",
            Self::Handled { rejection: Some(_) } => "rejected",
            Self::NotHandled(reason) => reason.as_str(),
        }
    }
}

/// Why an event was not handled. The text is a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NotHandledReason {
    /// The registration has no active worker, or was not registered since the engine was opened.
    #[error("the registration has no active worker")]
    NoActiveWorker,
    /// Events are held, or the worker host does not start the worker now.
    #[error("the worker is not to be started yet")]
    NotYet,
    /// The worker could not be started.
    #[error("the worker did not start: {0}")]
    StartFailed(String),
    /// The worker ended before it was done, or a promise can never settle.
    #[error("the worker ended before it was done: {0}")]
    Crashed(String),
    /// A time limit passed.
    #[error("the worker took too long")]
    TimedOut,
}

impl NotHandledReason {
    /// Whether a worker was started for the event. Only then does it count as an attempt.
    #[must_use]
    pub const fn worker_was_started(&self) -> bool {
        match self {
            Self::NoActiveWorker | Self::NotYet => false,
            Self::StartFailed(_) | Self::Crashed(_) | Self::TimedOut => true,
        }
    }

    /// A short name for logs and metrics, which reveals nothing about the site.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NoActiveWorker => "no-active-worker",
            Self::NotYet => "not-yet",
            Self::StartFailed(_) => "start-failed",
            Self::Crashed(_) => "crashed",
            Self::TimedOut => "timed-out",
        }
    }
}

/// Why a promise was rejected: a sentence for people, such as the reason converted to a string.
/// Observers get at most 4 KiB of it. It may contain the site's data, so it is not logged by
/// default.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{0}")]
pub struct Rejection(pub String);

/// The bounds of redelivery.
///
/// With the defaults, ten attempts are spread over about four hours: delivery recovers from a crash
/// or a slow start within seconds, and a worker that needs repair still gets its event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryPolicy {
    /// The most attempts in total; 10 by default, but always at least one. Only starting a worker
    /// for the event counts as an attempt.
    pub max_attempts: u32,
    /// The age of the settled fetch from which no further attempt is planned; 7 days by default. It
    /// ends no event for which a worker was never started, and none in the first hour after the
    /// engine was opened.
    pub time_to_live: Duration,
    /// The longest wait before the second attempt; 1 second by default. Each further wait may be
    /// four times as long.
    pub base_delay: Duration,
    /// The upper bound of every wait; 1 hour by default.
    pub max_delay: Duration,
}

crate::impl_with!(DeliveryPolicy);

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 10,
            time_to_live: Duration::from_secs(7 * 24 * 60 * 60),
            base_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(60 * 60),
        }
    }
}

/// What happens to an event that was not handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Redelivery {
    /// It is fired again after this time, counted from now; serialized in seconds.
    After(#[serde(with = "serialize::seconds")] Duration),
    /// It waits until the registration's pending events are asked for. No attempt was spent.
    WhenAsked,
    /// It is not fired again, as if it had been handled: the records are no longer available.
    GiveUp,
}

impl DeliveryPolicy {
    /// Decides about an event that was not handled for `reason`. `attempts` is how often a worker
    /// was started for it, this time included.
    ///
    /// The delay lies between half of the longest wait and the whole of it, as determined by
    /// `entropy` (any value, evenly distributed), so that events that failed together are not fired
    /// together again. A wall clock that was set back makes the fetch younger, never older.
    #[must_use]
    pub fn next(
        &self,
        reason: &NotHandledReason,
        attempts: u32,
        settled_at: UnixTime,
        now: Now,
        entropy: u64,
    ) -> Redelivery {
        if self.lives_for(attempts, settled_at, now) == Some(Duration::ZERO) {
            return Redelivery::GiveUp;
        }
        if !reason.worker_was_started() {
            return Redelivery::WhenAsked;
        }
        if attempts >= self.max_attempts {
            return Redelivery::GiveUp;
        }
        let growth = GROWTH.saturating_pow(attempts.saturating_sub(1));
        let longest = self.base_delay.saturating_mul(growth).min(self.max_delay);
        let half = longest / 2;
        Redelivery::After(half.saturating_add(fraction(longest - half, entropy)))
    }

    /// How much of its time to live an event has left after `attempts` attempts, or none if the
    /// time to live does not end it.
    #[must_use]
    pub fn lives_for(&self, attempts: u32, settled_at: UnixTime, now: Now) -> Option<Duration> {
        let left = self.time_to_live.saturating_sub(now.wall.since(settled_at));
        let grace = RUNS_FIRST.saturating_sub(now.monotonic.0);
        (attempts > 0).then(|| left.max(grace))
    }
}

/// Scales `span` by the position of `entropy` in its range, to the millisecond.
fn fraction(span: Duration, entropy: u64) -> Duration {
    let scaled = (span.as_millis().saturating_mul(u128::from(entropy))) >> u64::BITS;
    Duration::from_millis(u64::try_from(scaled).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;
    use alloc::string::ToString;
    use proptest::prelude::*;

    const SETTLED: UnixTime = UnixTime(1_700_000_000_000);
    const STARTED: NotHandledReason = NotHandledReason::TimedOut;
    const HOUR: Duration = Duration::from_secs(3600);

    /// An engine that has run for long, at this age of the fetch.
    fn at(age: Duration) -> Now {
        Now { monotonic: Instant(HOUR), wall: SETTLED.after(age) }
    }

    #[test]
    fn a_reason_is_as_long_as_people_read() {
        let long = "é".repeat(1 << 20);
        let rejection = |reason: &str| Some(Rejection(reason.to_string()));
        for outcome in [
            Outcome::Handled { rejection: rejection(&long) },
            Outcome::NotHandled(NotHandledReason::StartFailed(long.clone())),
            Outcome::NotHandled(NotHandledReason::Crashed(long.clone())),
        ] {
            let length = alloc::format!("{:?}", outcome.shortened()).len();
            assert!(length > 4000 && length < 4200, "{length}");
        }
        for kept in ["it failed", &long[..LONGEST_REASON]] {
            let short = Outcome::Handled { rejection: rejection(kept) };
            assert_eq!(short.clone().shortened(), short);
        }
    }

    #[test]
    fn waits_grow_from_the_base_to_the_cap_and_then_end() {
        let policy = DeliveryPolicy::default();
        // Entropy 0 gives half of the longest wait.
        let next = |attempts| policy.next(&STARTED, attempts, SETTLED, at(Duration::ZERO), 0);
        let expected =
            [500, 2_000, 8_000, 32_000, 128_000, 512_000, 1_800_000, 1_800_000, 1_800_000];
        for (attempts, wait) in (1..).zip(expected) {
            let wait = Duration::from_millis(wait);
            assert_eq!(next(attempts), Redelivery::After(wait), "{attempts}");
        }
        assert_eq!(next(10), Redelivery::GiveUp);
    }

    #[test]
    fn entropy_moves_the_wait_within_its_upper_half() {
        let policy = DeliveryPolicy::default();
        let wait = |entropy| policy.next(&STARTED, 2, SETTLED, at(Duration::ZERO), entropy);
        let after = |ms| Redelivery::After(Duration::from_millis(ms));
        assert_eq!(wait(0), after(2_000));
        assert_eq!(wait(u64::MAX / 2 + 1), after(3_000));
        assert_eq!(wait(u64::MAX), after(3_999));
    }

    #[test]
    fn the_time_to_live_ends_it_and_a_clock_set_back_does_not() {
        let policy = DeliveryPolicy::default();
        let next = |now| policy.next(&STARTED, 1, SETTLED, now, 0);
        let edge = policy.time_to_live;
        assert_eq!(next(at(edge)), Redelivery::GiveUp);
        assert_ne!(next(at(edge - Duration::from_millis(1))), Redelivery::GiveUp);
        assert_ne!(next(Now { wall: UnixTime(0), ..at(edge) }), Redelivery::GiveUp);
    }

    #[test]
    fn the_time_to_live_ends_nothing_in_an_engine_s_first_hour() {
        let policy = DeliveryPolicy::default();
        let now = |ran| Now { monotonic: Instant(ran), ..at(policy.time_to_live * 5) };
        let before = now(HOUR - Duration::from_millis(1));
        assert_ne!(policy.next(&STARTED, 1, SETTLED, before, 0), Redelivery::GiveUp);
        assert_eq!(policy.next(&STARTED, 1, SETTLED, now(HOUR), 0), Redelivery::GiveUp);
    }

    #[test]
    fn without_a_worker_it_waits_however_old_the_fetch_is() {
        let policy = DeliveryPolicy { max_attempts: 0, ..DeliveryPolicy::default() };
        let later = at(policy.time_to_live * 5);
        for reason in [NotHandledReason::NoActiveWorker, NotHandledReason::NotYet] {
            assert_eq!(policy.next(&reason, 0, SETTLED, later, 7), Redelivery::WhenAsked);
            // Once an attempt was made, the time to live counts.
            assert_eq!(policy.next(&reason, 1, SETTLED, later, 7), Redelivery::GiveUp);
        }
    }

    #[test]
    fn outcomes_have_short_names() {
        let rejected = Outcome::Handled { rejection: Some(Rejection("it failed".to_string())) };
        let (failed, crashed) = ("it threw".to_string(), "no memory".to_string());
        for (outcome, name) in [
            (Outcome::Handled { rejection: None }, "handled"),
            (rejected, "rejected"),
            (Outcome::NotHandled(NotHandledReason::NoActiveWorker), "no-active-worker"),
            (Outcome::NotHandled(NotHandledReason::NotYet), "not-yet"),
            (Outcome::NotHandled(NotHandledReason::StartFailed(failed)), "start-failed"),
            (Outcome::NotHandled(NotHandledReason::Crashed(crashed)), "crashed"),
            (Outcome::NotHandled(NotHandledReason::TimedOut), "timed-out"),
        ] {
            assert_eq!(outcome.as_str(), name);
            assert_eq!(outcome.is_handled(), matches!(name, "handled" | "rejected"));
        }
    }

    fn reason() -> impl Strategy<Value = NotHandledReason> {
        prop_oneof![
            Just(NotHandledReason::NoActiveWorker),
            Just(NotHandledReason::NotYet),
            Just(NotHandledReason::StartFailed("it threw".to_string())),
            Just(NotHandledReason::Crashed("no memory".to_string())),
            Just(NotHandledReason::TimedOut),
        ]
    }

    proptest! {
        #[test]
        fn every_decision_keeps_its_bounds(
            max_attempts: u32,
            time_to_live: Duration,
            base_delay: Duration,
            max_delay: Duration,
            reason in reason(),
            attempts: u32,
            settled_at: u64,
            wall: u64,
            monotonic: Duration,
            entropy: u64,
        ) {
            let policy = DeliveryPolicy { max_attempts, time_to_live, base_delay, max_delay };
            let age = Duration::from_millis(wall.saturating_sub(settled_at));
            let now = Now { monotonic: Instant(monotonic), wall: UnixTime(wall) };
            let expired = attempts > 0 && age >= time_to_live && monotonic >= HOUR;
            match policy.next(&reason, attempts, UnixTime(settled_at), now, entropy) {
                Redelivery::WhenAsked => {
                    prop_assert!(!reason.worker_was_started() && !expired);
                }
                Redelivery::After(wait) => {
                    prop_assert!(reason.worker_was_started() && !expired);
                    prop_assert!(attempts < max_attempts);
                    prop_assert!(wait <= max_delay);
                    prop_assert!(wait >= base_delay.min(max_delay) / 2);
                }
                Redelivery::GiveUp => {
                    let spent = reason.worker_was_started() && attempts >= max_attempts;
                    prop_assert!(expired || spent);
                }
            }
        }
    }
}
