//! When to retry a record after a fault that may pass (D7).

use core::time::Duration;

use crate::time::Instant;

/// Exponential back-off with full jitter: the n-th retry in a row is delayed by a random time
/// between 0 and `base × 2ⁿ⁻¹`, at most `cap`. [`RetryPolicy`] has the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// The upper bound of the first delay.
    pub base: Duration,
    /// The upper bound of every delay.
    pub cap: Duration,
    /// How many retries in a row may fail before the record does.
    pub retries: u32,
    /// How long after the first failure in a row a retry may start.
    pub budget: Duration,
}

impl Backoff {
    /// A back-off with these values, in the order of its fields.
    #[must_use]
    pub const fn new(base: Duration, cap: Duration, retries: u32, budget: Duration) -> Self {
        Self { base, cap, retries, budget }
    }
}

/// The three back-offs and the limit on `Retry-After`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// After a connection was lost: by default up to 30 retries in 10 minutes, 0.5 s doubling to
    /// 60 s.
    pub interrupted: Backoff,
    /// After a 408, 425, 429 or 5xx: by default up to 8 retries in 5 minutes, 1 s doubling to 60 s.
    pub server_error: Backoff,
    /// After a host could not be reached and none of the record's requests has ever been answered:
    /// by default 2 retries within 2 s, because a wrong name must fail soon.
    pub never_reached: Backoff,
    /// The longest `Retry-After` that is honoured; 2 minutes by default.
    pub retry_after_cap: Duration,
}

crate::impl_with!(Backoff, RetryPolicy);

impl Default for RetryPolicy {
    fn default() -> Self {
        let backoff = |base, cap, retries, budget| Backoff {
            base: Duration::from_millis(base),
            cap: Duration::from_secs(cap),
            retries,
            budget: Duration::from_secs(budget),
        };
        Self {
            interrupted: backoff(500, 60, 30, 600),
            server_error: backoff(1000, 60, 8, 300),
            never_reached: backoff(400, 1, 2, 2),
            retry_after_cap: Duration::from_secs(120),
        }
    }
}

/// The consecutive failures of a record.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Retry {
    /// Their number.
    pub(crate) failures: u32,
    first_failure: Option<Instant>,
    /// Whether a server ever answered. From then on an unreachable host counts as an interruption.
    pub(crate) head_seen: bool,
}

impl Retry {
    /// Something succeeded: the next failure is the first of a new row.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
        self.first_failure = None;
    }

    /// The record had to wait for something other than the server, so that time does not count. The
    /// failures stay counted, so that an intermittent network can't hide a server that always
    /// fails.
    pub(crate) fn waited(&mut self) {
        self.first_failure = None;
    }

    /// The record waited this long for a slot. That time does not count either, but the time spent
    /// before does.
    pub(crate) fn queued(&mut self, waited: Duration) {
        self.first_failure = self.first_failure.map(|first| first.after(waited));
    }

    /// The delay before the next retry, or none if the record used up its retries.
    pub(crate) fn next(
        &mut self,
        backoff: &Backoff,
        asked: Option<Duration>,
        now: Instant,
        rng: &mut fastrand::Rng,
    ) -> Option<Duration> {
        let first_failure = *self.first_failure.get_or_insert(now);
        if self.failures >= backoff.retries {
            return None;
        }
        let doubled =
            backoff.base.saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        let ceiling = u64::try_from(doubled.min(backoff.cap).as_millis()).unwrap_or(u64::MAX);
        self.failures += 1;
        let delay = Duration::from_millis(rng.u64(0..=ceiling)).max(asked.unwrap_or_default());
        (now.after(delay).since(first_failure) <= backoff.budget).then_some(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_host_never_reached_gets_two_retries_within_two_seconds() {
        let backoff = RetryPolicy::default().never_reached;
        for seed in 0..100 {
            let (mut retry, mut rng) = (Retry::default(), fastrand::Rng::with_seed(seed));
            let mut now = Instant::default();
            for _ in 0..2 {
                now = now.after(retry.next(&backoff, None, now, &mut rng).unwrap());
            }
            assert_eq!(retry.next(&backoff, None, now, &mut rng), None, "seed {seed}");
            assert!(now.0 <= Duration::from_secs(2), "seed {seed}");
        }
    }

    #[test]
    fn success_begins_a_new_row() {
        let backoff = RetryPolicy::default().never_reached;
        let (mut retry, mut rng) = (Retry::default(), fastrand::Rng::with_seed(1));
        for _ in 0..10 {
            assert!(retry.next(&backoff, None, Instant::default(), &mut rng).is_some());
            retry.succeeded();
        }
    }

    proptest! {
        #[test]
        fn delays_keep_their_bounds(seed: u64, asked in proptest::option::of(0u64..200)) {
            let backoff = RetryPolicy::default().interrupted;
            let asked = asked.map(Duration::from_secs);
            let (mut retry, mut rng) = (Retry::default(), fastrand::Rng::with_seed(seed));
            let (mut now, mut retries) = (Instant::default(), 0);
            while let Some(delay) = retry.next(&backoff, asked, now, &mut rng) {
                prop_assert!(delay >= asked.unwrap_or_default());
                prop_assert!(delay <= backoff.cap.max(asked.unwrap_or_default()));
                now = now.after(delay);
                retries += 1;
            }
            prop_assert!(retries <= backoff.retries);
            prop_assert!(now.0 <= backoff.budget);
        }
    }
}
