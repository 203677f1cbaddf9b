//! [match()](https://wicg.github.io/background-fetch/#background-fetch-registration-match) and
//! [matchAll()](https://wicg.github.io/background-fetch/#background-fetch-registration-match-all);
//! the former is the latter's first result.

use alloc::vec::Vec;
use url::Position;

use crate::background_fetch::BackgroundFetch;
use crate::error::CallError;
use crate::ids::RecordIndex;
use crate::record::Record;
use crate::request::Request;

/// The service worker spec's
/// [CacheQueryOptions](https://w3c.github.io/ServiceWorker/#dictdef-cachequeryoptions); all off by
/// default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MatchOptions {
    /// Compare URLs without their queries.
    pub ignore_search: bool,
    /// Ignore methods.
    pub ignore_method: bool,
    /// Ignore the response's `Vary`.
    pub ignore_vary: bool,
}

crate::impl_with!(MatchOptions);

impl BackgroundFetch {
    /// The records that match `query`, or all of them, in request order. If the query has a
    /// request, those whose response has a `Vary` must also [match it](matches_vary), unless the
    /// options say otherwise: only the store has their heads.
    ///
    /// # Errors
    ///
    /// [`CallError::RecordsUnavailable`] once the settling event has ended.
    pub fn match_all(
        &self,
        query: Option<&Request>,
        options: MatchOptions,
    ) -> Result<Vec<RecordIndex>, CallError> {
        // Step 1, the records must be available.
        if !self.records_available {
            return Err(CallError::RecordsUnavailable);
        }
        // Step 3.2, select the matching records.
        let matches = |record: &Record| {
            query.is_none_or(|query| {
                request_matches_cached_item(query, record.request(), None, options)
            })
        };
        Ok(self
            .indices()
            .zip(self.records())
            .filter(|(_, record)| matches(record))
            .map(|(index, _)| index)
            .collect())
    }
}

/// [Request matches cached
/// item](https://w3c.github.io/ServiceWorker/#request-matches-cached-item-algorithm). `vary` is the
/// combined `Vary` of the response that belongs to `cached`, if there is one.
#[must_use]
pub fn request_matches_cached_item(
    query: &Request,
    cached: &Request,
    vary: Option<&str>,
    options: MatchOptions,
) -> bool {
    // Step 1, the method. DEVIATION(D1): the service worker spec requires GET, because a cache
    // holds nothing else; records have methods of their own, which must be equal (D1).
    if !options.ignore_method && query.method != cached.method {
        return false;
    }
    // Steps 2 to 5, compare the URLs without fragments, and without queries if requested.
    let end = if options.ignore_search { Position::AfterPath } else { Position::AfterQuery };
    if query.url[..end] != cached.url[..end] {
        return false;
    }
    // Steps 6 to 8, the headers that the response varies by.
    options.ignore_vary || vary.is_none_or(|vary| matches_vary(query, cached, vary))
}

/// Whether two requests have the same values of the headers that a `Vary` names.
#[must_use]
pub fn matches_vary(query: &Request, cached: &Request, vary: &str) -> bool {
    vary.split(',')
        .map(str::trim)
        .all(|name| name != "*" && query.headers.get(name) == cached.headers.get(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, url: &str) -> Request {
        Request { method: method.into(), ..Request::get(url.parse().unwrap()) }
    }

    fn matches(query: &Request, cached: &Request, options: MatchOptions) -> bool {
        request_matches_cached_item(query, cached, None, options)
    }

    #[test]
    fn url_without_fragment_and_method_must_be_equal() {
        let exact = MatchOptions::default();
        let cached = request("POST", "https://a.test/x?q=1#f");
        assert!(matches(&request("POST", "https://a.test/x?q=1"), &cached, exact));
        assert!(!matches(&request("GET", "https://a.test/x?q=1"), &cached, exact));
        assert!(!matches(&request("POST", "https://a.test/x?q=2"), &cached, exact));
        assert!(!matches(&request("POST", "https://b.test/x?q=1"), &cached, exact));
        let loose = MatchOptions { ignore_method: true, ignore_search: true, ..exact };
        assert!(matches(&request("GET", "https://a.test/x"), &cached, loose));
    }

    #[test]
    fn vary_compares_the_named_request_headers() {
        let mut cached = request("GET", "https://a.test/");
        cached.headers.append("Accept", "a");
        let matches = |query: &Request, options| {
            request_matches_cached_item(query, &cached, Some("Accept , x"), options)
        };
        let mut query = request("GET", "https://a.test/");
        assert!(!matches(&query, MatchOptions::default()));
        let ignore = MatchOptions { ignore_vary: true, ..MatchOptions::default() };
        assert!(matches(&query, ignore));
        query.headers.append("accept", "a");
        assert!(matches(&query, MatchOptions::default()));
    }
}
