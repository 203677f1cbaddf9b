//! `Retry-After` and the `Date` that it may be relative to. The input is a header list.
#![no_main]

use std::time::{Duration, SystemTime};

use bgfetch_fuzz::{headers, lines};
use bgfetch_net::fetch::retry_after::delay;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let headers = headers(lines(input));
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let delay = delay(&headers, now);

    let Some(value) = headers.get("retry-after") else {
        assert_eq!(delay, None);
        return;
    };
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = value.parse().unwrap_or(u64::MAX);
        assert_eq!(delay, Some(Duration::from_secs(seconds)));
    } else if let Some(delay) = delay {
        // The year of a date has at most four digits.
        assert!(delay < Duration::from_secs(8_100 * 366 * 24 * 3600), "{delay:?}");
    }
});
