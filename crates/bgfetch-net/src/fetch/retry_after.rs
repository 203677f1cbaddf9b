//! `Retry-After`, [RFC 9110 section 10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3).

use std::time::{Duration, SystemTime};

use bgfetch_model::header_list::HeaderList;

/// How long the `Retry-After` of a response asks to wait, or `None` if it has no valid one.
///
/// A date is relative to the response's `Date`, so that a wrong local clock does not matter, or to
/// `now` if the response has none. A date in the past means no wait.
#[must_use]
pub fn delay(headers: &HeaderList, now: SystemTime) -> Option<Duration> {
    let value = headers.get("retry-after")?;
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is still valid; the model clamps the wait.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let from =
        headers.get("date").and_then(|date| httpdate::parse_http_date(&date).ok()).unwrap_or(now);
    Some(until.duration_since(from).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(headers: &[(&str, &str)]) -> Option<Duration> {
        let now = httpdate::parse_http_date("Fri, 31 Dec 1999 23:59:00 GMT").unwrap();
        delay(&headers.iter().copied().collect(), now)
    }

    #[test]
    fn seconds_and_dates_are_understood() {
        let new_year = ("retry-after", "Sat, 01 Jan 2000 00:00:00 GMT");
        assert_eq!(after(&[("Retry-After", "120")]), Some(Duration::from_secs(120)));
        assert_eq!(after(&[new_year]), Some(Duration::from_secs(60)));
        let date = ("date", "Fri, 31 Dec 1999 23:59:50 GMT");
        assert_eq!(after(&[new_year, date]), Some(Duration::from_secs(10)));
        let past = ("retry-after", "Fri, 31 Dec 1999 00:00:00 GMT");
        assert_eq!(after(&[past]), Some(Duration::ZERO));
    }

    #[test]
    fn nonsense_is_no_delay_and_huge_numbers_do_not_overflow() {
        for value in ["", "soon", "-1", "1.5", "1, 2"] {
            assert_eq!(after(&[("retry-after", value)]), None, "{value}");
        }
        let huge = "9".repeat(40);
        assert_eq!(after(&[("retry-after", &huge)]), Some(Duration::from_secs(u64::MAX)));
        assert_eq!(after(&[]), None);
    }
}
