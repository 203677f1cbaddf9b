//! The request of a record: the parts of a Fetch
//! [request](https://fetch.spec.whatwg.org/#concept-request) that outlive the page.

use alloc::string::String;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::header_list::HeaderList;

/// A request's [mode](https://fetch.spec.whatwg.org/#concept-request-mode).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestMode {
    /// `cors`, the default of the `Request` constructor.
    #[default]
    Cors,
    /// `same-origin`.
    SameOrigin,
    /// `no-cors`, which `fetch()` refuses. Classic scripts of pages have it.
    NoCors,
}

/// A request's [destination](https://fetch.spec.whatwg.org/#concept-request-destination): what its
/// response is for. It determines which directive of content security policies must allow the URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Destination {
    /// The empty string: data for a script. Background fetches have it.
    #[default]
    Empty,
    /// `script`: a classic script of a page or a worker.
    Script {
        /// The [cryptographic nonce
        /// metadata](https://fetch.spec.whatwg.org/#concept-request-nonce-metadata), which some
        /// policies require; may be empty.
        nonce: String,
        /// Whether the parser inserted its element: the [parser
        /// metadata](https://fetch.spec.whatwg.org/#concept-request-parser-metadata). `None`
        /// without an element.
        parser_inserted: Option<bool>,
    },
    /// `serviceworker`: the script of a service worker.
    ServiceWorker,
    /// `sharedworker`: the script of a shared worker.
    SharedWorker,
    /// `worker`: the script of a dedicated worker.
    Worker,
}

impl Destination {
    /// The destination as Fetch writes it, with `empty` for the empty string.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Script { .. } => "script",
            Self::ServiceWorker => "serviceworker",
            Self::SharedWorker => "sharedworker",
            Self::Worker => "worker",
        }
    }
}

/// A request's [redirect mode](https://fetch.spec.whatwg.org/#concept-request-redirect-mode).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RedirectMode {
    /// Redirects are followed, the default.
    #[default]
    Follow,
    /// A redirect is a network error.
    Error,
    /// A redirect is the response.
    Manual,
}

/// A request's [credentials mode](https://fetch.spec.whatwg.org/#concept-request-credentials-mode).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialsMode {
    /// `omit`: credentials are neither sent nor stored.
    Omit,
    /// `same-origin`, the default: only to and from the page's own origin.
    #[default]
    SameOrigin,
    /// `include`: always.
    Include,
}

/// A request's [cache mode](https://fetch.spec.whatwg.org/#concept-request-cache-mode). Background
/// fetches do not use an HTTP cache (D43); the mode determines the headers that intermediate caches
/// see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheMode {
    /// `default`.
    #[default]
    Default,
    /// `no-store`.
    NoStore,
    /// `reload`.
    Reload,
    /// `no-cache`.
    NoCache,
    /// `force-cache`.
    ForceCache,
    /// `only-if-cached`, which fails the record.
    OnlyIfCached,
}

/// A request's [referrer](https://fetch.spec.whatwg.org/#concept-request-referrer).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Referrer {
    /// `no-referrer`.
    NoReferrer,
    /// `client`, the default: determined by the page's policies.
    #[default]
    Client,
    /// This URL.
    Url(Url),
}

/// A [referrer policy](https://w3c.github.io/webappsec-referrer-policy/#referrer-policies).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReferrerPolicy {
    /// The empty string, the default: the policy container's policy, or
    /// `strict-origin-when-cross-origin` if that is empty too.
    #[default]
    Empty,
    /// `no-referrer`.
    NoReferrer,
    /// `no-referrer-when-downgrade`.
    NoReferrerWhenDowngrade,
    /// `same-origin`.
    SameOrigin,
    /// `origin`.
    Origin,
    /// `strict-origin`.
    StrictOrigin,
    /// `origin-when-cross-origin`.
    OriginWhenCrossOrigin,
    /// `strict-origin-when-cross-origin`.
    StrictOriginWhenCrossOrigin,
    /// `unsafe-url`.
    UnsafeUrl,
}

