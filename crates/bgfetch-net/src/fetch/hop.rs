//! A request at one URL of its redirect chain.

use bgfetch_model::header_list::HeaderList;
use bgfetch_model::origin::Origin;
use bgfetch_model::request::{Destination, Referrer, ReferrerPolicy, Request};
use url::Url;

/// A request's [response tainting](https://fetch.spec.whatwg.org/#concept-request-response-tainting).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseTainting {
    /// `basic`: every URL so far had the page's own origin.
    #[default]
    Basic,
    /// `cors`: the response requires the server's approval.
    Cors,
    /// `opaque`: scripts do not see the response.
    Opaque,
}

/// The request to one URL of a redirect chain: the parts that a redirect can change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hop {
    /// The method, which a redirect may turn into `GET`.
    pub method: String,
    /// The request's [current URL](https://fetch.spec.whatwg.org/#concept-request-current-url),
    /// including its fragment.
    pub url: Url,
    /// Whether the text of that URL may be [dangling markup](bgfetch_model::dangling_markup).
    pub dangling_markup: bool,
    /// The URLs before it, beginning with that of the request.
    pub before: Vec<Url>,
    /// What the response is for.
    pub destination: Destination,
    /// The page's headers that are still sent.
    pub headers: HeaderList,
    /// Whether the request's body is still sent.
    pub sends_body: bool,
    /// The response tainting.
    pub tainting: ResponseTainting,
    /// The referrer: at first that of the request, then the one that the last hop determined; see
    /// [`referrer::determine`](super::referrer::determine).
    pub referrer: Referrer,
    /// The referrer policy, which a redirect may change.
    pub referrer_policy: ReferrerPolicy,
}

bgfetch_model::impl_with!(Hop);

impl Hop {
    /// The first hop of a request for data.
    #[must_use]
    pub fn first(request: &Request) -> Self {
        Self {
            method: request.method.clone(),
            url: request.url.clone(),
            dangling_markup: request.dangling_markup,
            before: Vec::new(),
            destination: Destination::default(),
            headers: request.headers.clone(),
            sends_body: request.body_length.is_some(),
            tainting: ResponseTainting::default(),
            referrer: request.referrer.clone(),
            referrer_policy: request.referrer_policy,
        }
    }

    /// The request's [redirect count](https://fetch.spec.whatwg.org/#concept-request-redirect-count).
    #[must_use]
    pub fn redirect_count(&self) -> usize {
        self.before.len()
    }

    /// The request's [URL list](https://fetch.spec.whatwg.org/#concept-request-url-list).
    pub fn url_list(&self) -> impl Iterator<Item = &Url> {
        self.before.iter().chain([&self.url])
    }

    /// Whether a cross-origin server redirected the request to another origin
    /// ([redirect-taint](https://fetch.spec.whatwg.org/#concept-request-redirect-taint)): `Origin`
    /// is then `null`.
    #[must_use]
    pub fn has_redirect_tainted_origin(&self, origin: &Origin) -> bool {
        self.url_list()
            .zip(self.url_list().skip(1))
            .any(|(from, to)| from.origin() != to.origin() && !origin.is_same_origin(from))
    }

    /// [Serializes the request's origin](https://fetch.spec.whatwg.org/#serializing-a-request-origin).
    #[must_use]
    pub fn serialize_origin(&self, origin: &Origin) -> String {
        if self.has_redirect_tainted_origin(origin) {
            String::from("null")
        } else {
            origin.serialize()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin_after(urls: &[&str]) -> String {
        let (last, before) = urls.split_last().unwrap();
        let mut hop = Hop::first(&Request::get(last.parse().unwrap()));
        hop.before = before.iter().map(|url| url.parse().unwrap()).collect();
        hop.serialize_origin(&Origin::of(&"https://page.test/x".parse().unwrap()))
    }

    #[test]
    fn the_origin_is_null_only_after_a_foreign_server_sent_it_on_to_a_third() {
        let (page, a, b) = ("https://page.test/1", "https://a.test/", "https://b.test/");
        for urls in [&[page][..], &[a], &[page, a], &[a, a], &[page, page, a, a]] {
            assert_eq!(origin_after(urls), "https://page.test", "{urls:?}");
        }
        for urls in [&[a, b][..], &[a, page], &[page, a, b], &[page, a, page], &[a, b, b]] {
            assert_eq!(origin_after(urls), "null", "{urls:?}");
        }
    }
}
