//! [CORS-preflight fetch](https://fetch.spec.whatwg.org/#cors-preflight-fetch): the request for
//! permission before a request that a form could not send, and what the response allows.

use std::time::Duration;

use bgfetch_model::header_list::HeaderList;
use bgfetch_model::request::CredentialsMode;

use super::check::{BadCors, check};
use super::safelist;
use crate::fetch::{Hop, header_values};

/// How long a response without `Access-Control-Max-Age` is valid.
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(5);

/// How long a response is valid at most, so that a change on the server takes effect within two
/// hours. Chromium has the same limit.
const MAX_MAX_AGE: Duration = Duration::from_secs(7200);

/// What a request needs the server's permission for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preflight {
    /// The request's method, safelisted or not.
    pub method: String,
    /// The request's CORS-unsafe request-header names.
    pub header_names: Vec<String>,
}

/// What a server has allowed, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Methods, or `*`.
    pub methods: Vec<String>,
    /// Header names in any case, or `*`.
    pub header_names: Vec<String>,
    /// How long it is valid.
    pub max_age: Duration,
}

impl Preflight {
    /// What `hop` needs permission for, or `None` if it needs no preflight. Only the page's own
    /// headers count. Those that the fetcher adds, including `Range` for a resume, are below CORS
    /// (D6).
    #[must_use]
    pub fn of(hop: &Hop) -> Option<Self> {
        let header_names = safelist::unsafe_header_names(&hop.headers);
        let simple = safelist::is_safelisted_method(&hop.method) && header_names.is_empty();
        (!simple).then(|| Self { method: hop.method.clone(), header_names })
    }

    /// The headers of the preflight. `Origin` and others are added as for every request.
    #[must_use]
    pub fn headers(&self) -> HeaderList {
        let mut headers = HeaderList::default();
        // Step 2.
        headers.append("Accept", "*/*");
        // Step 3.
        headers.append("Access-Control-Request-Method", &self.method);
        // Step 5, joined without a space after each comma, unlike combined values.
        if !self.header_names.is_empty() {
            headers.append("Access-Control-Request-Headers", self.header_names.join(","));
        }
        headers
    }

