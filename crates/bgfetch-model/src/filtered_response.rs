//! Fetch's [filtered responses](https://fetch.spec.whatwg.org/#concept-filtered-response): the part
//! of a response that scripts may see. The response itself stays complete, because resumes need
//! validators and ranges even if they are not exposed.

use alloc::string::String;
use alloc::vec::Vec;

use crate::header_list::HeaderList;
use crate::response::{ResponseHead, ResponseType};

/// The names of [CORS-safelisted
/// response-headers](https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name) that need
/// no approval.
const SAFELISTED: [&str; 7] = [
    "cache-control",
    "content-language",
    "content-length",
    "content-type",
    "expires",
    "last-modified",
    "pragma",
];

/// The [forbidden response-header
/// names](https://fetch.spec.whatwg.org/#forbidden-response-header-name), which no script ever
/// sees. Fetchers drop these headers once their cookie store has read them.
pub const FORBIDDEN_RESPONSE_HEADER_NAMES: [&str; 2] = ["set-cookie", "set-cookie2"];

fn is_forbidden(name: &str) -> bool {
    FORBIDDEN_RESPONSE_HEADER_NAMES.iter().any(|other| name.eq_ignore_ascii_case(other))
}

impl ResponseHead {
    /// This response as scripts may see it, depending on its type.
    #[must_use]
    pub fn filtered(&self) -> Self {
        let exposed: fn(&Self, &str) -> bool = match self.response_type {
            ResponseType::Default => return self.clone(),
            ResponseType::Basic => |_, name| !is_forbidden(name),
            ResponseType::Cors => Self::is_cors_safelisted,
            ResponseType::Opaque | ResponseType::OpaqueRedirect => |_, _| false,
        };
        let headers: HeaderList =
            self.headers.iter().filter(|(name, _)| exposed(self, name)).collect();
        let opaque =
            matches!(self.response_type, ResponseType::Opaque | ResponseType::OpaqueRedirect);
        let url_list = match self.response_type {
            ResponseType::Opaque => Vec::new(),
            _ => self.url_list.clone(),
        };
        Self {
            status: if opaque { 0 } else { self.status },
            status_text: if opaque { String::new() } else { self.status_text.clone() },
            headers,
            url_list,
            response_type: self.response_type,
            cors_exposed_header_names: Vec::new(),
            selecting_headers: None,
        }
    }

    /// [CORS-safelisted response-header name](https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name),
    /// by itself or because the server exposes it.
    fn is_cors_safelisted(&self, name: &str) -> bool {
        let is = |other: &&str| name.eq_ignore_ascii_case(other);
        SAFELISTED.iter().any(is)
            || (!is_forbidden(name)
                && self.cors_exposed_header_names.iter().any(|other| is(&other.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn names(response_type: ResponseType, exposed: &[&str]) -> Vec<alloc::string::String> {
        let names = [
            "Cache-Control",
            "Content-Language",
            "Content-Length",
            "CONTENT-TYPE",
            "Expires",
            "Last-Modified",
            "Pragma",
            "ETag",
            "X-A",
            "Set-Cookie",
            "set-cookie2",
        ];
        let head = ResponseHead {
            status: 203,
            status_text: "Non-Authoritative".into(),
            headers: names.iter().map(|name| (*name, "1")).collect(),
            url_list: vec!["https://a.test/".parse().unwrap()],
            response_type,
            cors_exposed_header_names: exposed.iter().map(|name| (*name).into()).collect(),
            selecting_headers: None,
        };
        let filtered = head.filtered();
        assert_eq!(filtered.response_type, response_type);
        let opaque = matches!(response_type, ResponseType::Opaque | ResponseType::OpaqueRedirect);
        let urls = if response_type == ResponseType::Opaque { 0 } else { 1 };
        assert_eq!(filtered.url_list, head.url_list[..urls]);
        assert_eq!(filtered.status, if opaque { 0 } else { 203 });
        assert_eq!(filtered.status_text, if opaque { "" } else { "Non-Authoritative" });
        filtered.headers.iter().map(|(name, _)| name.into()).collect()
    }

    #[test]
    fn each_type_hides_what_it_must() {
        assert_eq!(names(ResponseType::Default, &[]).len(), 11);
        let basic = names(ResponseType::Basic, &[]);
        assert_eq!(basic.len(), 9);
        assert!(!basic.iter().any(|name| name.to_lowercase().contains("cookie")));
        assert!(names(ResponseType::Opaque, &["etag"]).is_empty());
        assert!(names(ResponseType::OpaqueRedirect, &["etag"]).is_empty());
    }

    #[test]
    fn cors_shows_the_safelist_and_what_is_exposed_but_never_cookies() {
        let safe = names(ResponseType::Cors, &[]);
        assert_eq!(safe.len(), 7);
        assert_eq!(names(ResponseType::Cors, &["*"]), safe, "a name like any other");
        let more = names(ResponseType::Cors, &["etag", "X-a", "set-cookie", "Set-Cookie2", "x-b"]);
        assert_eq!(more[..7], safe[..]);
        assert_eq!(more[7..], ["ETag", "X-A"]);
    }
}
