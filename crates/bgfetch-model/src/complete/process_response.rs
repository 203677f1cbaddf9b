//! *Process response* of [complete a record](https://wicg.github.io/background-fetch/#complete-a-record-algorithm):
//! what a response's head means for the record, decided before a byte of its body is read.

use alloc::format;
use alloc::string::String;

use crate::algorithms::extract_content_range_values::{
    ContentRange, extract_content_range_values, extract_unsatisfied_length,
};
use crate::algorithms::validate_a_partial_response::{InvalidPart, validate_a_partial_response};
use crate::attempt::Resume;
use crate::policy::Principal;
use crate::request::Request;
use crate::response::ResponseHead;
use crate::source::is_same_source;
use crate::validator::strong_validator;

/// What to do with a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The body continues what is stored.
    Append(ContentRange),
    /// The body is a representation of its own; with a range if it is only a part.
    Replace(Option<ContentRange>),
    /// Everything is stored already.
    Complete,
    /// The server had a temporary problem: keep what is stored and ask again later (D7).
    ServerError,
    /// The stored bytes cannot be continued: request the whole, and keep them until that is
    /// answered (D2).
    Restart(RestartReason),
    /// The response cannot be used, for this reason; the stored bytes stay.
    Unusable(String),
}

/// Why a record starts again from byte 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RestartReason {
    /// The representation changed.
    Changed,
    /// A part has other bytes than requested.
    OtherBytes,
    /// The response comes from another host than the stored bytes.
    OtherSource,
    /// The response comes from another URL of the host.
    OtherUrl,
    /// The response depends on the user or on other headers of the request, and these changed.
    OtherRequest,
    /// Parts are content-coded.
    Coded,
    /// Parts have no validator that identifies their representation.
    NoValidator,
    /// The answer to a range was neither a part nor the whole.
    Refused,
}

impl From<InvalidPart> for RestartReason {
    fn from(part: InvalidPart) -> Self {
        match part {
            InvalidPart::OtherBytes => Self::OtherBytes,
            InvalidPart::OtherRepresentation => Self::Changed,
            InvalidPart::OtherSource => Self::OtherSource,
            InvalidPart::OtherUrl => Self::OtherUrl,
            InvalidPart::OtherRequest => Self::OtherRequest,
            InvalidPart::Coded => Self::Coded,
        }
    }
}

impl RestartReason {
    /// Why a record that started again too often fails, for people.
    pub(crate) const fn too_often(self) -> &'static str {
        match self {
            Self::Changed => "the representation changed too often",
            Self::OtherBytes => "the server keeps sending other parts than those requested",
            Self::OtherSource => "too many hosts answered, and their parts cannot be joined",
            Self::OtherUrl => "too many URLs answered, and their parts cannot be joined",
            Self::OtherRequest => {
                "the response depends on cookies or other headers, which changed too often"
            }
            Self::Coded => "the server sends coded parts, which cannot be joined",
            Self::NoValidator => {
                "the server sends only parts, without a strong validator to join them"
            }
            Self::Refused => "the server keeps refusing to continue what it began to send",
        }
    }
}

/// Judges `head`, the response to `request` sent with `resume`. `held` is the response whose bytes
/// are stored, if there are any. A temporary problem of the server counts as such only while the
/// record `may_retry`.
pub(crate) fn process_response(
    request: &Request,
    principal: &Principal,
    resume: Option<&Resume>,
    held: Option<&ResponseHead>,
    head: &ResponseHead,
    may_retry: bool,
) -> Verdict {
    match (head.status, resume) {
        // Step 11.2.2, a part of what is stored must match it. DEVIATION(D2): the spec fails the
        // record if it does not; requesting the whole again loses nothing (D2).
        (206, Some(resume)) => match validate_a_partial_response(resume.start, head, held) {
            Ok(range) => Verdict::Append(range),
            Err(invalid) => Verdict::Restart(invalid.into()),
        },
        (206, None) if request.has_own_range() => own_range(request, head),
        // An unrequested part is usable if it is the beginning.
        (206, None) => match validate_a_partial_response(0, head, None) {
            Ok(range) => Verdict::Replace(Some(range)),
            Err(_) => not_the_part(),
        },
        // D8: there are no bytes after the stored ones, unless more were announced.
        (416, Some(resume)) => {
            is_complete(resume, held, head).map_or_else(Verdict::Restart, |()| Verdict::Complete)
        }
        // D25: these statuses are temporary, and only a GET may be sent again.
        (408 | 425 | 429 | 500..=599, _) if may_retry && request.is_get() => Verdict::ServerError,
        // DEVIATION(D32): the spec takes it as the response. It may be caused only by our own
        // range, which the page does not know of, so the request is sent once more as the page made
        // it.
        (_, Some(_)) if !head.is_ok() => Verdict::Restart(RestartReason::Refused),
        _ => match unusable(principal, held, head) {
            Some(message) => Verdict::Unusable(message),
            // Step 11.2.3, any other response stands for itself: the stored bytes become redundant.
            None => Verdict::Replace(None),
        },
    }
}

