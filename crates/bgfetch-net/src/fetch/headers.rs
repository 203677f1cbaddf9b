//! The headers of messages, and conversions between Fetch's header lists and HTTP's.

use bgfetch_model::header_list::HeaderList;
use bgfetch_model::policy::Principal;
use http::Method;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, COOKIE, HeaderMap, HeaderName, HeaderValue, IF_RANGE,
    LOCATION, ORIGIN, RANGE, SET_COOKIE, USER_AGENT,
};
use percent_encoding::AsciiSet;
use thiserror::Error;

use super::cors::preflight::Preflight;
use super::{Hop, cache_mode, fetch_metadata, origin_header, referrer};
use crate::fetcher::FetchRequest;

const BEYOND_ASCII: &AsciiSet = &AsciiSet::EMPTY;
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// The headers of the connection. Fetch forbids them to pages. If an embedder lets one through, it
/// must not contradict the actual framing of the message.
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Why a request cannot be written as HTTP.
#[derive(Debug, Error)]
pub(super) enum BadRequest {
    #[error("not an HTTP method")]
    Method(#[from] http::method::InvalidMethod),
    #[error("the header {0:?} cannot be sent over HTTP")]
    Header(String),
    #[error("the request's body is missing")]
    Body,
}

/// The method of a message.
pub(super) fn method(name: &str) -> Result<Method, BadRequest> {
    Ok(Method::from_bytes(name.as_bytes())?)
}

/// The headers of the preflight for `hop`.
pub(super) fn preflight_headers(
    preflight: &Preflight,
    hop: &Hop,
    fetch: &FetchRequest,
    user_agent: &str,
) -> Result<HeaderMap, BadRequest> {
    let mut headers = to_map(&preflight.headers())?;
    append_client_headers(&mut headers, hop, fetch, user_agent)?;
    Ok(headers)
}

/// Adds the headers that tell the server who is asking. Preflights have them too.
fn append_client_headers(
    headers: &mut HeaderMap,
    hop: &Hop,
    fetch: &FetchRequest,
    user_agent: &str,
) -> Result<(), BadRequest> {
    if let Some(origin) = origin_header::value(hop, fetch.request.mode, &fetch.principal) {
        headers.insert(ORIGIN, header_value("origin", &origin)?);
    }
    let metadata = |policies| fetch_metadata::headers(policies, &fetch.request, hop);
    let metadata = fetch.principal.policies().map(metadata).into_iter().flatten();
    insert_all(headers, referrer::header(hop).into_iter().chain(metadata))?;
    if !headers.contains_key(USER_AGENT) {
        headers.insert(USER_AGENT, header_value("user-agent", user_agent)?);
    }
    Ok(())
}

/// The headers of the request for `hop`, except for cookies, the range of a resume, and the
/// codings that the transport undoes.
pub(super) fn request_headers(
    hop: &Hop,
    fetch: &FetchRequest,
    user_agent: &str,
) -> Result<HeaderMap, BadRequest> {
    let mut headers = to_map(&hop.headers)?;
    // Fetch forbids `Cookie` to pages; their cookies come from the store.
    if fetch.principal.policies().is_some() {
        headers.remove(COOKIE);
    }
    append_client_headers(&mut headers, hop, fetch, user_agent)?;
    insert_all(&mut headers, cache_mode::headers(&fetch.request, hop))?;
    // Fetch requires this for a null body. For other bodies, hyper writes the length.
    if !hop.sends_body && matches!(hop.method.as_str(), "POST" | "PUT") {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    if !accepts_codings(hop, fetch) {
        headers.insert(ACCEPT_ENCODING, IDENTITY);
    }
    Ok(headers)
}

/// Whether the response may be coded. The user wants the file as it is; for a page, the coding makes
/// no difference. A range of the page's own is sent unchanged, and a part of a coded response could
/// not be decoded.
pub(super) fn accepts_codings(hop: &Hop, fetch: &FetchRequest) -> bool {
    let for_user = matches!(*fetch.principal, Principal::User);
    let wants_part = fetch.resume.is_some() || hop.headers.contains("range");
    !(for_user || fetch.identity || wants_part)
}

fn insert_all<'a>(
    headers: &mut HeaderMap,
    added: impl IntoIterator<Item = (&'static str, &'a str)>,
) -> Result<(), BadRequest> {
    for (name, value) in added {
        headers.insert(HeaderName::from_static(name), header_value(name, value)?);
    }
    Ok(())
}

/// Adds the cookies of the store. A request of the user that has a `Cookie` header keeps it.
pub(super) fn add_cookies(headers: &mut HeaderMap, cookies: Option<HeaderValue>) {
    if !headers.contains_key(COOKIE)
        && let Some(mut value) = cookies
    {
        // Marked as sensitive: HTTP/2 keeps it out of the compression table, and logs do not show
        // it.
        value.set_sensitive(true);
        headers.insert(COOKIE, value);
    }
}

/// Asks only for the missing bytes, if this request may: whether it does can depend on its URL and
/// on all its other headers.
pub(super) fn add_range(
    headers: &mut HeaderMap,
    fetch: &FetchRequest,
    hop: &Hop,
) -> Result<(), BadRequest> {
    if let Some(resume) = &fetch.resume
        && !headers.contains_key(RANGE)
    {
        headers.insert(RANGE, header_value("range", &format!("bytes={}-", resume.start))?);
        headers.insert(IF_RANGE, header_value("if-range", &resume.if_range)?);
        if !resume.source.may_continue(&hop.url, &to_list(headers)) {
            headers.remove(RANGE);
            headers.remove(IF_RANGE);
        }
    }
    Ok(())
}

/// The name of the first cookie that a response sets.
pub(super) fn first_cookie_name(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(SET_COOKIE)?.as_bytes();
    let name = value.split(|byte| matches!(byte, b'=' | b';')).next()?;
    Some(isomorphic_decode(name.trim_ascii()))
}

/// The headers of a list, without those of the connection.
fn to_map(list: &HeaderList) -> Result<HeaderMap, BadRequest> {
    let mut headers = HeaderMap::with_capacity(list.len() + 5);
    for (name, value) in list.iter() {
        if FRAMING.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            continue;
        }
        let key =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| BadRequest::Header(name.into()))?;
        headers.append(key, header_value(name, value)?);
    }
    Ok(headers)
}

