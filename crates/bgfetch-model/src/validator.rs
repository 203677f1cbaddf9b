//! Validators of a representation (RFC 9110, sections 8.8 and 13.1.5), and which of them allow the
//! bytes of two responses to be joined. Where those responses must come from is in
//! [`source`](crate::source).

use alloc::string::String;

use crate::response::ResponseHead;
use crate::vary::varies_by_user;

/// The strong validator to send in `If-Range`, or none if the representation cannot be resumed
/// safely (D6).
#[must_use]
pub fn strong_validator(head: &ResponseHead) -> Option<String> {
    match head.headers.get("etag") {
        // A weak tag promises equivalence, not equal bytes; and the date adds nothing to a tag.
        Some(etag) => is_strong_entity_tag(&etag).then_some(etag),
        None => strong_last_modified(head),
    }
}

/// Whether the representation has a strong `ETag`.
pub(crate) fn has_strong_entity_tag(head: &ResponseHead) -> bool {
    head.headers.get("etag").is_some_and(|etag| is_strong_entity_tag(&etag))
}

/// The value of `Last-Modified`, if it is at least 60 s older than `Date`. RFC 9110 requires one
/// second and mentions 60 s for clocks that disagree. None if the representation depends on the
/// user: files of two users often have the same date.
fn strong_last_modified(head: &ResponseHead) -> Option<String> {
    if varies_by_user(head) {
        return None;
    }
    let last_modified = head.headers.get("last-modified")?;
    let modified = imf_fixdate_seconds(&last_modified)?;
    let date = imf_fixdate_seconds(&head.headers.get("date")?)?;
    (date >= modified + 60).then_some(last_modified)
}

fn is_strong_entity_tag(tag: &str) -> bool {
    let Some(opaque) = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')) else {
        return false;
    };
    // etagc excludes the quote, controls and space, so a combined list of tags is refused too.
    opaque.chars().all(|c| c == '\u{21}' || ('\u{23}'..='\u{7e}').contains(&c) || c >= '\u{80}')
}

/// Seconds since the epoch of an IMF-fixdate (`Sun, 06 Nov 1994 08:49:37 GMT`), the only form that
/// a server may send. Obsolete forms do not count as strong.
fn imf_fixdate_seconds(date: &str) -> Option<u64> {
    let (weekday, rest) = date.trim_matches([' ', '\t']).split_once(", ")?;
    let mut parts = rest.split(' ');
    let day = number(parts.next()?, 2)?;
    let name = parts.next()?;
    let month = MONTHS.iter().zip(1..).find(|(month, _)| **month == name)?.1;
    let year = number(parts.next()?, 4)?;
    let mut clock = parts.next()?.split(':');
    let (hour, minute, second) =
        (number(clock.next()?, 2)?, number(clock.next()?, 2)?, number(clock.next()?, 2)?);
    let sound = WEEKDAYS.contains(&weekday)
        && parts.next() == Some("GMT")
        && parts.next().is_none()
        && clock.next().is_none()
        && (1..=31).contains(&day)
        && year >= 1970
        && hour < 24
        && minute < 60
        && second <= 60;
    sound.then(|| ((days_since_epoch(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

// Any weekday is accepted: it adds nothing to the date.
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn number(text: &str, width: usize) -> Option<u64> {
    (text.len() == width && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// The proleptic Gregorian calendar, with years that start in March so that the leap day is last.
fn days_since_epoch(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    days - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header_list::HeaderList;

    fn validator(headers: &[(&str, &str)]) -> Option<String> {
        strong_validator(&ResponseHead {
            status: 200,
            status_text: alloc::string::String::new(),
            headers: HeaderList::from_iter(headers.iter().copied()),
            url_list: alloc::vec![],
            response_type: Default::default(),
            cors_exposed_header_names: alloc::vec::Vec::new(),
            selecting_headers: None,
        })
    }

    #[test]
    fn only_a_strong_entity_tag_resumes() {
        assert_eq!(validator(&[("ETag", "\"a\"")]).as_deref(), Some("\"a\""));
        for weak in ["W/\"a\"", "a", "\"a", "\"a\", \"b\"", "\"a b\"", ""] {
            assert_eq!(validator(&[("ETag", weak)]), None, "{weak}");
        }
    }

    #[test]
    fn a_weak_tag_is_not_made_good_by_a_date() {
        let date = ("Date", "Sun, 06 Nov 1994 09:49:37 GMT");
        let modified = ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(validator(&[("ETag", "W/\"a\""), date, modified]), None);
        assert_eq!(validator(&[date, modified]).as_deref(), Some(modified.1));
    }

    #[test]
    fn last_modified_is_strong_only_a_minute_before_the_date() {
        let date = ("Date", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(validator(&[date, ("Last-Modified", "Sun, 06 Nov 1994 08:48:38 GMT")]), None);
        assert!(validator(&[date, ("Last-Modified", "Sun, 06 Nov 1994 08:48:37 GMT")]).is_some());
        assert_eq!(validator(&[("Last-Modified", "Sun, 06 Nov 1994 08:48:37 GMT")]), None);
    }

    #[test]
    fn dates_become_seconds() {
        assert_eq!(imf_fixdate_seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(imf_fixdate_seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(imf_fixdate_seconds("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
        assert_eq!(imf_fixdate_seconds("Sunday, 06-Nov-94 08:49:37 GMT"), None);
        assert_eq!(imf_fixdate_seconds("Sun, 06 Nov 1994 08:49:37 +0100"), None);
        assert_eq!(imf_fixdate_seconds("S\0\n, 06 Nov 1994 08:49:37 GMT"), None);
    }

    #[test]
    fn every_part_of_a_date_must_be_sound() {
        for date in ["Thu, 01 Jan 1970 00:00:00 GMT", " Sat, 31 Dec 2016 23:59:60 GMT\t"] {
            assert!(imf_fixdate_seconds(date).is_some(), "{date}");
        }
        for date in [
            "Xxx, 06 Nov 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 08:49:37:00 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 GMT GMT",
            "Sun, 06 Nov 1994 +8:49:37 GMT",
        ] {
            assert_eq!(imf_fixdate_seconds(date), None, "{date}");
        }
    }
}