/// D8: whether a 416 says that every byte is stored. As for a part, it must come from where the
/// stored bytes came from.
fn is_complete(
    resume: &Resume,
    held: Option<&ResponseHead>,
    head: &ResponseHead,
) -> Result<(), RestartReason> {
    let length = extract_unsatisfied_length(&head.headers).ok_or(RestartReason::Refused)?;
    if length != resume.start {
        return Err(RestartReason::Changed);
    }
    let Some(held) = held else { return Ok(()) };
    if held.complete_length().is_some_and(|announced| announced != length) {
        return Err(RestartReason::Refused);
    }
    let tag = head.headers.get("etag");
    if tag.is_some() && tag != held.headers.get("etag") {
        return Err(RestartReason::Changed);
    }
    Ok(is_same_source(held, head, Some(length))?)
}

/// Why `head` must not replace the stored bytes.
// DEVIATION(D33): the spec lets any response replace them. A user who downloads the file again
// wants to continue with the bytes that are stored.
fn unusable(
    principal: &Principal,
    held: Option<&ResponseHead>,
    head: &ResponseHead,
) -> Option<String> {
    let held = held.filter(|_| matches!(principal, Principal::User))?;
    if !head.is_ok() {
        return Some(format!("the server answered {} to what is missing", head.status));
    }
    is_web_page_instead(held, head).then(|| {
        let host = head.url().and_then(url::Url::host_str).unwrap_or_default();
        format!("{host} answered with a web page instead of what is missing, perhaps to log in")
    })
}

/// Whether `head` is a web page and the stored bytes are not. Captive portals and log-in forms
/// answer this way, after a redirect or in the server's name.
fn is_web_page_instead(held: &ResponseHead, head: &ResponseHead) -> bool {
    let is_html = |head: &ResponseHead| {
        let content_type = head.headers.get("content-type").unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("text/html")
    };
    is_html(head) && !is_html(held)
}

fn not_the_part() -> Verdict {
    Verdict::Unusable(String::from("the partial response is not the part that was requested"))
}

/// Why a response with this head replaces the bytes that an attempt with `resume` was to continue,
/// or none if it is the same representation, sent whole.
pub(crate) fn reason_to_replace(
    resume: &Resume,
    held: Option<&ResponseHead>,
    head: &ResponseHead,
) -> Option<RestartReason> {
    let moved = held.and_then(|held| is_same_source(held, head, head.complete_length()).err());
    match strong_validator(head) {
        _ if moved.is_some() => moved.map(RestartReason::from),
        Some(validator) if validator == resume.if_range => None,
        None => Some(RestartReason::NoValidator),
        Some(_) => Some(RestartReason::Changed),
    }
}

/// D9: the page itself requested a range, so the matching part is the complete response.
fn own_range(request: &Request, head: &ResponseHead) -> Verdict {
    let asked = request.headers.get("range");
    let first = asked.as_deref().and_then(first_of_single_range);
    match extract_content_range_values(&head.headers) {
        Some(range) if first.is_none_or(|first| first == range.first) => {
            Verdict::Replace(Some(range))
        }
        _ => not_the_part(),
    }
}

