//! What a page may not set in a request: Fetch's [forbidden
//! methods](https://fetch.spec.whatwg.org/#forbidden-method) and [forbidden
//! request-headers](https://fetch.spec.whatwg.org/#forbidden-request-header).

use crate::header_list::HeaderList;

/// Names that only the user agent may set, sorted.
const NAMES: [&str; 22] = [
    "accept-charset",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "access-control-request-private-network",
    "connection",
    "content-length",
    "cookie",
    "cookie2",
    "date",
    "dnt",
    "expect",
    "host",
    "keep-alive",
    "origin",
    "referer",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Headers with which some servers replace the method.
const METHOD_OVERRIDES: [&str; 3] =
    ["x-http-method", "x-http-method-override", "x-method-override"];

/// Whether `method`, in any case, is `CONNECT`, `TRACE` or `TRACK`.
#[must_use]
pub fn is_forbidden_method(method: &str) -> bool {
    ["CONNECT", "TRACE", "TRACK"].iter().any(|forbidden| forbidden.eq_ignore_ascii_case(method))
}

/// Whether a page may not set the header.
#[must_use]
pub fn is_forbidden_request_header(name: &str, value: &str) -> bool {
    let is = |other: &&str| other.eq_ignore_ascii_case(name);
    let starts_with = |prefix: &str| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    NAMES.iter().any(is)
        || starts_with("proxy-")
        || starts_with("sec-")
        || (METHOD_OVERRIDES.iter().any(is) && split(value).any(is_forbidden_method))
}

/// Removes the headers that the header guard `request` rejects. The model does this for the
/// background fetches of pages; an embedder that makes other fetches for them calls it itself.
pub fn remove_forbidden_request_headers(headers: &mut HeaderList) {
    if headers.iter().any(|(name, value)| is_forbidden_request_header(name, value)) {
        *headers = headers
            .iter()
            .filter(|(name, value)| !is_forbidden_request_header(name, value))
            .collect();
    }
}

/// The members of a comma-separated value, as defined by [get, decode, and
/// split](https://fetch.spec.whatwg.org/#header-value-get-decode-and-split): commas in quoted
/// strings do not separate.
fn split(value: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let separates = move |char| {
        if escaped {
            escaped = false;
            return false;
        }
        match char {
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        char == ',' && !quoted
    };
    value.split(separates).map(|member| member.trim_matches(['\t', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_the_user_agent_are_forbidden_whatever_their_case() {
        for name in NAMES.into_iter().chain(["Sec-Fetch-Site", "PROXY-Authorization", "Sec-"]) {
            assert!(is_forbidden_request_header(name, ""), "{name}");
            assert!(is_forbidden_request_header(&name.to_uppercase(), "x"), "{name}");
        }
        for name in [
            "accept",
            "authorization",
            "range",
            "if-range",
            "user-agent",
            "sec",
            "proxy",
            "x-sec-a",
        ] {
            assert!(!is_forbidden_request_header(name, "x"), "{name}");
        }
    }

    #[test]
    fn a_method_override_is_forbidden_only_with_a_forbidden_method() {
        for (value, forbidden) in [
            ("TRACE", true),
            ("trace", true),
            ("GET, track ", true),
            ("GET,\tCONNECT", true),
            ("GET", false),
            ("TRACER", false),
            ("\"TRACE\"", false),
            ("\"a,TRACE\"", false),
            ("\"a\\\",TRACE\"", false),
            ("\"a,TRACE,b\"", false),
            ("\"a\\\",TRACE,b\"", false),
            ("a\\,TRACE", true),
            ("\"a\",TRACE", true),
            ("", false),
        ] {
            for name in METHOD_OVERRIDES {
                assert_eq!(is_forbidden_request_header(name, value), forbidden, "{value}");
            }
            assert!(!is_forbidden_request_header("x-method", value));
        }
    }

    #[test]
    fn three_methods_are_forbidden() {
        for method in ["CONNECT", "connect", "Trace", "TRACK"] {
            assert!(is_forbidden_method(method), "{method}");
        }
        for method in ["GET", "POST", "OPTIONS", "TRACKS", ""] {
            assert!(!is_forbidden_method(method), "{method}");
        }
    }

    #[test]
    fn the_rest_of_a_list_stays_in_order() {
        let mut list = HeaderList::from_iter([("A", "1"), ("Cookie", "x"), ("a", "2")]);
        remove_forbidden_request_headers(&mut list);
        assert_eq!(list, HeaderList::from_iter([("A", "1"), ("a", "2")]));
    }

    proptest! {
        #[test]
        fn case_does_not_matter(name in "(sec-|x-http-method)?[a-z,\"-]{0,9}", value in ".{0,24}") {
            let lower = is_forbidden_request_header(&name, &value);
            prop_assert_eq!(is_forbidden_request_header(&name.to_uppercase(), &value), lower);
            prop_assert!(lower || !name.starts_with("sec-"));
        }
    }
}
