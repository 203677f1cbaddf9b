//! The layer that makes a [`Fetcher`] of a [`Transport`].

use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::cookies::CookieStore;
use super::cors::PreflightCache;
use super::http_fetch::http_fetch;
use super::{Hop, Transport};
use crate::fetcher::{FetchError, FetchRequest, FetchResponse, Fetcher};

/// The rules of the web platform over a network stack that has none: the steps of the Fetch
/// standard from main fetch to the head of the final response.
///
/// Before a request, these are upgrades, bad ports, mixed content, content security policies,
/// dangling markup, the referrer, CORS-preflights and their cache, cookies, and the headers that
/// tell the server who is asking. After a response, these are the CORS check, cookies, redirects,
/// `Cross-Origin-Resource-Policy`, the exposed headers, and `Retry-After`. Addresses are checked as
/// far as the transport checks or reports them.
///
/// The default [`Fetcher`] is this over hyper.
pub struct WithWebChecks<T> {
    pub(super) transport: Arc<T>,
    pub(super) cookies: Option<Arc<dyn CookieStore>>,
    pub(super) preflights: Arc<Mutex<PreflightCache>>,
    pub(super) user_agent: Arc<str>,
    pub(super) before_hop: Arc<BeforeHop>,
}

/// See [`WithWebChecks::before_hop`].
type BeforeHop = dyn Fn(&mut Hop) + Send + Sync;

impl<T: Transport> WithWebChecks<T> {
    /// The checks over `transport`, without cookies.
    #[must_use]
    pub fn new(transport: T) -> Self {
        WithWebChecks::unconnected().over(transport)
    }
}

impl WithWebChecks<()> {
    /// The checks without a transport yet.
    pub(crate) fn unconnected() -> Self {
        Self {
            transport: Arc::new(()),
            cookies: None,
            preflights: Arc::default(),
            user_agent: concat!("bgfetch/", env!("CARGO_PKG_VERSION")).into(),
            before_hop: Arc::new(|_| {}),
        }
    }

    /// The same checks over `transport`.
    pub(crate) fn over<T: Transport>(self, transport: T) -> WithWebChecks<T> {
        let Self { transport: _, cookies, preflights, user_agent, before_hop } = self;
        let transport = Arc::new(transport);
        WithWebChecks { transport, cookies, preflights, user_agent, before_hop }
    }
}

impl<T> WithWebChecks<T> {
    /// Sets the cookie store. By default, there is none, and cookies are neither sent nor stored:
    /// the embedder decides which cookies a fetch may use, and a jar of the fetcher would not have
    /// those of the embedder's pages.
    #[must_use]
    pub fn cookies(mut self, store: impl CookieStore) -> Self {
        self.cookies = Some(Arc::new(store));
        self
    }

    /// Sets the `User-Agent` of requests that have none; `bgfetch/VERSION` by default.
    #[must_use]
    pub fn user_agent(mut self, value: impl Into<String>) -> Self {
        self.user_agent = value.into().into();
        self
    }

    /// Sets a function that may change each request, the first one and those of redirects, at the
    /// step of main fetch that applies HSTS: after the URL, mixed content and content security
    /// policies were checked and the referrer was determined, and before the URL is compared with
    /// the page's origin. It must not block.
    ///
    /// - HSTS: set the scheme of [`Hop::url`] to `https`. As in browsers, mixed content was already
    ///   checked for the URL as it was before. The new URL is in the response's URL list. It is
    ///   checked for bad ports and credentials once more, but not by the page's policies, so it must
    ///   not lead to another host.
    /// - Languages and other headers: change [`Hop::headers`]. They count as the page's own, so
    ///   those that CORS does not safelist cause preflights. They stay for the redirects that
    ///   follow, for which the function is called again, so set them rather than append them.
    #[must_use]
    pub fn before_hop(mut self, change: impl Fn(&mut Hop) + Send + Sync + 'static) -> Self {
        self.before_hop = Arc::new(change);
        self
    }
}

/// All clones share their state.
impl<T> Clone for WithWebChecks<T> {
    fn clone(&self) -> Self {
        Self {
            transport: Arc::clone(&self.transport),
            cookies: self.cookies.clone(),
            preflights: Arc::clone(&self.preflights),
            user_agent: Arc::clone(&self.user_agent),
            before_hop: Arc::clone(&self.before_hop),
        }
    }
}

impl<T: Transport> Fetcher for WithWebChecks<T> {
    fn fetch(
        &self,
        request: FetchRequest,
    ) -> BoxFuture<'static, Result<FetchResponse, FetchError>> {
        Box::pin(http_fetch(self.clone(), request))
    }

    fn network_changed(&self) {
        self.transport.network_changed();
    }
}
