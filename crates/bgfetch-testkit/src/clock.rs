//! The model's clocks, moved by hand.

use std::time::Duration;

use bgfetch_model::time::{Instant, Now, UnixTime};

/// Both of the model's clocks. They stand still until the test moves them.
#[derive(Clone, Copy, Debug)]
pub struct VirtualClock {
    /// The current time on both clocks.
    pub now: Now,
}

impl Default for VirtualClock {
    /// The monotonic clock at zero, the wall clock at the start of 2025 (UTC).
    fn default() -> Self {
        Self { now: Now { monotonic: Instant::default(), wall: UnixTime(1_735_689_600_000) } }
    }
}

impl VirtualClock {
    /// Lets time pass: both clocks advance. Returns the new time.
    pub fn advance(&mut self, by: Duration) -> Now {
        self.now.monotonic = self.now.monotonic.after(by);
        self.now.wall = self.now.wall.after(by);
        self.now
    }

    /// Lets time pass until the monotonic clock shows `deadline`; no effect if that has passed.
    pub fn advance_to(&mut self, deadline: Instant) -> Now {
        self.advance(deadline.since(self.now.monotonic))
    }

    /// Sets the wall clock, forward or back, as a user or NTP does. The monotonic clock does not
    /// move.
    pub fn jump_to(&mut self, wall: UnixTime) -> Now {
        self.now.wall = wall;
        self.now
    }

    /// The process ended and another one started `after` that long: the monotonic clock restarts at
    /// zero.
    pub fn restart(&mut self, after: Duration) -> Now {
        self.now = Now { monotonic: Instant::default(), wall: self.now.wall.after(after) };
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_the_wall_clock_jumps_and_survives_a_restart() {
        let mut clock = VirtualClock::default();
        let begin = clock.now.wall;

        clock.advance(SECOND);
        clock.advance_to(Instant(3 * SECOND));
        assert_eq!(clock.advance_to(Instant(SECOND)).monotonic.0, 3 * SECOND);
        assert_eq!(clock.now.wall.since(begin), 3 * SECOND);

        clock.jump_to(begin);
        assert_eq!(clock.now.monotonic.0, 3 * SECOND);

        let reborn = clock.restart(SECOND);
        assert_eq!(reborn.monotonic, Instant::default());
        assert_eq!(reborn.wall.since(begin), SECOND);
    }
}