/// [Isomorphic encoding](https://infra.spec.whatwg.org/#isomorphic-encode) into the value of the
/// header `name`.
fn header_value(name: &str, value: &str) -> Result<HeaderValue, BadRequest> {
    let bytes: Option<Vec<u8>> = value.chars().map(|char| u8::try_from(char).ok()).collect();
    bytes
        .and_then(|bytes| HeaderValue::from_bytes(&bytes).ok())
        .ok_or_else(|| BadRequest::Header(name.into()))
}

/// [Isomorphic decoding](https://infra.spec.whatwg.org/#isomorphic-decode) .
pub(crate) fn isomorphic_decode(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// The header list of a response.
pub(crate) fn to_list(headers: &HeaderMap) -> HeaderList {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), isomorphic_decode(value.as_bytes())))
        .collect()
}

/// The value of `Location`, decoded as UTF-8 as browsers do. If it is not UTF-8, each non-ASCII
/// byte is percent-encoded. Two different values are not a URL.
pub(super) fn location(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(LOCATION).iter();
    let first = values.next()?;
    // DEVIATION(D30): in Fetch, two equal values are not a URL either; engines follow them.
    if values.any(|other| other != first) {
        // This does not parse as a URL, so the redirect fails as for an invalid URL.
        return Some(String::from("http://"));
    }
    // DEVIATION(D35): Fetch decodes isomorphically, which would encode such a byte as two bytes.
    Some(match std::str::from_utf8(first.as_bytes()) {
        Ok(location) => location.to_owned(),
        Err(_) => percent_encoding::percent_encode(first.as_bytes(), BEYOND_ASCII).to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use bgfetch_model::attempt::{AttemptSpec, Resume};
    use bgfetch_model::ids::StorageKey;
    use bgfetch_model::policy::PolicySnapshot;
    use bgfetch_model::response::ResponseHead;
    use bgfetch_model::source::Source;
    use bgfetch_model::vary::HashKey;
    use url::{Position, Url};

    fn headers_of(list: &[(&str, &str)], spec: AttemptSpec) -> Result<HeaderMap, BadRequest> {
        let page = PolicySnapshot::of(&Url::parse("http://a.test/").unwrap());
        headers_for(Principal::Page(page), list, spec)
    }

    fn headers_for(
        principal: Principal,
        list: &[(&str, &str)],
        spec: AttemptSpec,
    ) -> Result<HeaderMap, BadRequest> {
        let url = Url::parse("http://a.test/x?y#z").unwrap();
        let mut request = bgfetch_model::request::Request::get(url);
        request.headers = list.iter().copied().collect();
        let key = StorageKey("a".into());
        let fetch = FetchRequest::new(key, Arc::new(principal), Arc::new(request), spec, None);
        let hop = Hop::first(&fetch.request);
        let mut headers = super::request_headers(&hop, &fetch, "agent")?;
        super::add_range(&mut headers, &fetch, &hop)?;
        Ok(headers)
    }

    fn resume() -> AttemptSpec {
        let head =
            ResponseHead::new(200, vec![Url::parse("http://a.test/x?y").unwrap()]).with(|it| {
                it.headers = HeaderList::from_iter([("ETag", "\"v1\"")]);
                it.selecting_headers = Some(Default::default());
            });
        let source = Source::new(Arc::new(head), HashKey::default());
        let resume = Resume::new(7, "\"v1\"", source);
        AttemptSpec { resume: Some(resume), identity: false }
    }

    #[test]
    fn a_plain_request_leaves_codings_to_the_transport_and_a_resume_asks_for_identity() {
        let plain = headers_of(&[], AttemptSpec::default()).unwrap();
        assert!(!plain.contains_key("accept-encoding"));
        assert_eq!(plain["accept"], "*/*");
        assert_eq!(plain["user-agent"], "agent");
        assert!(!plain.contains_key("range"));
        let resumed = headers_of(&[], resume()).unwrap();
        assert_eq!(resumed["accept-encoding"], "identity");
        assert_eq!(resumed["range"], "bytes=7-");
        assert_eq!(resumed["if-range"], "\"v1\"");
        let users = headers_for(Principal::User, &[], AttemptSpec::default()).unwrap();
        assert_eq!(users["accept-encoding"], "identity");
    }

    #[test]
    fn the_pages_range_and_headers_win() {
        let own = headers_of(
            &[("Range", "bytes=0-9"), ("Accept", "a/b"), ("User-Agent", "me")],
            resume(),
        )
        .unwrap();
        assert_eq!(own["range"], "bytes=0-9");
        assert!(!own.contains_key("if-range"));
        assert_eq!(own["accept-encoding"], "identity");
        assert_eq!(own["accept"], "a/b");
        assert_eq!(own["user-agent"], "me");
    }

    #[test]
    fn values_are_bytes_and_framing_is_not_the_pages() {
        let list = [("X", "caf\u{e9}"), ("Content-Length", "9"), ("Host", "b.test")];
        let headers = headers_of(&list, AttemptSpec::default()).unwrap();
        assert_eq!(headers["x"].as_bytes(), b"caf\xe9");
        assert_eq!(to_list(&headers).get("x").as_deref(), Some("caf\u{e9}"));
        assert!(!headers.contains_key("content-length") && !headers.contains_key("host"));
        for bad in [("X", "a\nb"), ("X", "\u{100}"), ("a b", "x")] {
            assert!(headers_of(&[bad], AttemptSpec::default()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_location_that_is_not_utf8_keeps_its_bytes() {
        let base = Url::parse("http://a.test/").unwrap();
        for (value, path) in [
            (&b"/d/b\xfcro.pdf"[..], "/d/b%FCro.pdf"),
            ("/b\u{fc}ro".as_bytes(), "/b%C3%BCro"),
            (b"/\xff?\x80 x", "/%FF?%80%20x"),
            (b"/%fc", "/%fc"),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(LOCATION, HeaderValue::from_bytes(value).unwrap());
            let url = base.join(&location(&headers).unwrap()).unwrap();
            assert_eq!(&url[Position::BeforePath..], path);
        }
    }

    #[test]
    fn cookies_are_named() {
        let mut headers = HeaderMap::new();
        assert_eq!(first_cookie_name(&headers), None);
        headers.append(SET_COOKIE, HeaderValue::from_static(" early =1; path=/"));
        assert_eq!(first_cookie_name(&headers).as_deref(), Some("early"));
    }

    #[test]
    fn two_different_locations_are_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(location(&headers), None);
        headers.append(LOCATION, HeaderValue::from_static("/a"));
        headers.append(LOCATION, HeaderValue::from_static("/a"));
        assert_eq!(location(&headers).as_deref(), Some("/a"));
        headers.append(LOCATION, HeaderValue::from_static("/b"));
        let invalid = location(&headers).unwrap();
        assert!(Url::parse("http://a.test/").unwrap().join(&invalid).is_err());
    }
}