    /// Step 7: what the response to the preflight allows. `origin` and `credentials` are those of
    /// the request. The preflight is sent without credentials.
    ///
    /// # Errors
    /// If it does not allow this request.
    pub fn judge(
        &self,
        origin: &str,
        credentials: CredentialsMode,
        status: u16,
        headers: &HeaderList,
    ) -> Result<Permission, BadCors> {
        check(origin, credentials, headers)?;
        // Redirects of a preflight are not followed, so this refuses them.
        if !(200..=299).contains(&status) {
            return Err(BadCors::PreflightStatus(status));
        }
        // Steps 7.1 to 7.3.
        let list = |name| header_values::tokens(headers, name).map(Option::unwrap_or_default);
        let methods = list("access-control-allow-methods")?;
        let header_names = list("access-control-allow-headers")?;
        // With credentials, `*` is the name of a method or a header.
        let everything = |allowed: &[String]| {
            credentials != CredentialsMode::Include && allowed.iter().any(|name| name == "*")
        };
        // Step 7.5, methods are case-sensitive.
        if !methods.contains(&self.method)
            && !safelist::is_safelisted_method(&self.method)
            && !everything(&methods)
        {
            return Err(BadCors::Method(self.method.clone()));
        }
        // Steps 7.6 and 7.7, `Authorization` is not covered by `*`.
        for name in &self.header_names {
            let named = header_names.iter().any(|allowed| allowed.eq_ignore_ascii_case(name));
            let by_star = everything(&header_names) && !safelist::is_non_wildcard_name(name);
            if !named && !by_star {
                return Err(BadCors::Header(name.clone()));
            }
        }
        // Steps 7.8 to 7.10.
        let max_age = match header_values::delta_seconds(headers, "access-control-max-age") {
            Ok(Some(seconds)) => Duration::from_secs(seconds).min(MAX_MAX_AGE),
            Ok(None) | Err(_) => DEFAULT_MAX_AGE,
        };
        Ok(Permission { methods, header_names, max_age })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CredentialsMode::{Include, Omit, SameOrigin};
    use bgfetch_model::request::Request;

    const PAGE: &str = "https://page.test";

    fn preflight(method: &str, headers: &[(&str, &str)]) -> Option<Preflight> {
        let mut request = Request::get("https://a.test/".parse().unwrap());
        request.method = method.into();
        request.headers = headers.iter().copied().collect();
        Preflight::of(&Hop::first(&request))
    }

    /// Judges a response to a preflight for `method` and the headers `names`. The response has
    /// these headers in addition to the approval of the origin.
    fn judge(
        credentials: CredentialsMode,
        (method, names): (&str, &[&str]),
        answer: &[(&str, &str)],
    ) -> Result<Permission, BadCors> {
        let preflight = Preflight {
            method: method.into(),
            header_names: names.iter().map(ToString::to_string).collect(),
        };
        let mut headers: HeaderList = answer.iter().copied().collect();
        headers.append("access-control-allow-origin", PAGE);
        headers.append("access-control-allow-credentials", "true");
        preflight.judge(PAGE, credentials, 204, &headers)
    }

    #[test]
    fn only_what_no_form_could_send_is_asked_for() {
        assert_eq!(preflight("GET", &[]), None);
        assert_eq!(preflight("POST", &[("Content-Type", "text/plain"), ("Accept", "x")]), None);
        assert_eq!(preflight("GET", &[("Range", "bytes=0-")]), None);
        let put = preflight("PUT", &[]).unwrap();
        let headers = put.headers();
        assert_eq!(headers.get("accept").as_deref(), Some("*/*"));
        assert_eq!(headers.get("access-control-request-method").as_deref(), Some("PUT"));
        assert_eq!(headers.len(), 2);
        let get = preflight("GET", &[("X-B", "1"), ("Authorization", "x"), ("Accept", "x")]);
        let headers = get.unwrap().headers();
        assert_eq!(headers.get("access-control-request-method").as_deref(), Some("GET"));
        let names = headers.get("access-control-request-headers");
        assert_eq!(names.as_deref(), Some("authorization,x-b"));
    }

    #[test]
    fn methods_are_named_with_their_case_or_covered_by_a_star() {
        let methods = |credentials, method, allowed| {
            judge(credentials, (method, &[]), &[("Access-Control-Allow-Methods", allowed)]).is_ok()
        };
        for mode in [Omit, SameOrigin, Include] {
            assert!(methods(mode, "PUT", "GET, PUT"));
            assert!(methods(mode, "POST", ""), "a safelisted method needs no permission");
            assert!(methods(mode, "*", "*"), "a method of that name");
            for no in ["", "put", "GET", "PUTS", "PUT X", "PUT, @(", "\"PUT\""] {
                assert!(!methods(mode, "PUT", no), "{no}");
            }
            assert!(!methods(mode, "patch", "PATCH"));
            // A malformed value fails even if it is not needed.
            assert!(!methods(mode, "GET", "a b"));
        }
        assert!(methods(Omit, "PUT", "*") && methods(SameOrigin, "PUT", "GET, *"));
        assert!(!methods(Include, "PUT", "*"));
        assert!(judge(Omit, ("PUT", &[]), &[]).is_err());
    }

    #[test]
    fn headers_are_named_in_any_case_or_covered_by_a_star_but_authorization_is_not() {
        let headers = |credentials, names: &[&str], allowed| {
            judge(credentials, ("GET", names), &[("Access-Control-Allow-Headers", allowed)]).is_ok()
        };
        for mode in [Omit, SameOrigin, Include] {
            assert!(headers(mode, &["x-a", "x-b"], "X-B,X-A, other"));
            assert!(headers(mode, &["authorization"], "Authorization"));
            assert!(!headers(mode, &["x-a", "x-b"], "x-a"));
            assert!(!headers(mode, &["x-a"], ""));
            assert!(!headers(mode, &["x-a"], "x-a;"));
            assert!(!headers(mode, &["authorization"], "*"));
        }
        assert!(headers(Omit, &["x-a"], "*"));
        assert!(headers(Omit, &["authorization", "x-a"], "*, authorization"));
        assert!(!headers(Include, &["x-a"], "*"));
        assert!(headers(Include, &["*"], "*"), "a header of that name");
    }

    #[test]
    fn the_status_must_be_ok_and_the_origin_approved_for_the_real_credentials() {
        let put = Preflight { method: "PUT".into(), header_names: Vec::new() };
        let run = |credentials, status, origin: &str| {
            let headers =
                [("access-control-allow-origin", origin), ("access-control-allow-methods", "PUT")];
            put.judge(PAGE, credentials, status, &headers.into_iter().collect())
        };
        for status in [200, 204, 299] {
            assert!(run(Omit, status, "*").is_ok(), "{status}");
        }
        for status in [199, 300, 301, 302, 307, 304, 401, 403, 404, 407, 500] {
            assert_eq!(run(Omit, status, "*"), Err(BadCors::PreflightStatus(status)));
        }
        assert_eq!(run(Omit, 200, "https://other.test"), Err(BadCors::OtherOrigin));
        assert_eq!(run(Include, 200, "*"), Err(BadCors::OtherOrigin));
        assert_eq!(run(Include, 200, PAGE), Err(BadCors::Credentials));
    }

    #[test]
    fn max_age_is_five_seconds_unless_it_is_said_and_two_hours_at_most() {
        let age = |values: &[&str]| {
            let answer: Vec<_> = values.iter().map(|v| ("Access-Control-Max-Age", *v)).collect();
            judge(Omit, ("GET", &[]), &answer).unwrap().max_age.as_secs()
        };
        for (values, expected) in [
            (&[][..], 5),
            (&["0"], 0),
            (&["600"], 600),
            (&["7201"], 7200),
            (&["99999999999999999999"], 7200),
            (&["-1"], 5),
            (&["soon"], 5),
            (&["600", "600"], 5),
        ] {
            assert_eq!(age(values), expected, "{values:?}");
        }
    }
}
