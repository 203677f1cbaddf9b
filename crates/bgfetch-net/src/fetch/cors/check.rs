//! The [CORS check](https://fetch.spec.whatwg.org/#cors-check).

use bgfetch_model::header_list::HeaderList;
use bgfetch_model::request::CredentialsMode;

use thiserror::Error;

use crate::fetch::header_values::Malformed;

/// Why a server's response does not allow the request of a page.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadCors {
    /// `Access-Control-Allow-Origin` is missing.
    #[error("CORS: the response has no Access-Control-Allow-Origin")]
    NoOrigin,
    /// `Access-Control-Allow-Origin` names another origin.
    #[error("CORS: Access-Control-Allow-Origin does not name the page's origin")]
    OtherOrigin,
    /// The request's credentials mode is `include`, which the response does not allow.
    #[error("CORS: Access-Control-Allow-Credentials is not `true`")]
    Credentials,
    /// The preflight's response does not have an ok status.
    #[error("CORS: the preflight was answered with status {0}")]
    PreflightStatus(u16),
    /// A header of the preflight's response is malformed.
    #[error("CORS: {0}")]
    Malformed(#[from] Malformed),
    /// The preflight's response does not allow the method.
    #[error("CORS: the preflight does not allow the method {0}")]
    Method(String),
    /// The preflight's response does not allow the header.
    #[error("CORS: the preflight does not allow the header {0}")]
    Header(String),
}

/// Whether a response with `headers` may be shared with the page whose serialized origin is
/// `origin` (`null` if the redirect chain tainted it). Called for every response, including
/// redirects and preflights, before anything else in it is used.
///
/// # Errors
/// If it may not. The fetch is then a network error.
pub fn check(
    origin: &str,
    credentials: CredentialsMode,
    headers: &HeaderList,
) -> Result<(), BadCors> {
    // Steps 1 and 2, the header must be present. Two such headers combine to a value that is not an
    // origin.
    let allowed = headers.get("access-control-allow-origin").ok_or(BadCors::NoOrigin)?;
    let include = credentials == CredentialsMode::Include;
    // Step 3, a response to a request without credentials may be shared with all origins.
    if !include && allowed == "*" {
        return Ok(());
    }
    // Step 4, the origin must be equal, byte for byte.
    if allowed != origin {
        return Err(BadCors::OtherOrigin);
    }
    // Steps 5 to 8, credentials must be allowed too, by a case-sensitive `true`.
    if include && headers.get("access-control-allow-credentials").as_deref() != Some("true") {
        return Err(BadCors::Credentials);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use CredentialsMode::{Include, Omit, SameOrigin};

    const PAGE: &str = "https://page.test";

    fn run(credentials: CredentialsMode, values: &[&str], allow: &[&str]) -> Result<(), BadCors> {
        let origins = values.iter().map(|value| ("Access-Control-Allow-Origin", *value));
        let credits = allow.iter().map(|value| ("Access-Control-Allow-Credentials", *value));
        check(PAGE, credentials, &origins.chain(credits).collect())
    }

    #[test]
    fn without_credentials_a_star_or_the_exact_origin_will_do() {
        for mode in [Omit, SameOrigin] {
            assert_eq!(run(mode, &["*"], &[]), Ok(()));
            assert_eq!(run(mode, &[PAGE], &[]), Ok(()));
            assert_eq!(run(mode, &[PAGE], &["false"]), Ok(()));
            assert_eq!(run(mode, &[], &["true"]), Err(BadCors::NoOrigin));
            for other in [
                "",
                "null",
                "https://page.test/",
                "https://page.test:443",
                "http://page.test",
                "HTTPS://page.test",
                "https://other.test",
                "page.test",
                "**",
                "https://*.test",
                "*, *",
                "https://page.test, https://page.test",
                "https://page.test https://other.test",
            ] {
                assert_eq!(run(mode, &[other], &[]), Err(BadCors::OtherOrigin), "{other:?}");
            }
            assert_eq!(run(mode, &[PAGE, PAGE], &[]), Err(BadCors::OtherOrigin));
            assert_eq!(run(mode, &["*", "*"], &[]), Err(BadCors::OtherOrigin));
        }
    }

    #[test]
    fn with_credentials_a_star_is_nobody_and_a_second_yes_is_needed() {
        assert_eq!(run(Include, &["*"], &["true"]), Err(BadCors::OtherOrigin));
        assert_eq!(run(Include, &[PAGE], &["true"]), Ok(()));
        for no in [&[][..], &["false"], &["True"], &["TRUE"], &["*"], &[""], &["true", "true"]] {
            assert_eq!(run(Include, &[PAGE], no), Err(BadCors::Credentials), "{no:?}");
        }
    }

    #[test]
    fn null_stands_for_an_origin_that_serializes_so_and_for_no_other() {
        let headers: HeaderList = [("access-control-allow-origin", "null")].into_iter().collect();
        assert_eq!(check("null", Omit, &headers), Ok(()));
        assert_eq!(check(PAGE, Omit, &headers), Err(BadCors::OtherOrigin));
    }
}
