//! Checks that apply to every URL, whoever requests it: the first one and that of every redirect.

use bgfetch_model::bad_port::is_bad_port;
use thiserror::Error;
use url::Url;

/// Why a URL must not be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadTarget {
    /// The scheme is not an [HTTP(S) scheme](https://fetch.spec.whatwg.org/#http-scheme).
    #[error("the URL's scheme is not http or https")]
    Scheme,
    /// The URL [includes credentials](https://url.spec.whatwg.org/#include-credentials).
    #[error("the URL includes credentials")]
    Credentials,
    /// The port is a [bad port](https://fetch.spec.whatwg.org/#bad-port).
    #[error("port {0} is blocked")]
    Port(u16),
}

/// Checks `url` against the rules for every background fetch.
///
/// # Errors
/// The first rule that is violated, in the order of [`BadTarget`].
pub fn check(url: &Url) -> Result<(), BadTarget> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(BadTarget::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BadTarget::Credentials);
    }
    match url.port() {
        Some(port) if is_bad_port(port) => Err(BadTarget::Port(port)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_refuses_and_the_rest_passes() {
        for (url, expected) in [
            ("http://example.test/", Ok(())),
            ("https://example.test:8443/a?b#c", Ok(())),
            ("ftp://example.test/", Err(BadTarget::Scheme)),
            ("data:text/plain,x", Err(BadTarget::Scheme)),
            ("http://user@example.test/", Err(BadTarget::Credentials)),
            ("http://:secret@example.test/", Err(BadTarget::Credentials)),
            ("http://example.test:6667/", Err(BadTarget::Port(6667))),
            ("https://example.test:0/", Err(BadTarget::Port(0))),
        ] {
            assert_eq!(check(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }
}
