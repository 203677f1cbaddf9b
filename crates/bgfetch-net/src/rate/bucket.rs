//! A token bucket.

use std::time::Duration;

use bgfetch_model::time::Instant;

use super::MOST;

/// How much may be saved up while nobody wants any bytes: as many as the rate allows in this time.
/// It makes up for timers that are late.
pub const BURST: Duration = Duration::from_millis(100);

/// How much is given at once: as many bytes as the rate allows in this time, so that slow rates are
/// even and fast ones cost little.
const PIECE: Duration = Duration::from_millis(20);

/// The unit of the level: nobody loses fractions of a byte, however often it is refilled.
const PER_BYTE: u128 = 1_000_000_000;

/// Lets bytes through at a rate, or without a limit.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    rate: Option<u64>,
    /// What may be given now, in billionths of a byte.
    level: u128,
    /// When that was so.
    at: Instant,
}

impl Bucket {
    /// Changes the rate, in bytes per second. What was saved up counts only as far as the new rate
    /// allows it.
    pub(super) fn set_rate(&mut self, now: Instant, rate: Option<u64>) {
        self.refill(now);
        self.rate = rate;
        self.level = self.level.min(self.most());
    }

    pub(super) fn is_capped(&self) -> bool {
        self.rate.is_some()
    }

    /// The most bytes that are given at once.
    pub(super) fn piece(&self) -> u64 {
        let within = |rate| bytes_within(rate, PIECE) / PER_BYTE;
        self.rate.map_or(MOST, |rate| u64::try_from(within(rate)).unwrap_or(MOST).clamp(1, MOST))
    }

    /// Adds what has become available until now.
    pub(super) fn refill(&mut self, now: Instant) {
        let elapsed = now.since(self.at);
        self.at = self.at.max(now);
        if let Some(rate) = self.rate {
            self.level = self.level.saturating_add(bytes_within(rate, elapsed)).min(self.most());
        }
    }

    /// How many bytes may be given now: a whole piece, or none.
    pub(super) fn available(&self) -> Option<u64> {
        let piece = self.piece();
        (!self.is_capped() || self.level >= u128::from(piece) * PER_BYTE).then_some(piece)
    }

    pub(super) fn take(&mut self, bytes: u64) {
        self.level = self.level.saturating_sub(u128::from(bytes) * PER_BYTE);
    }

    pub(super) fn put(&mut self, bytes: u64) {
        if self.is_capped() {
            self.level = (self.level + u128::from(bytes) * PER_BYTE).min(self.most());
        }
    }

    /// When a piece is available. `None` if never.
    pub(super) fn due(&self) -> Option<Instant> {
        let Some(rate) = self.rate else { return Some(Instant::default()) };
        let missing = (u128::from(self.piece()) * PER_BYTE).saturating_sub(self.level);
        let nanoseconds = match u128::from(rate) {
            0 if missing > 0 => return None,
            0 => 0,
            rate => missing.div_ceil(rate),
        };
        let wait = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        Some(self.at.after(wait))
    }

    /// The highest level.
    fn most(&self) -> u128 {
        let piece = u128::from(self.piece()) * PER_BYTE;
        match self.rate {
            None | Some(0) => 0,
            Some(rate) => bytes_within(rate, BURST).max(piece),
        }
    }
}

/// What a rate allows in some time, in billionths of a byte.
fn bytes_within(rate: u64, time: Duration) -> u128 {
    u128::from(rate).saturating_mul(time.as_nanos())
}
