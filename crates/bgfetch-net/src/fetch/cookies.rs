//! The trait of a
//! [cookie store](https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html), and
//! Fetch's rules on which requests read and write cookies.

use bgfetch_model::ids::StorageKey;
use bgfetch_model::origin::Origin;
use bgfetch_model::policy::Principal;
use http::HeaderValue;
use url::Url;

use super::Hop;
use super::site::is_same_site;

/// A store for the cookies of fetches. An embedder that has a cookie store implements this trait
/// for it; [`CookieJar`](super::cookie_jar::CookieJar) is a separate store in memory.
///
/// Both functions are called on the fetch's task and must not block for long.
pub trait CookieStore: Send + Sync + 'static {
    /// The value of the request's `Cookie` header, or `None` if no cookie is to be sent. It
    /// includes cookies marked `HttpOnly`.
    fn cookies(&self, context: &CookieContext<'_>) -> Option<HeaderValue>;

    /// Stores the cookies of a response's `Set-Cookie` headers, in order. Only called if there are
    /// any. An unacceptable cookie is ignored.
    fn set_cookies(&self, context: &CookieContext<'_>, values: &[HeaderValue]);
}

/// The request for which cookies are read or written. The store is only called for requests whose
/// [credentials are included](super::credentials::included).
///
/// To partition cookies, key them by [`top_level_origin`](Self::top_level_origin)'s site or by
/// [`storage_key`](Self::storage_key). A background fetch is never a top-level navigation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieContext<'a> {
    /// The requested URL: the current one of a redirect chain.
    pub url: &'a Url,
    /// The request's method.
    pub method: &'a str,
    /// The storage key that the background fetch belongs to.
    pub storage_key: &'a StorageKey,
    /// The origin of the top-level page, or `None` if the fetch is made for the user.
    pub top_level_origin: Option<&'a Origin>,
    /// Whether `SameSite` cookies may be read and written.
    pub same_site: bool,
}

impl<'a> CookieContext<'a> {
    /// The context of one hop.
    #[must_use]
    pub fn new(storage_key: &'a StorageKey, principal: &'a Principal, hop: &'a Hop) -> Self {
        Self {
            url: &hop.url,
            method: &hop.method,
            storage_key,
            top_level_origin: principal.policies().map(|policies| &policies.top_level_origin),
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
    use bgfetch_model::policy::PolicySnapshot;
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
        assert_eq!((context.url.path(), context.method), ("/2", "GET"));
        assert_eq!(context.top_level_origin.unwrap().serialize(), "https://b.test");
        assert_eq!(CookieContext::new(&key, &Principal::User, &hop).top_level_origin, None);
    }
}
