//! Why a check of the web platform fails a fetch: Fetch's
//! [network error](https://fetch.spec.whatwg.org/#concept-network-error), with a human-readable
//! reason.

use bgfetch_model::ip_address_space::LocalNetworkDenied;
use thiserror::Error;

use super::cors::BadCors;
use super::redirect::BadRedirect;
use super::target::BadTarget;

/// A refused request or response. Pages cannot distinguish these.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Blocked {
    /// The URL must not be fetched.
    #[error("{0}")]
    Target(#[from] BadTarget),
    /// The redirect must not be followed.
    #[error("{0}")]
    Redirect(#[from] BadRedirect),
    /// The redirects form a loop, and one of them sets the cookie of this name, which is not
    /// stored.
    #[error(
        "too many redirects: the server sets the cookie {0} on the way, and cookies are not kept"
    )]
    LostCookie(String),
    /// The request's mode is `same-origin`, but its URL has another origin.
    #[error("the request's mode is same-origin, and the URL has another origin")]
    CrossOrigin,
    /// The server does not allow the request, or does not allow its response to be read.
    #[error("{0}")]
    Cors(#[from] BadCors),
    /// The header `Cross-Origin-Resource-Policy` does not let the page use the response.
    #[error("the server does not let pages of this origin use the response")]
    ResourcePolicy,
    /// Status 407: a proxy requires authentication, which pages cannot provide.
    #[error("a proxy asks for credentials")]
    ProxyAuthentication,
    /// The page was loaded over TLS, and the URL would not be.
    #[error("the page is secure, and the URL is not (mixed content)")]
    MixedContent,
    /// The directive of this name in the page's content security policy does not allow the URL.
    #[error("the page's content security policy does not allow the URL ({0})")]
    Csp(String),
    /// The URL may be dangling markup.
    #[error("the URL may contain text of the page (dangling markup)")]
    DanglingMarkup,
    /// The address is less public than the page, which has no permission to reach it.
    #[error("{0}")]
    LocalNetworkAccess(#[from] LocalNetworkDenied),
    /// The cache mode is `only-if-cached`, and nothing is cached.
    #[error("the cache mode is only-if-cached, and nothing is cached")]
    OnlyIfCached,
}
