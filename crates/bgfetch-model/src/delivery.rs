//! When a settling event that no worker handled is fired again (ruling 7).
//!
//! The spec fires it once and forgets it; here it is delivered at least once, within bounds that
//! keep a broken worker from being started for ever.

use core::time::Duration;

use crate::time::UnixTime;

/// How much longer each wait is than the one before it.
const GROWTH: u32 = 4;

/// The bounds of redelivery.
///
/// With the defaults, ten attempts are spread over about four hours: a crash or a slow start is
/// made good within seconds, and a worker that is being repaired or installed again still gets its
/// event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryPolicy {
    /// How many attempts are made in all; 10 by default. One is made whatever this says.
    pub max_attempts: u32,
    /// The age of the settled fetch from which on no further attempt is planned; 7 days by default.
    pub time_to_live: Duration,
    /// The longest wait before the second attempt; 1 second by default. Each further one may be
    /// four times as long.
    pub base_delay: Duration,
    /// The wait that no growth passes; 1 hour by default.
    pub max_delay: Duration,
}

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

/// What to do with an event that is still pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redelivery {
    /// Fire it after this time, counted from now.
    After(Duration),
    /// End its delivery as if it had been handled: the records are no longer available.
    GiveUp,
}

impl DeliveryPolicy {
    /// Decides about a pending event of which `attempts` have been made and not been handled.
    ///
    /// The first attempt is due at once and is made however old the fetch is: a machine that was
    /// off for a month still tells its worker. Later ones wait between half of the longest wait and
    /// the whole of it, as `entropy` (any value, evenly distributed) decides, so that a crowd of
    /// events that failed together does not come back together. A wall clock that was set back
    /// makes the fetch young again, never old.
    #[must_use]
    pub fn next(
        &self,
        attempts: u32,
        settled_at: UnixTime,
        now: UnixTime,
        entropy: u64,
    ) -> Redelivery {
        if attempts == 0 {
            return Redelivery::After(Duration::ZERO);
        }
        if attempts >= self.max_attempts || now.since(settled_at) >= self.time_to_live {
            return Redelivery::GiveUp;
        }
        let longest =
            self.base_delay.saturating_mul(GROWTH.saturating_pow(attempts - 1)).min(self.max_delay);
        let half = longest / 2;
        Redelivery::After(half.saturating_add(fraction(longest - half, entropy)))
    }
}

/// The part of `span` that `entropy` is of its own range, to the millisecond.
fn fraction(span: Duration, entropy: u64) -> Duration {
    let scaled = (span.as_millis().saturating_mul(u128::from(entropy))) >> u64::BITS;
    Duration::from_millis(u64::try_from(scaled).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SETTLED: UnixTime = UnixTime(1_700_000_000_000);

    #[test]
    fn the_first_attempt_is_due_at_once_however_old_the_fetch_is() {
        let policy = DeliveryPolicy { max_attempts: 0, ..DeliveryPolicy::default() };
        let later = SETTLED.after(policy.time_to_live * 5);
        assert_eq!(policy.next(0, SETTLED, later, 7), Redelivery::After(Duration::ZERO));
    }

    #[test]
    fn waits_grow_from_the_base_to_the_cap_and_then_end() {
        let policy = DeliveryPolicy::default();
        // Entropy 0 gives half of the longest wait.
        let next = |attempts| policy.next(attempts, SETTLED, SETTLED, 0);
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
        let wait = |entropy| policy.next(2, SETTLED, SETTLED, entropy);
        let after = |ms| Redelivery::After(Duration::from_millis(ms));
        assert_eq!(wait(0), after(2_000));
        assert_eq!(wait(u64::MAX / 2 + 1), after(3_000));
        assert_eq!(wait(u64::MAX), after(3_999));
    }

    #[test]
    fn the_time_to_live_ends_it_and_a_clock_set_back_does_not() {
        let policy = DeliveryPolicy::default();
        let edge = SETTLED.after(policy.time_to_live);
        assert_eq!(policy.next(1, SETTLED, edge, 0), Redelivery::GiveUp);
        let before = UnixTime(edge.0 - 1);
        assert_ne!(policy.next(1, SETTLED, before, 0), Redelivery::GiveUp);
        assert_ne!(policy.next(1, SETTLED, UnixTime(0), 0), Redelivery::GiveUp);
    }

    proptest! {
        #[test]
        fn every_wait_keeps_its_bounds(
            max_attempts: u32,
            time_to_live: Duration,
            base_delay: Duration,
            max_delay: Duration,
            attempts: u32,
            settled_at: u64,
            now: u64,
            entropy: u64,
        ) {
            let policy = DeliveryPolicy { max_attempts, time_to_live, base_delay, max_delay };
            let age = Duration::from_millis(now.saturating_sub(settled_at));
            match policy.next(attempts, UnixTime(settled_at), UnixTime(now), entropy) {
                Redelivery::After(wait) if attempts == 0 => prop_assert_eq!(wait, Duration::ZERO),
                Redelivery::After(wait) => {
                    prop_assert!(attempts < max_attempts && age < time_to_live);
                    prop_assert!(wait <= max_delay);
                    prop_assert!(wait >= base_delay.min(max_delay) / 2);
                }
                Redelivery::GiveUp => {
                    prop_assert!(attempts > 0);
                    prop_assert!(attempts >= max_attempts || age >= time_to_live);
                }
            }
        }
    }
}
