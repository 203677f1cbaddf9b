//! Where stored bytes came from: which requests may ask for the bytes that are missing, and which
//! responses may deliver them.

use alloc::sync::Arc;
use url::{Position, Url};

use crate::algorithms::validate_a_partial_response::InvalidPart;
use crate::header_list::HeaderList;
use crate::response::ResponseHead;
use crate::validator::has_strong_entity_tag;
use crate::vary::{HashKey, SelectingHeaders, is_selected_alike};

/// The response that stored bytes belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    head: Arc<ResponseHead>,
    key: HashKey,
}

impl Source {
    /// The source of the bytes of `head`, whose selecting headers were hashed with `key`.
    #[must_use]
    pub const fn new(head: Arc<ResponseHead>, key: HashKey) -> Self {
        Self { head, key }
    }

    /// Whether a request for `url` with these headers may ask for the missing bytes: whether the
    /// response could be joined to the stored bytes, as far as that is known beforehand. A request
    /// that may not must be sent without `Range`, so that its response can be used.
    #[must_use]
    pub fn may_continue(&self, url: &Url, headers: &HeaderList) -> bool {
        let held = &*self.head;
        let selecting = SelectingHeaders::of(&self.key, headers, &held.headers);
        url_change(held, url, held.complete_length()).is_ok()
            && is_selected_alike(held, Some(&selecting), &HeaderList::default())
    }
}

/// Checks that `head` is from where the bytes of `held` came from, and for the same user.
/// `length` is the complete length that it tells.
pub(crate) fn is_same_source(
    held: &ResponseHead,
    head: &ResponseHead,
    length: Option<u64>,
) -> Result<(), InvalidPart> {
    // DEVIATION(D4): the spec does not check where the parts came from; here bytes of two origins,
    // or of a response that CORS approved and one that it did not, are never joined.
    if held.response_type != head.response_type {
        return Err(InvalidPart::OtherSource);
    }
    url_change(held, head.url().ok_or(InvalidPart::OtherSource)?, length)?;
    if is_selected_alike(held, head.selecting_headers.as_ref(), &head.headers) {
        Ok(())
    } else {
        Err(InvalidPart::OtherRequest)
    }
}

/// Checks that a response from `url`, of this complete length, may continue `held`.
///
/// Validators are those of one URL: two resources may well have the same. But where only the query
/// differs the two URLs may be one file behind two signatures, as from a redirect to a CDN. Then an
/// entity tag and the length together have to identify it.
fn url_change(held: &ResponseHead, url: &Url, length: Option<u64>) -> Result<(), InvalidPart> {
    let before = held.url().ok_or(InvalidPart::OtherSource)?;
    if before.origin() != url.origin() {
        return Err(InvalidPart::OtherSource);
    }
    let is_same = before[..Position::AfterQuery] == url[..Position::AfterQuery];
    let is_same_path = before.path() == url.path();
    let is_known = length.is_some() && length == held.complete_length();
    if is_same || is_same_path && is_known && has_strong_entity_tag(held) {
        Ok(())
    } else {
        Err(InvalidPart::OtherUrl)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;
    use crate::vary::SelectingHeaders;

    fn head(url: &str, headers: &[(&str, &str)]) -> ResponseHead {
        ResponseHead {
            status: 200,
            status_text: String::new(),
            headers: headers.iter().copied().collect(),
            url_list: alloc::vec!["https://a.test/".parse().unwrap(), url.parse().unwrap()],
            response_type: Default::default(),
            cors_exposed_header_names: alloc::vec![],
            selecting_headers: Some(SelectingHeaders::default()),
        }
    }

    #[test]
    fn another_url_continues_only_a_signed_one_with_tag_and_length() {
        let signed = "https://cdn.test/film?sig=1#x";
        let tag = ("ETag", "\"1\"");
        let weak = ("ETag", "W/\"1\"");
        let length = ("Content-Length", "9");
        let date = ("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT");
        let (ok, other_url) = (Ok(()), Err(InvalidPart::OtherUrl));
        for (url, headers, length, expected) in [
            ("https://cdn.test/film?sig=1", &[date][..], None, ok),
            ("https://cdn.test/film?sig=2", &[tag, length], Some(9), ok),
            ("https://cdn.test/film", &[tag, length], Some(9), ok),
            ("https://cdn.test/film?sig=2", &[tag, length], Some(8), other_url),
            ("https://cdn.test/film?sig=2", &[tag, length], None, other_url),
            ("https://cdn.test/film?sig=2", &[tag], Some(9), other_url),
            ("https://cdn.test/film?sig=2", &[weak, length], Some(9), other_url),
            ("https://cdn.test/film?sig=2", &[date, length], Some(9), other_url),
            ("https://cdn.test/Film?sig=1", &[tag, length], Some(9), other_url),
            ("http://cdn.test/film?sig=1", &[tag, length], Some(9), Err(InvalidPart::OtherSource)),
        ] {
            let held = head(signed, headers);
            let found = is_same_source(&held, &head(url, headers), length);
            assert_eq!(found, expected, "{url} {headers:?} {length:?}");
            // What is requested is not known better.
            let source = Source::new(Arc::new(held), HashKey::default());
            let asked = source.may_continue(&url.parse().unwrap(), &HeaderList::default());
            assert!(asked || found.is_err(), "{url} {headers:?}");
        }
    }

    #[test]
    fn nothing_is_asked_of_a_redirect_or_for_another_user() {
        let vary = [("ETag", "\"1\""), ("Vary", "Cookie")];
        let source = |headers| {
            Source::new(Arc::new(head("https://cdn.test/film", headers)), HashKey::default())
        };
        let asks = |headers, url: &str, sent: &[(&str, &str)]| {
            source(headers).may_continue(&url.parse().unwrap(), &sent.iter().copied().collect())
        };
        assert!(asks(&vary, "https://cdn.test/film", &[]));
        assert!(!asks(&vary, "https://a.test/", &[]));
        assert!(!asks(&vary, "https://cdn.test/film", &[("Cookie", "b")]));
        assert!(asks(&vary[..1], "https://cdn.test/film", &[("Cookie", "b")]));
    }
}
