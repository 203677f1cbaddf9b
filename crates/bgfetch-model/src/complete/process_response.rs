//! *Process response* of [complete a record](https://wicg.github.io/background-fetch/#complete-a-record-algorithm):
//! what a response's head means for the record, decided before a byte of its body is read.

use crate::algorithms::extract_content_range_values::{
    ContentRange, extract_content_range_values, extract_unsatisfied_length,
};
use crate::algorithms::validate_a_partial_response::validate_a_partial_response;
use crate::attempt::Resume;
use crate::request::Request;
use crate::response::ResponseHead;

/// What to do with a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The body continues what is stored.
    Append(ContentRange),
    /// The body is a representation of its own; with a range where it is only a part of it.
    Replace(Option<ContentRange>),
    /// Everything is stored already.
    Complete,
    /// The server had a passing problem: keep what is stored and ask again later (ruling 25).
    ServerError,
    /// What is stored cannot be continued: ask for the whole again (ruling 23).
    Restart,
    /// The response can never be used.
    Invalid,
}

/// Judges `head`, the answer to `request` sent with `resume`; `stored` is the response whose bytes
/// are held.
pub(crate) fn process_response(
    request: &Request,
    resume: Option<&Resume>,
    stored: Option<&ResponseHead>,
    head: &ResponseHead,
) -> Verdict {
    match (head.status, resume) {
        // Step 14.2, a part of what is stored must fit it. DEVIATION: the spec fails the record
        // where it does not; asking for the whole again loses nothing (ruling 23).
        (206, Some(resume)) => match validate_a_partial_response(resume.start, head, stored) {
            Some(range) => Verdict::Append(range),
            None => Verdict::Restart,
        },
        (206, None) if request.has_own_range() => own_range(request, head),
        // A part nobody asked for is usable when it is the beginning.
        (206, None) => match validate_a_partial_response(0, head, None) {
            Some(range) => Verdict::Replace(Some(range)),
            None => Verdict::Invalid,
        },
        // Ruling 26: nothing lies behind what is stored, unless more was announced.
        (416, Some(resume)) => {
            let announced = stored.and_then(ResponseHead::complete_length);
            let length = extract_unsatisfied_length(&head.headers);
            if length == Some(resume.start) && announced.is_none_or(|it| it == resume.start) {
                Verdict::Complete
            } else {
                Verdict::Restart
            }
        }
        // Ruling 28: only a GET may be sent again.
        (429 | 500..=599, _) if request.is_get() => Verdict::ServerError,
        // Step 14.3, any other response stands for itself: what was stored becomes redundant.
        _ => Verdict::Replace(None),
    }
}

/// Ruling 27: the page asked for a range itself, so the part is the whole answer if it is the one.
fn own_range(request: &Request, head: &ResponseHead) -> Verdict {
    let asked = request.headers.get("range");
    let first = asked.as_deref().and_then(first_of_single_range);
    match extract_content_range_values(&head.headers) {
        Some(range) if first.is_none_or(|first| first == range.first) => {
            Verdict::Replace(Some(range))
        }
        _ => Verdict::Invalid,
    }
}

/// The first position of `bytes=first-…`; none for a suffix or a list, whose answer can't be told
/// from the request alone.
fn first_of_single_range(range: &str) -> Option<u64> {
    let (first, rest) = range.trim().strip_prefix("bytes=")?.split_once('-')?;
    (!rest.contains(',')).then(|| first.trim().parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header_list::HeaderList;

    fn get() -> Request {
        Request::get("https://a.test/".parse().unwrap())
    }

    fn head(status: u16, headers: &[(&str, &str)]) -> ResponseHead {
        ResponseHead {
            status,
            status_text: alloc::string::String::new(),
            headers: HeaderList::from_iter(headers.iter().copied()),
            url_list: alloc::vec!["https://a.test/".parse().unwrap()],
            response_type: Default::default(),
            cors_exposed_header_names: alloc::vec::Vec::new(),
        }
    }

    fn resumed(status: u16, headers: &[(&str, &str)]) -> Verdict {
        let resume = Resume { start: 5, if_range: "\"a\"".into() };
        let stored = head(200, &[("ETag", "\"a\"")]);
        process_response(&get(), Some(&resume), Some(&stored), &head(status, headers))
    }

    #[test]
    fn a_resume_appends_restarts_replaces_completes_or_waits() {
        let range = ContentRange { first: 5, last: 9, complete_length: Some(10) };
        let part = ("Content-Range", "bytes 5-9/10");
        let tag = ("ETag", "\"a\"");
        assert_eq!(resumed(206, &[part, tag]), Verdict::Append(range));
        assert_eq!(resumed(206, &[part, ("ETag", "\"b\"")]), Verdict::Restart);
        assert_eq!(resumed(206, &[("Content-Range", "bytes 4-9/10"), tag]), Verdict::Restart);
        assert_eq!(resumed(200, &[]), Verdict::Replace(None));
        assert_eq!(resumed(416, &[("Content-Range", "bytes */5")]), Verdict::Complete);
        assert_eq!(resumed(416, &[("Content-Range", "bytes */4")]), Verdict::Restart);
        assert_eq!(resumed(416, &[]), Verdict::Restart);
        for status in [429, 500, 503, 599] {
            assert_eq!(resumed(status, &[]), Verdict::ServerError, "{status}");
        }
        assert_eq!(resumed(404, &[]), Verdict::Replace(None));
    }

    #[test]
    fn a_first_request_takes_any_response_but_a_part_from_the_middle() {
        let first = |head: &ResponseHead| process_response(&get(), None, None, head);
        assert_eq!(first(&head(200, &[])), Verdict::Replace(None));
        assert_eq!(first(&head(416, &[])), Verdict::Replace(None));
        let range = ContentRange { first: 0, last: 4, complete_length: None };
        assert_eq!(
            first(&head(206, &[("Content-Range", "bytes 0-4/*")])),
            Verdict::Replace(Some(range))
        );
        assert_eq!(first(&head(206, &[("Content-Range", "bytes 1-4/*")])), Verdict::Invalid);
        assert_eq!(first(&head(206, &[])), Verdict::Invalid);
    }

    #[test]
    fn the_pages_own_range_is_answered_by_the_part_it_asked_for() {
        let mut request = get();
        request.headers.append("Range", "bytes=5-9");
        let answer =
            |value| process_response(&request, None, None, &head(206, &[("Content-Range", value)]));
        assert!(matches!(answer("bytes 5-9/100"), Verdict::Replace(Some(_))));
        assert_eq!(answer("bytes 0-9/100"), Verdict::Invalid);
    }

    #[test]
    fn a_server_error_to_an_upload_is_its_answer() {
        let mut post = get();
        post.method = "POST".into();
        assert_eq!(process_response(&post, None, None, &head(503, &[])), Verdict::Replace(None));
    }
}
