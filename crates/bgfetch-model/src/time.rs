//! Time as the model sees it: it is always an input.

use core::time::Duration;

/// A point on the monotonic clock, as the time since the engine was opened.
///
/// It orders timers inside one process and is never persisted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub Duration);

impl Instant {
    /// This instant plus `by`; saturates instead of overflowing.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }

    /// The time from `earlier` to this instant; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// A point on the wall clock in milliseconds since the Unix epoch.
///
/// Only deadlines that must survive a restart use it.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// This time plus `by`; saturates instead of overflowing.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The time from `earlier` to this one; zero when `earlier` is later (the clock was set back).
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Both clocks, read once by the shell for each input.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// The monotonic clock: timers.
    pub monotonic: Instant,
    /// The wall clock: persisted deadlines and ages.
    pub wall: UnixTime,
}
