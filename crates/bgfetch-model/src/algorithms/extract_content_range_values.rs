//! [Extract content-range values](https://wicg.github.io/background-fetch/#extract-content-range-values-algorithm)
//! and the [single byte content-range](https://wicg.github.io/background-fetch/#single-byte-content-range)
//! grammar.

use crate::header_list::HeaderList;

/// The values of a `Content-Range` that names one range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The offset of the first byte.
    pub first: u64,
    /// The offset of the last byte; at least `first`.
    pub last: u64,
    /// The length of the whole representation, or none for `*`; above `last`.
    pub complete_length: Option<u64>,
}

impl ContentRange {
    /// The offset after the last byte: the length that the body must have once the part is stored.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.last.saturating_add(1)
    }

    /// The length of the stored body once this part is stored. It counts from the representation's
    /// first byte, or from the part's first byte if the page itself asked for the range (D9).
    pub(crate) const fn stored_end(self, own_range: bool) -> u64 {
        if own_range { self.end() - self.first } else { self.end() }
    }
}

/// Extracts the values of `Content-Range`, or none if that fails.
#[must_use]
pub fn extract_content_range_values(headers: &HeaderList) -> Option<ContentRange> {
    // Steps 1-2, find the header. SPEC-ISSUE(2): the spec takes the first header of that name; the
    // combined value turns repeated headers into a list, which is not a single range.
    let value = headers.get("content-range")?;
    // Steps 3-8, parse it and return its parts.
    parse(&value)
}

fn parse(value: &str) -> Option<ContentRange> {
    // SPEC-ISSUE(1): the spec's grammar has `bytes=`, which is the syntax of `Range`; a
    // `Content-Range` has a space there (RFC 9110, section 14.4).
    let (range, complete_length) = strip_bytes_unit(value)?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (digits(first)?, digits(last)?);
    let complete_length = match complete_length {
        "*" => None,
        number => Some(digits(number)?),
    };
    let sound = first <= last && complete_length.is_none_or(|length| last < length);
    // A last position of 2^64-1 would leave no room for the length after it.
    (sound && last < u64::MAX).then_some(ContentRange { first, last, complete_length })
}

/// The `N` of the `bytes */N` that a 416 response carries, or none.
#[must_use]
pub fn extract_unsatisfied_length(headers: &HeaderList) -> Option<u64> {
    digits(strip_bytes_unit(&headers.get("content-range")?)?.strip_prefix("*/")?)
}

/// Range units are case-insensitive (RFC 9110, section 14.1).
fn strip_bytes_unit(value: &str) -> Option<&str> {
    let (unit, rest) = value.trim_matches([' ', '\t']).split_once(' ')?;
    unit.eq_ignore_ascii_case("bytes").then_some(rest)
}

/// `1*DIGIT`; `str::parse` alone would also take a sign.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_what_rfc_9110_allows() {
        for (text, first, last, complete_length) in [
            ("bytes 0-0/1", 0, 0, Some(1)),
            ("Bytes 5-9/10", 5, 9, Some(10)),
            ("bytes 5-9/*", 5, 9, None),
            (" bytes 07-09/0010 ", 7, 9, Some(10)),
        ] {
            assert_eq!(parse(text), Some(ContentRange { first, last, complete_length }), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "bytes",
            "bytes=0-1/2",
            "bytes 0-1",
            "bytes 1-0/2",
            "bytes 0-2/2",
            "bytes 0-1/",
            "bytes -1/2",
            "bytes 0-/2",
            "bytes +0-1/2",
            "bytes 0-1/2, bytes 0-1/2",
            "bytes  0-1/2",
            "items 0-1/2",
            "bytes */2",
            "bytes 0-18446744073709551615/*",
            "bytes 0-18446744073709551616/*",
            "bytes 0-1/18446744073709551616",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_repeated_header_is_a_list_and_invalid() {
        let twice = HeaderList::from_iter([
            ("Content-Range", "bytes 0-1/2"),
            ("content-range", "bytes 0-1/2"),
        ]);
        assert_eq!(extract_content_range_values(&twice), None);
    }

    #[test]
    fn reads_the_length_of_an_unsatisfied_range() {
        let of = |value: &str| {
            extract_unsatisfied_length(&HeaderList::from_iter([("Content-Range", value)]))
        };
        assert_eq!(of("bytes */12"), Some(12));
        assert_eq!(of("bytes */*"), None);
        assert_eq!(of("bytes 0-1/12"), None);
    }

    proptest! {
        #[test]
        fn what_it_takes_is_sound_and_reads_back(text in "(?i:bytes) [0-9]{1,20}-[0-9]{1,20}/([0-9]{1,20}|\\*)") {
            if let Some(range) = parse(&text) {
                prop_assert!(range.first <= range.last);
                prop_assert!(range.complete_length.is_none_or(|length| range.last < length));
                prop_assert_eq!(range.end() - 1, range.last);
            }
        }

        #[test]
        fn never_panics(text in ".{0,60}") {
            let headers = HeaderList::from_iter([("content-range", text)]);
            prop_assert!(extract_content_range_values(&headers).is_none() || extract_unsatisfied_length(&headers).is_none());
        }
    }
}
