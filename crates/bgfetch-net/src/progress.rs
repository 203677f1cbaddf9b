//! The two timers of an attempt: one coalesces progress reports, the other detects that the attempt
//! is idle for too long. Both reset their timer only when the attempt has to wait anyway.

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A report is due after this many bytes…
const STEP: u64 = 1 << 20;
/// …or this long after the last report, whichever is first.
const INTERVAL: Duration = Duration::from_millis(50);

/// Coalesces the reports of an offset that only grows.
pub(crate) struct Coalesced {
    latest: u64,
    reported: u64,
    at: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Coalesced {
    /// Starts at an offset that need not be reported.
    pub(crate) fn new(start: u64) -> Self {
        let at = Instant::now();
        Self { latest: start, reported: start, at, timer: Box::pin(sleep_until(at + INTERVAL)) }
    }

    /// Advances to `offset`. Returns it if a report is due now.
    pub(crate) fn advance_to(&mut self, offset: u64) -> Option<u64> {
        self.latest = self.latest.max(offset);
        let due = self.latest - self.reported >= STEP || Instant::now() >= self.at + INTERVAL;
        if due { self.flush() } else { None }
    }

    /// Returns the offset if it was not reported yet, even if no report is due.
    pub(crate) fn flush(&mut self) -> Option<u64> {
        (self.latest > self.reported).then(|| {
            self.reported = self.latest;
            self.at = Instant::now();
            self.latest
        })
    }

    /// Advances to `offset`, which is reported elsewhere.
    pub(crate) fn settle(&mut self, offset: u64) {
        self.latest = offset;
        self.reported = offset;
    }

    /// Waits until a report is due, and returns the offset. Never resolves if everything was
    /// reported.
    pub(crate) async fn due(&mut self) -> u64 {
        loop {
            if self.latest == self.reported {
                pending::<()>().await;
            }
            let deadline = self.at + INTERVAL;
            if self.timer.deadline() != deadline {
                self.timer.as_mut().reset(deadline);
            }
            self.timer.as_mut().await;
            if let Some(offset) = self.flush() {
                return offset;
            }
        }
    }
}

/// A watchdog that expires if it was not fed for `limit`.
pub(crate) struct Watchdog {
    limit: Duration,
    fed: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Watchdog {
    pub(crate) fn new(limit: Duration) -> Self {
        // Prevents an overflow if an embedder sets a limit that means "never".
        let limit = limit.min(Duration::from_secs(365 * 24 * 60 * 60));
        let fed = Instant::now();
        Self { limit, fed, timer: Box::pin(sleep_until(fed + limit)) }
    }

    pub(crate) fn feed(&mut self) {
        self.fed = Instant::now();
    }

    /// Resolves when the limit has passed since it was last fed.
    pub(crate) async fn expired(&mut self) {
        loop {
            self.timer.as_mut().await;
            // OPTIMIZATION: feeding does not touch the timer. It is only reset when it fires, which
            // is once per limit instead of once per chunk.
            let deadline = self.fed + self.limit;
            if deadline <= self.timer.deadline() {
                return;
            }
            self.timer.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, timeout};

    #[tokio::test(start_paused = true)]
    async fn a_report_is_due_after_the_step_or_the_interval() {
        let mut offset = Coalesced::new(7);
        assert_eq!(offset.advance_to(7 + STEP - 1), None);
        assert_eq!(offset.advance_to(7 + STEP), Some(7 + STEP));
        let start = Instant::now();
        assert_eq!(offset.advance_to(8 + STEP), None);
        assert_eq!(offset.due().await, 8 + STEP);
        assert_eq!(start.elapsed(), INTERVAL);
        advance(INTERVAL).await;
        assert_eq!(offset.advance_to(9 + STEP), Some(9 + STEP));
        assert_eq!(offset.flush(), None);
        assert!(timeout(INTERVAL * 9, offset.due()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_fed_watchdog_waits_from_the_last_feeding() {
        let mut dog = Watchdog::new(Duration::from_secs(30));
        let start = Instant::now();
        advance(Duration::from_secs(29)).await;
        dog.feed();
        dog.expired().await;
        assert_eq!(start.elapsed(), Duration::from_secs(59));
        let never = Watchdog::new(Duration::MAX).expired().await;
        assert_eq!(never, ());
    }
}
