//! What a record asks for: the parts of a Fetch
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
    /// `no-cors`, which `fetch()` refuses.
    NoCors,
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

/// The request of a background fetch record, as it is persisted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The method, normalized as Fetch does (`GET`, not `get`).
    pub method: String,
    /// The URL, fragment included.
    pub url: Url,
    /// The header list as the page set it.
    #[serde(default, skip_serializing_if = "HeaderList::is_empty")]
    pub headers: HeaderList,
    /// The mode; `cors` by default.
    #[serde(default)]
    pub mode: RequestMode,
    /// What to do with a redirect; `follow` by default.
    #[serde(default)]
    pub redirect: RedirectMode,
    /// The length of the stored body in bytes, or none where the request has no body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_length: Option<u64>,
}

impl Request {
    /// A `GET` request with defaults for everything else.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self {
            method: String::from("GET"),
            url,
            headers: HeaderList::default(),
            mode: RequestMode::default(),
            redirect: RedirectMode::default(),
            body_length: None,
        }
    }

    /// Whether the method is `GET`: only then may the request be sent again or be paused in flight.
    #[must_use]
    pub fn is_get(&self) -> bool {
        self.method == "GET"
    }

    /// Whether the page set a `Range` header of its own (ruling 27: such a request is never resumed
    /// with a range of ours).
    #[must_use]
    pub fn has_own_range(&self) -> bool {
        self.headers.contains("range")
    }
}
