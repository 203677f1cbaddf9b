//! Fetch's [HTTP-redirect fetch](https://fetch.spec.whatwg.org/#http-redirect-fetch) as a pure
//! function from a response to the next step.

use bgfetch_model::dangling_markup::is_potentially_dangling_markup;
use bgfetch_model::request::RedirectMode;
use thiserror::Error;

use super::Hop;
use super::target::{self, BadTarget};

/// How many redirects are followed before the fetch fails.
pub const MAX_REDIRECTS: usize = 20;

/// What follows a response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one for each hop, and moved but once")]
pub enum Next {
    /// It is the final response.
    Response,
    /// It is a redirect that the page wants to handle, as an
    /// [opaque-redirect filtered response](https://fetch.spec.whatwg.org/#concept-filtered-response-opaque-redirect).
    OpaqueRedirect,
    /// Another request follows.
    Follow(Hop),
}

/// Why a redirect fails a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadRedirect {
    /// The redirect mode is `error`.
    #[error("the server sent a redirect, and the request does not allow redirects")]
    Forbidden,
    /// More than [`MAX_REDIRECTS`].
    #[error("more than {MAX_REDIRECTS} redirects")]
    TooMany,
    /// `Location` is not a URL.
    #[error("the redirect's Location is not a valid URL")]
    Location,
    /// The redirect leads to a URL that must not be fetched.
    #[error("bad redirect: {0}")]
    Target(#[from] BadTarget),
}

/// Determines what follows the response to `hop` with `status` and `location`.
///
/// # Errors
/// If the redirect must not be followed. The fetch is then a network error.
pub fn next(
    hop: &Hop,
    mode: RedirectMode,
    status: u16,
    location: Option<&str>,
) -> Result<Next, BadRedirect> {
    if !is_redirect_status(status) {
        return Ok(Next::Response);
    }
    match mode {
        RedirectMode::Error => return Err(BadRedirect::Forbidden),
        RedirectMode::Manual => return Ok(Next::OpaqueRedirect),
        RedirectMode::Follow => {}
    }
    // A redirect status without `Location` is an ordinary response.
    let Some(location) = location else {
        return Ok(Next::Response);
    };
    let mut url = hop.url.join(location).map_err(|_| BadRedirect::Location)?;
    // If the location has no fragment, that of the request's URL is kept.
    if url.fragment().is_none() {
        url.set_fragment(hop.url.fragment());
    }
    // DEVIATION(D14): Fetch lets a same-origin redirect carry credentials. A background fetch refuses
    // them in its URL, and its redirects are held to the same rule.
    target::check(&url)?;
    if hop.redirect_count() >= MAX_REDIRECTS {
        return Err(BadRedirect::TooMany);
    }
    let mut next = hop.clone();
    next.dangling_markup = is_potentially_dangling_markup(location);
    next.before.push(std::mem::replace(&mut next.url, url));
    if becomes_get(status, &hop.method) {
        next.method = String::from("GET");
        next.sends_body = false;
        for name in REQUEST_BODY_HEADERS {
            next.headers.delete(name);
        }
    }
    // Credentials for one origin are not sent to another. Pages cannot set `Cookie`, but the user
    // can.
    if next.url.origin() != hop.url.origin() {
        next.headers.delete("authorization");
        next.headers.delete("cookie");
    }
    Ok(Next::Follow(next))
}

/// Fetch's [request-body-header names](https://fetch.spec.whatwg.org/#request-body-header-name).
const REQUEST_BODY_HEADERS: [&str; 4] =
    ["content-encoding", "content-language", "content-location", "content-type"];

