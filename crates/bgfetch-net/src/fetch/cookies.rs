//! The trait of a
//! [cookie store](https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html), and
//! Fetch's rules on which requests read and write cookies.

use std::error::Error;
use std::time::Duration;

use bgfetch_model::ids::StorageKey;
use bgfetch_model::origin::Origin;
use bgfetch_model::policy::{PolicySnapshot, Principal};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::HeaderValue;
use url::Url;

use super::Hop;
use super::site::is_same_site;

/// A store for the cookies of fetches. An embedder that has a cookie store implements this trait
/// for it; [`CookieJar`](super::cookie_jar::CookieJar) is a separate store in memory.
///
/// The store may live in another thread or process: the futures own what they need. The functions
/// are called, and the futures are polled, on the fetch's task and must not block. The fetch keeps
/// its slot while it waits, and the wait counts as time without a response
/// ([`Timeouts::head`](crate::attempt::Timeouts::head)), so a store that never answers ends the
/// attempt like a server that never does. The future is dropped if the fetch is cancelled.
pub trait CookieStore: Send + Sync + 'static {
    /// The value of the request's `Cookie` header, or `None` if no cookie is to be sent. It
    /// includes cookies marked `HttpOnly`.
    ///
    /// # Errors
    /// The cookies cannot be read. The request is not sent, because its response could be that for
    /// another user. The attempt ends as
    /// [`FaultKind::Interrupted`](bgfetch_model::attempt::FaultKind::Interrupted), which is retried.
    fn cookies(
        &self,
        context: CookieContext,
    ) -> BoxFuture<'static, Result<Option<HeaderValue>, CookieError>>;

    /// Stores the cookies of a response's `Set-Cookie` headers, in order. Only called if there are
    /// any. An unacceptable cookie is ignored, and so is one that cannot be stored: the response is
    /// valid without it.
    ///
    /// The next request of a redirect chain, and the end of the fetch's head, wait for this. A
    /// response that the page may not have does not: its fetch fails at once, so that it takes the
    /// same time with and without cookies, and the future continues on a task of its own, for
    /// [`REFUSED_LIMIT`] at most.
    fn set_cookies(
        &self,
        context: CookieContext,
        values: Vec<HeaderValue>,
    ) -> BoxFuture<'static, ()>;
}

/// Why cookies could not be read. Its text appears in the error of the attempt.
pub type CookieError = Box<dyn Error + Send + Sync>;

/// How long the cookies of a refused response may take to be stored.
pub const REFUSED_LIMIT: Duration = Duration::from_secs(60);

/// Continues to store the cookies of a response that the page may not have, without a wait.
pub(crate) fn continue_storing(mut storing: BoxFuture<'static, ()>) {
    // A store that answers at once needs no task, and the next request finds its cookies.
    if (&mut storing).now_or_never().is_none() {
        drop(tokio::spawn(tokio::time::timeout(REFUSED_LIMIT, storing)));
    }
}

/// The request for which cookies are read or written. The store is only called for requests whose
/// [credentials are included](super::credentials::included).
///
/// To partition cookies, key them by [`top_level_origin`](Self::top_level_origin)'s site or by
/// [`storage_key`](Self::storage_key). A background fetch is never a top-level navigation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CookieContext {
    /// The requested URL: the current one of a redirect chain.
    pub url: Url,
    /// The request's method.
    pub method: String,
    /// The storage key that the background fetch belongs to.
    pub storage_key: StorageKey,
    /// The origin of the top-level page, or `None` if the fetch is made for the user.
    pub top_level_origin: Option<Origin>,
    /// Whether `SameSite` cookies may be read and written.
    pub same_site: bool,
}

bgfetch_model::impl_with!(CookieContext);

impl CookieContext {
    /// The context of one hop.
    #[must_use]
    pub fn new(storage_key: &StorageKey, principal: &Principal, hop: &Hop) -> Self {
        let top_level_origin = |page: &PolicySnapshot| page.top_level_origin.clone();
        Self {
            url: hop.url.clone(),
            method: hop.method.clone(),
            storage_key: storage_key.clone(),
            top_level_origin: principal.policies().map(top_level_origin),
            same_site: is_same_site_request(principal, hop),
        }
    }
}

/// Whether a request is
/// [same-site](https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html#name-same-site-and-cross-site-re):
/// the page, its top-level page and all URLs of the chain belong to one site, schemes included. A
/// request of the user is always same-site, because it does not come from a page.
#[must_use]
pub fn is_same_site_request(principal: &Principal, hop: &Hop) -> bool {
    principal.policies().is_none_or(|policies| {
        hop.url_list().all(|url| {
            is_same_site(&policies.origin, url) && is_same_site(&policies.top_level_origin, url)
        })
    })
}

#[cfg(test)]
mod tests {
    use bgfetch_model::request::Request;

    use super::*;

    fn hop(urls: &[&str]) -> Hop {
        let (last, before) = urls.split_last().unwrap();
        let mut hop = Hop::first(&Request::get(last.parse().unwrap()));
        hop.before = before.iter().map(|url| url.parse().unwrap()).collect();
        hop
    }

    fn page(origin: &str, top_level: &str) -> Principal {
        let mut policies = PolicySnapshot::of(&origin.parse().unwrap());
        policies.top_level_origin = Origin::of(&top_level.parse().unwrap());
        Principal::Page(policies)
    }

    #[test]
    fn one_foreign_url_or_page_makes_a_request_cross_site() {
        let (a, sub, b) = ("https://a.test/", "https://sub.a.test/", "https://b.test/");
        for (origin, top_level, urls, expected) in [
            (a, a, &[a][..], true),
            (sub, a, &[sub, a], true),
            (a, a, &["http://a.test/"], false),
            (a, b, &[a], false),
            (b, a, &[a], false),
            (a, a, &[b], false),
            (a, a, &[b, a], false),
            (a, a, &[a, b, a], false),
        ] {
            let same_site = is_same_site_request(&page(origin, top_level), &hop(urls));
            assert_eq!(same_site, expected, "{origin} {top_level} {urls:?}");
            assert!(is_same_site_request(&Principal::User, &hop(urls)));
        }
    }

    #[test]
    fn the_context_names_url_method_and_partition() {
        let (key, page) = (StorageKey("k".into()), page("https://a.test/", "https://b.test/"));
        let hop = hop(&["https://a.test/1", "https://a.test/2"]);
        let context = CookieContext::new(&key, &page, &hop);
        assert_eq!((context.url.path(), &*context.method), ("/2", "GET"));
        assert_eq!(context.top_level_origin.unwrap().serialize(), "https://b.test");
        assert_eq!(CookieContext::new(&key, &Principal::User, &hop).top_level_origin, None);
    }
}
