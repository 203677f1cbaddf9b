//! The log of a process without a terminal: its lines begin with the time.

use std::sync::atomic::{AtomicBool, Ordering};

use time::UtcDateTime;

static BEGUN: AtomicBool = AtomicBool::new(false);

/// From now on, all lines of this process are those of a log.
pub(crate) fn begin() {
    BEGUN.store(true, Ordering::Relaxed);
}

/// The beginning of a line; empty if it does not belong to a log.
pub(crate) fn stamp() -> String {
    if BEGUN.load(Ordering::Relaxed) {
        format!("{} ", of(UtcDateTime::now()))
    } else {
        String::new()
    }
}

/// A time in UTC, as in RFC 3339.
fn of(time: UtcDateTime) -> String {
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.as_hms();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", u8::from(month))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_utc() {
        let time = UtcDateTime::from_unix_timestamp(1_709_210_096).unwrap();
        assert_eq!(of(time), "2024-02-29T12:34:56Z");
        assert_eq!(stamp(), "", "this is no log");
    }
}