impl ReferrerPolicy {
    /// The policy with this lowercase token, or none; the empty string is no token.
    #[must_use]
    pub fn from_token(token: &str) -> Option<Self> {
        Some(match token {
            "no-referrer" => Self::NoReferrer,
            "no-referrer-when-downgrade" => Self::NoReferrerWhenDowngrade,
            "same-origin" => Self::SameOrigin,
            "origin" => Self::Origin,
            "strict-origin" => Self::StrictOrigin,
            "origin-when-cross-origin" => Self::OriginWhenCrossOrigin,
            "strict-origin-when-cross-origin" => Self::StrictOriginWhenCrossOrigin,
            "unsafe-url" => Self::UnsafeUrl,
            _ => return None,
        })
    }
}

/// The request of a background fetch record, as it is persisted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Request {
    /// The method, normalized as Fetch does (`GET`, not `get`).
    pub method: String,
    /// The URL, fragment included.
    pub url: Url,
    /// Whether the text that the URL was parsed from may be
    /// [dangling markup](crate::dangling_markup), which fails the record; false by default.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub dangling_markup: bool,
    /// The header list as the page set it, without
    /// [forbidden request-headers](crate::forbidden_header).
    #[serde(default, skip_serializing_if = "HeaderList::is_empty")]
    pub headers: HeaderList,
    /// The mode; `cors` by default.
    #[serde(default)]
    pub mode: RequestMode,
    /// When credentials are sent; `same-origin` by default.
    #[serde(default)]
    pub credentials: CredentialsMode,
    /// What to do with a redirect; `follow` by default.
    #[serde(default)]
    pub redirect: RedirectMode,
    /// Which headers intermediate caches see; `default` by default.
    #[serde(default)]
    pub cache: CacheMode,
    /// The referrer; `client` by default.
    #[serde(default)]
    pub referrer: Referrer,
    /// The referrer policy; the empty string by default.
    #[serde(default)]
    pub referrer_policy: ReferrerPolicy,
    /// The [integrity metadata](https://fetch.spec.whatwg.org/#concept-request-integrity-metadata);
    /// empty, the default, asks for no verification.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub integrity: String,
    /// The [keepalive](https://fetch.spec.whatwg.org/#request-keepalive-flag) flag that scripts
    /// see; false by default. It has no effect: every request of a background fetch outlives its
    /// page.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub keepalive: bool,
    /// The length of the stored body in bytes, or none if the request has no body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_length: Option<u64>,
}

crate::impl_with!(Request);

impl Request {
    /// A `GET` request with defaults for everything else.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self {
            method: String::from("GET"),
            url,
            dangling_markup: false,
            headers: HeaderList::default(),
            mode: RequestMode::default(),
            credentials: CredentialsMode::default(),
            redirect: RedirectMode::default(),
            cache: CacheMode::default(),
            referrer: Referrer::default(),
            referrer_policy: ReferrerPolicy::default(),
            integrity: String::new(),
            keepalive: false,
            body_length: None,
        }
    }

    /// Whether the method is `GET`: only then may the request be sent again or be paused in flight.
    #[must_use]
    pub fn is_get(&self) -> bool {
        self.method == "GET"
    }

    /// Whether the page set a `Range` header of its own (D9: such a request is never resumed with a
    /// range of ours).
    #[must_use]
    pub fn has_own_range(&self) -> bool {
        self.headers.contains("range")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_s_token_is_the_name_under_which_it_is_stored() {
        for token in [
            "no-referrer",
            "no-referrer-when-downgrade",
            "same-origin",
            "origin",
            "strict-origin",
            "origin-when-cross-origin",
            "strict-origin-when-cross-origin",
            "unsafe-url",
        ] {
            let stored = serde_json::from_value(token.into()).unwrap();
            assert_eq!(ReferrerPolicy::from_token(token), Some(stored), "{token}");
        }
        for token in ["", "empty", "Origin", "origin "] {
            assert_eq!(ReferrerPolicy::from_token(token), None, "{token}");
        }
    }

    #[test]
    fn destinations_have_the_names_of_fetch() {
        let script = Destination::Script { nonce: String::new(), parser_inserted: None };
        for (destination, name) in [
            (Destination::Empty, "empty"),
            (script, "script"),
            (Destination::ServiceWorker, "serviceworker"),
            (Destination::SharedWorker, "sharedworker"),
            (Destination::Worker, "worker"),
        ] {
            assert_eq!(destination.name(), name);
        }
    }
}
