//! Why a check of the web platform ends a fetch: Fetch's
//! [network error](https://fetch.spec.whatwg.org/#concept-network-error), with its reason for people.

use thiserror::Error;

use super::cors::BadCors;
use super::redirect::BadRedirect;
use super::target::BadTarget;

/// A refused request or response. Pages never learn which of these it was.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Blocked {
    /// Nothing may be fetched from the URL.
    #[error("{0}")]
    Target(#[from] BadTarget),
    /// The redirect must not be followed.
    #[error("{0}")]
    Redirect(#[from] BadRedirect),
    /// Redirects lead in a circle, and one of them sets the cookie of this name, which is not kept.
    #[error(
        "too many redirects: the server sets the cookie {0} on the way, and cookies are not kept"
    )]
    LostCookie(String),
    /// The request's mode is `same-origin` and its URL has another origin.
    #[error("the request's mode is same-origin, and the URL has another origin")]
    CrossOrigin,
    /// The server does not allow the request, or its response to be read.
    #[error("{0}")]
    Cors(#[from] BadCors),
    /// Status 407: a proxy wants to know who is asking, which no page can answer.
    #[error("a proxy asks for credentials")]
    ProxyAuthentication,
    /// The page came over TLS, and the URL would not.
    #[error("the page is secure, and the URL is not (mixed content)")]
    MixedContent,
    /// The page's content security policy does not allow the URL, by the directive of this name.
    #[error("the page's content security policy does not allow the URL ({0})")]
    Csp(String),
    /// The URL may be dangling markup.
    #[error("the URL may be text that an injected tag swallowed (dangling markup)")]
    DanglingMarkup,
    /// The cache mode is `only-if-cached`, and nothing is cached.
    #[error("the cache mode is only-if-cached, and nothing is cached")]
    OnlyIfCached,
}