/// The first position of `bytes=first-…`; none for a suffix or a list, whose response can't be
/// judged from the request alone.
fn first_of_single_range(range: &str) -> Option<u64> {
    let (first, rest) = range.trim().strip_prefix("bytes=")?.split_once('-')?;
    (!rest.contains(',')).then(|| first.trim().parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header_list::HeaderList;
    use crate::policy::PolicySnapshot;
    use crate::source::Source;
    use crate::vary::HashKey;
    use alloc::sync::Arc;

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
            selecting_headers: None,
        }
    }

    fn resume_of(held: &ResponseHead) -> Resume {
        let source = Source::new(Arc::new(held.clone()), HashKey::default());
        Resume { start: 5, if_range: "\"a\"".into(), source }
    }

    fn resumed(status: u16, headers: &[(&str, &str)]) -> Verdict {
        let stored = head(200, &[("ETag", "\"a\"")]);
        let resume = resume_of(&stored);
        process_response(
            &get(),
            &page(),
            Some(&resume),
            Some(&stored),
            &head(status, headers),
            true,
        )
    }

    fn page() -> Principal {
        Principal::Page(PolicySnapshot::of(&"https://a.test/".parse().unwrap()))
    }

    fn restart(reason: RestartReason) -> Verdict {
        Verdict::Restart(reason)
    }

    #[test]
    fn a_resume_appends_restarts_replaces_completes_or_waits() {
        let range = ContentRange { first: 5, last: 9, complete_length: Some(10) };
        let part = ("Content-Range", "bytes 5-9/10");
        let tag = ("ETag", "\"a\"");
        assert_eq!(resumed(206, &[part, tag]), Verdict::Append(range));
        let other_bytes = resumed(206, &[("Content-Range", "bytes 4-9/10"), tag]);
        assert_eq!(other_bytes, restart(RestartReason::OtherBytes));
        let other_tag = resumed(206, &[part, ("ETag", "\"b\"")]);
        assert_eq!(other_tag, restart(RestartReason::Changed));
        assert_eq!(resumed(200, &[]), Verdict::Replace(None));
        assert_eq!(resumed(416, &[("Content-Range", "bytes */5")]), Verdict::Complete);
        let shorter = resumed(416, &[("Content-Range", "bytes */4")]);
        assert_eq!(shorter, restart(RestartReason::Changed));
        for status in [408, 425, 429, 500, 503, 599] {
            assert_eq!(resumed(status, &[]), Verdict::ServerError, "{status}");
        }
        for status in [300, 304, 400, 401, 403, 404, 410, 412, 416, 421] {
            assert_eq!(resumed(status, &[]), restart(RestartReason::Refused), "{status}");
        }
    }

    #[test]
    fn what_the_user_holds_is_replaced_by_no_error_and_no_portal() {
        let held = head(200, &[("Content-Type", "application/zip")]);
        let page_held = head(200, &[("Content-Type", "text/html")]);
        let elsewhere = |content_type| {
            let mut head = head(200, &[("Content-Type", content_type)]);
            head.url_list.push("https://portal.test/login".parse().unwrap());
            head
        };
        let judged = |principal: &Principal, held: Option<&ResponseHead>, head: &ResponseHead| {
            process_response(&get(), principal, None, held, head, true)
        };
        let unusable = |verdict| matches!(verdict, Verdict::Unusable(_));
        let (user, page) = (Principal::User, page());
        let html = elsewhere("Text/HTML; charset=utf-8");
        let own_html = head(200, &[("Content-Type", "text/html")]);
        for answer in [&html, &own_html, &head(403, &[]), &head(404, &[])] {
            assert!(unusable(judged(&user, Some(&held), answer)), "{answer:?}");
            assert_eq!(judged(&user, None, answer), Verdict::Replace(None));
            assert_eq!(judged(&page, Some(&held), answer), Verdict::Replace(None));
        }
        assert_eq!(judged(&user, Some(&page_held), &html), Verdict::Replace(None));
        let other = elsewhere("application/zip");
        assert_eq!(judged(&user, Some(&held), &other), Verdict::Replace(None));
    }

    #[test]
    fn a_whole_answer_to_a_resume_says_why_it_replaces() {
        let held = head(200, &[("ETag", "\"a\"")]);
        let resume = resume_of(&held);
        let reason = |head: &ResponseHead| reason_to_replace(&resume, Some(&held), head);
        assert_eq!(reason(&held), None);
        assert_eq!(reason(&head(200, &[])), Some(RestartReason::NoValidator));
        let mut other = head(200, &[("ETag", "\"b\"")]);
        assert_eq!(reason(&other), Some(RestartReason::Changed));
        other.url_list.push("https://b.test/".parse().unwrap());
        assert_eq!(reason(&other), Some(RestartReason::OtherSource));
    }

    #[test]
    fn a_first_request_takes_any_response_but_a_part_from_the_middle() {
        let first = |head: &ResponseHead| process_response(&get(), &page(), None, None, head, true);
        assert_eq!(first(&head(200, &[])), Verdict::Replace(None));
        assert_eq!(first(&head(416, &[])), Verdict::Replace(None));
        let range = ContentRange { first: 0, last: 4, complete_length: None };
        assert_eq!(
            first(&head(206, &[("Content-Range", "bytes 0-4/*")])),
            Verdict::Replace(Some(range))
        );
        assert_eq!(first(&head(206, &[("Content-Range", "bytes 1-4/*")])), not_the_part());
        assert_eq!(first(&head(206, &[])), not_the_part());
    }

    #[test]
    fn the_pages_own_range_is_answered_by_the_part_it_asked_for() {
        let mut request = get();
        request.headers.append("Range", "bytes=5-9");
        let answer = |value| {
            let head = head(206, &[("Content-Range", value)]);
            process_response(&request, &page(), None, None, &head, true)
        };
        assert!(matches!(answer("bytes 5-9/100"), Verdict::Replace(Some(_))));
        assert_eq!(answer("bytes 0-9/100"), not_the_part());
    }

    #[test]
    fn a_server_error_to_an_upload_is_its_answer() {
        let mut post = get();
        post.method = "POST".into();
        for status in [408, 425, 503] {
            let verdict = process_response(&post, &page(), None, None, &head(status, &[]), true);
            assert_eq!(verdict, Verdict::Replace(None));
        }
    }
}
