//! Which part of a resource is sent in response to a request, correct or deliberately wrong.

use std::ops::Range;

use http::header::{HeaderMap, HeaderValue, IF_RANGE, RANGE};
use http::{Method, StatusCode};

use super::reply::{ContentRange, RangePolicy, Ranges};
use crate::resource::Resource;

/// The part that is sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) status: StatusCode,
    pub(super) bytes: Range<u64>,
    pub(super) content_range: Option<HeaderValue>,
}

/// Selects the part as [RFC 9110, 14.2](https://www.rfc-editor.org/rfc/rfc9110#section-14.2) says,
/// then applies the faults.
pub(super) fn part(
    resource: &Resource,
    ranges: &Ranges,
    method: &Method,
    headers: &HeaderMap,
) -> Part {
    let length = resource.length();
    let asked = text(headers, RANGE.as_str()).and_then(single_range);
    let honoured = method == Method::GET
        && ranges.policy != RangePolicy::Ignore
        && (ranges.ignores_if_range || if_range_holds(resource, headers));
    let Some(asked) = asked.filter(|_| honoured) else {
        return Part { status: StatusCode::OK, bytes: 0..length, content_range: None };
    };
    match resolve(asked, length).filter(|_| ranges.policy == RangePolicy::Honour) {
        Some(right) => {
            let start = right.start.saturating_add_signed(ranges.shift).min(length - 1);
            let end = right.end.max(start + 1);
            let end = end.min(start.saturating_add(ranges.at_most.unwrap_or(u64::MAX)));
            Part {
                status: StatusCode::PARTIAL_CONTENT,
                content_range: Some(content_range(
                    ranges,
                    length,
                    &format!("{start}-{}", end.saturating_sub(1)),
                )),
                bytes: start..end,
            }
        }
        None => Part {
            status: StatusCode::RANGE_NOT_SATISFIABLE,
            bytes: 0..0,
            content_range: Some(content_range(ranges, length, "*")),
        },
    }
}

fn content_range(ranges: &Ranges, length: u64, range: &str) -> HeaderValue {
    let complete = match &ranges.content_range {
        Some(ContentRange::Raw(value)) => return value.clone(),
        Some(ContentRange::CompleteLength(None)) => String::from("*"),
        Some(ContentRange::CompleteLength(Some(claimed))) => claimed.to_string(),
        None => length.to_string(),
    };
    HeaderValue::try_from(format!("bytes {range}/{complete}")).expect("digits")
}

/// The first and the last byte (none: to the end), or a suffix length.
#[derive(Clone, Copy)]
enum Asked {
    From(u64, Option<u64>),
    Suffix(u64),
}

/// A single byte range; lists and other units are ignored, as a server may.
fn single_range(value: &str) -> Option<Asked> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        return last.parse().ok().map(Asked::Suffix);
    }
    let first = first.parse().ok()?;
    if last.is_empty() {
        return Some(Asked::From(first, None));
    }
    let last = last.parse().ok().filter(|last| first <= *last)?;
    Some(Asked::From(first, Some(last)))
}

/// The requested bytes, or none if the range is not satisfiable.
fn resolve(asked: Asked, length: u64) -> Option<Range<u64>> {
    let range = match asked {
        Asked::From(first, last) => {
            first..last.map_or(length, |last| last.saturating_add(1).min(length))
        }
        Asked::Suffix(suffix) => length.saturating_sub(suffix)..length,
    };
    (range.start < range.end).then_some(range)
}

/// Strong comparison for an entity tag, exact comparison for a date.
fn if_range_holds(resource: &Resource, headers: &HeaderMap) -> bool {
    let Some(validator) = text(headers, IF_RANGE.as_str()) else {
        return !headers.contains_key(IF_RANGE);
    };
    if validator.starts_with('"') || validator.starts_with("W/") {
        return !validator.starts_with("W/") && resource.etag.as_deref() == Some(validator);
    }
    resource.last_modified.map(httpdate::fmt_http_date).as_deref() == Some(validator)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GIB;
    use crate::origin::reply::{Reply, Serve};
    use std::time::{Duration, SystemTime};

    fn ask(reply: impl Into<Reply>, headers: &[(&'static str, &str)]) -> (u16, Range<u64>, String) {
        let reply = reply.into();
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
            })
            .collect();
        let part = part(reply.resource.as_ref().unwrap(), &reply.ranges, &Method::GET, &headers);
        let content_range =
            part.content_range.map_or(String::new(), |value| value.to_str().unwrap().to_owned());
        (part.status.as_u16(), part.bytes, content_range)
    }

    #[test]
    fn ranges_are_right_to_the_byte() {
        let resource = || Resource::new(1, 5 * GIB);
        let n = 5 * GIB;
        for (range, status, bytes, content_range) in [
            ("bytes=0-0", 206, 0..1, format!("bytes 0-0/{n}")),
            ("bytes=4294967296-", 206, 4 * GIB..n, format!("bytes 4294967296-{}/{n}", n - 1)),
            ("bytes=10-99999999999", 206, 10..n, format!("bytes 10-{}/{n}", n - 1)),
            ("bytes=-5", 206, n - 5..n, format!("bytes {}-{}/{n}", n - 5, n - 1)),
            ("bytes=5368709120-", 416, 0..0, format!("bytes */{n}")),
            ("bytes=-0", 416, 0..0, format!("bytes */{n}")),
            ("bytes=7-6", 200, 0..n, String::new()),
            ("bytes=0-1,5-6", 200, 0..n, String::new()),
            ("lines=0-1", 200, 0..n, String::new()),
        ] {
            assert_eq!(
                ask(resource(), &[("range", range)]),
                (status, bytes, content_range),
                "{range}"
            );
        }
    }

    #[test]
    fn if_range_needs_the_same_strong_validator() {
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let http_date = httpdate::fmt_http_date(date);
        let resource = Resource::new(1, 10).etag("\"a\"").last_modified(date);
        for (validator, status) in [
            ("\"a\"", 206),
            ("\"b\"", 200),
            ("W/\"a\"", 200),
            (http_date.as_str(), 206),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 200),
        ] {
            let headers = [("range", "bytes=5-"), ("if-range", validator)];
            assert_eq!(ask(resource.clone(), &headers).0, status, "{validator}");
        }
        let weak = Resource::new(1, 10).etag("W/\"a\"");
        let headers = [("range", "bytes=5-"), ("if-range", "W/\"a\"")];
        assert_eq!(ask(weak.clone(), &headers).0, 200);
        assert_eq!(ask(weak.ignoring_if_range(), &headers).0, 206);
    }

    #[test]
    fn each_range_fault_is_what_its_name_says() {
        let resource = || Resource::new(1, 100);
        let from_50 = [("range", "bytes=50-")];
        for (reply, expected) in [
            (resource().ignoring_range(), (200, 0..100, "")),
            (resource().refusing_range(), (416, 0..0, "bytes */100")),
            (resource().shifting_range(1), (206, 51..100, "bytes 51-99/100")),
            (resource().shifting_range(-50), (206, 0..100, "bytes 0-99/100")),
            (resource().at_most_per_range(10), (206, 50..60, "bytes 50-59/100")),
            (resource().claiming_complete_length(101), (206, 50..100, "bytes 50-99/101")),
            (resource().hiding_complete_length(), (206, 50..100, "bytes 50-99/*")),
            (resource().content_range("bytes=1-2/3"), (206, 50..100, "bytes=1-2/3")),
        ] {
            let (status, bytes, content_range) = ask(reply, &from_50);
            assert_eq!((status, bytes, content_range.as_str()), expected);
        }
    }
}
