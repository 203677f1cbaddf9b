//! [Validate a partial response](https://wicg.github.io/background-fetch/#validate-partial-response-algorithm).

use super::extract_content_range_values::{ContentRange, extract_content_range_values};
use crate::response::ResponseHead;
use crate::source::is_same_source;

/// Why a partial response does not continue what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidPart {
    /// Its `Content-Range` cannot be parsed, or names other bytes than were requested.
    OtherBytes,
    /// It belongs to another representation.
    OtherRepresentation,
    /// It comes from another origin, or has another response type.
    OtherSource,
    /// It comes from another URL of the origin.
    OtherUrl,
    /// Its request had other credentials, or other headers that select the representation.
    OtherRequest,
    /// A content coding was applied, so its offsets are not those of the stored bytes.
    Coded,
}

/// The headers that describe a representation and not one of its parts.
const METADATA: [&str; 6] = [
    "content-language",
    "content-location",
    "content-type",
    "etag",
    "last-modified",
    "repr-digest",
];

/// Checks that a 206 response is the part that was requested, and that it may be joined to
/// `previous`. Returns its range.
///
/// # Errors
/// The response is another part, or may not be joined.
pub fn validate_a_partial_response(
    expected_range_start: u64,
    partial: &ResponseHead,
    previous: Option<&ResponseHead>,
) -> Result<ContentRange, InvalidPart> {
    // Step 2, its content-range must be valid.
    let range = extract_content_range_values(&partial.headers).ok_or(InvalidPart::OtherBytes)?;
    // Step 3, and start where we asked.
    if range.first != expected_range_start {
        return Err(InvalidPart::OtherBytes);
    }
    // Step 4, it must belong to the same representation as what is stored.
    if let Some(previous) = previous {
        is_same_source(previous, partial, range.complete_length)?;
        // Step 4.1, a validator that was present must not have changed.
        // DEVIATION(D3): all metadata that the part names must be that of the whole. What it leaves
        // out is unchanged (RFC 9110, section 15.3.7), except for the validator that we resume with.
        let validator = if previous.headers.contains("etag") { "etag" } else { "last-modified" };
        let agrees = |name: &str| {
            let (before, now) = (previous.headers.get(name), partial.headers.get(name));
            before == now || now.is_none() && name != validator
        };
        if !METADATA.into_iter().all(agrees) {
            return Err(InvalidPart::OtherRepresentation);
        }
        // Step 4.2, the parts must agree on the length of the whole. SPEC-ISSUE(3): a `*` in the
        // second after a number in the first is no disagreement. DEVIATION(D6): the spec compares
        // only with an earlier part; we also compare with a whole response that was cut short.
        if let Some(before) = previous.complete_length()
            && (range.last >= before || range.complete_length.is_some_and(|now| before != now))
        {
            return Err(InvalidPart::OtherRepresentation);
        }
    }
    // Offsets count bytes of the uncoded representation (D4).
    if partial.is_content_coded() { Err(InvalidPart::Coded) } else { Ok(range) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header_list::HeaderList;
    use crate::response::ResponseType;

    fn head(status: u16, headers: &[(&str, &str)]) -> ResponseHead {
        ResponseHead {
            status,
            status_text: alloc::string::String::new(),
            headers: HeaderList::from_iter(headers.iter().copied()),
            url_list: alloc::vec!["https://a.test/".parse().unwrap()],
            response_type: ResponseType::Cors,
            cors_exposed_header_names: alloc::vec::Vec::new(),
            selecting_headers: None,
        }
    }

    const PART: (&str, &str) = ("Content-Range", "bytes 5-9/10");

    #[test]
    fn the_part_must_begin_where_it_was_asked_to() {
        assert!(validate_a_partial_response(5, &head(206, &[PART]), None).is_ok());
        assert!(validate_a_partial_response(4, &head(206, &[PART]), None).is_err());
        assert!(validate_a_partial_response(0, &head(206, &[]), None).is_err());
    }

    #[test]
    fn a_changed_or_lost_validator_is_another_representation() {
        let before = head(200, &[("ETag", "\"a\""), ("Last-Modified", "x")]);
        let check = |extra: &[(&str, &str)]| {
            let headers: alloc::vec::Vec<_> = [PART].iter().chain(extra).copied().collect();
            validate_a_partial_response(5, &head(206, &headers), Some(&before)).is_ok()
        };
        assert!(check(&[("ETag", "\"a\""), ("Last-Modified", "x")]));
        assert!(check(&[("ETag", "\"a\"")]), "Last-Modified may be left out beside the ETag");
        assert!(!check(&[("ETag", "\"b\""), ("Last-Modified", "x")]));
        assert!(!check(&[("ETag", "\"a\""), ("Last-Modified", "y")]));
        assert!(!check(&[("Last-Modified", "x")]));
    }

    #[test]
    fn metadata_that_a_part_names_must_agree() {
        let tag = ("ETag", "\"a\"");
        for name in METADATA.into_iter().filter(|name| *name != "etag") {
            let check = |before: &[_], now: &[_]| {
                let before = head(200, &[&[tag], before].concat());
                let part = head(206, &[&[PART, tag], now].concat());
                validate_a_partial_response(5, &part, Some(&before))
            };
            let (a, b) = ((name, "a/b"), (name, "c/d"));
            assert!(check(&[a], &[a]).is_ok() && check(&[a], &[]).is_ok(), "{name}");
            let other = Err(InvalidPart::OtherRepresentation);
            assert_eq!((check(&[a], &[b]), check(&[], &[b])), (other, other), "{name}");
        }
    }

    #[test]
    fn parts_must_agree_on_the_whole() {
        let first = head(206, &[("Content-Range", "bytes 0-4/11")]);
        assert!(validate_a_partial_response(5, &head(206, &[PART]), Some(&first)).is_err());
        let open = head(206, &[("Content-Range", "bytes 0-4/*")]);
        assert!(validate_a_partial_response(5, &head(206, &[PART]), Some(&open)).is_ok());
        let closed = head(206, &[("Content-Range", "bytes 0-4/10")]);
        let star = |last| head(206, &[("Content-Range", last)]);
        let closed = |part| validate_a_partial_response(5, &part, Some(&closed)).is_ok();
        assert!(closed(star("bytes 5-9/*")) && !closed(star("bytes 5-10/*")));
    }

    #[test]
    fn another_origin_type_or_coding_is_refused() {
        let before = head(200, &[]);
        let mut elsewhere = head(206, &[PART]);
        elsewhere.url_list.push("https://b.test/".parse().unwrap());
        let joined = |part| validate_a_partial_response(5, part, Some(&before));
        assert_eq!(joined(&elsewhere), Err(InvalidPart::OtherSource));
        let mut basic = head(206, &[PART]);
        basic.response_type = ResponseType::Basic;
        assert_eq!(joined(&basic), Err(InvalidPart::OtherSource));
        let coded = head(206, &[PART, ("Content-Encoding", "gzip")]);
        assert_eq!(joined(&coded), Err(InvalidPart::Coded));
    }
}