/// Fetch's [redirect status](https://fetch.spec.whatwg.org/#redirect-status).
const fn is_redirect_status(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

fn becomes_get(status: u16, method: &str) -> bool {
    match status {
        301 | 302 => method == "POST",
        303 => method != "GET" && method != "HEAD",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bgfetch_model::request::Request;

    fn hop(method: &str) -> Hop {
        let mut request = Request::get("https://a.test/dir/file?q#top".parse().unwrap());
        request.method = method.into();
        request.headers = [("Authorization", "secret"), ("Content-Type", "x/y"), ("X", "1")]
            .into_iter()
            .collect();
        request.body_length = (method != "GET").then_some(1);
        Hop::first(&request)
    }

    fn follow(hop: &Hop, status: u16, location: &str) -> Result<Next, BadRedirect> {
        next(hop, RedirectMode::Follow, status, Some(location))
    }

    fn followed(hop: &Hop, status: u16, location: &str) -> Hop {
        match follow(hop, status, location) {
            Ok(Next::Follow(next)) => next,
            other => panic!("not followed: {other:?}"),
        }
    }

    #[test]
    fn only_redirect_statuses_with_a_location_redirect() {
        for status in [200, 206, 300, 304, 305, 306, 309, 404] {
            assert_eq!(follow(&hop("GET"), status, "/x"), Ok(Next::Response), "{status}");
        }
        for status in [301, 302, 303, 307, 308] {
            assert_eq!(followed(&hop("GET"), status, "/x").method, "GET");
            let without = next(&hop("GET"), RedirectMode::Follow, status, None);
            assert_eq!(without, Ok(Next::Response), "{status}");
        }
    }

    #[test]
    fn the_mode_comes_before_everything_else() {
        let run = |mode| next(&hop("GET"), mode, 302, Some("ftp://b.test/"));
        assert_eq!(run(RedirectMode::Error), Err(BadRedirect::Forbidden));
        assert_eq!(run(RedirectMode::Manual), Ok(Next::OpaqueRedirect));
    }

    #[test]
    fn the_twenty_first_redirect_fails() {
        let run = |n| {
            let mut hop = hop("GET");
            hop.before = vec![hop.url.clone(); n];
            follow(&hop, 302, "/x")
        };
        assert!(run(MAX_REDIRECTS - 1).is_ok());
        assert_eq!(run(MAX_REDIRECTS), Err(BadRedirect::TooMany));
    }

    #[test]
    fn methods_are_rewritten_as_the_table_in_fetch_says() {
        for (status, method, expected) in [
            (301, "POST", "GET"),
            (302, "POST", "GET"),
            (303, "POST", "GET"),
            (301, "PUT", "PUT"),
            (302, "PUT", "PUT"),
            (303, "PUT", "GET"),
            (303, "HEAD", "HEAD"),
            (307, "POST", "POST"),
            (308, "POST", "POST"),
        ] {
            let next = followed(&hop(method), status, "/x");
            assert_eq!(next.method, expected, "{status} {method}");
            let rewritten = method != expected;
            assert_eq!(next.sends_body, !rewritten);
            assert_eq!(next.headers.contains("content-type"), !rewritten);
            assert!(next.headers.contains("x"));
        }
    }

    #[test]
    fn authorization_stays_within_the_origin() {
        assert!(followed(&hop("GET"), 302, "/x").headers.contains("authorization"));
        for elsewhere in ["https://b.test/", "http://a.test/", "https://a.test:8443/"] {
            let next = followed(&hop("GET"), 302, elsewhere);
            assert!(!next.headers.contains("authorization"), "{elsewhere}");
        }
    }

    #[test]
    fn locations_are_relative_and_inherit_the_fragment() {
        for (location, url) in [
            ("other", "https://a.test/dir/other#top"),
            ("/other#mine", "https://a.test/other#mine"),
            ("//b.test", "https://b.test/#top"),
            ("", "https://a.test/dir/file?q#top"),
        ] {
            assert_eq!(followed(&hop("GET"), 302, location).url.as_str(), url);
        }
    }

    #[test]
    fn a_redirect_to_nowhere_good_fails() {
        for (location, expected) in [
            ("http://", BadRedirect::Location),
            ("data:,x", BadRedirect::Target(BadTarget::Scheme)),
            ("https://u:p@a.test/", BadRedirect::Target(BadTarget::Credentials)),
            ("https://a.test:25/", BadRedirect::Target(BadTarget::Port(25))),
        ] {
            assert_eq!(follow(&hop("GET"), 302, location), Err(expected), "{location}");
        }
    }
}
