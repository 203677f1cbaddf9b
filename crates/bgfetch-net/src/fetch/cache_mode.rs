//! What the [cache mode](https://fetch.spec.whatwg.org/#concept-request-cache-mode) means without
//! an HTTP cache (D43): it only sets headers for caches along the path.

use bgfetch_model::header_list::HeaderList;
use bgfetch_model::request::{CacheMode, Request};

use super::{Blocked, Hop};

/// Fails `only-if-cached`, because there is no cache that could answer it.
///
/// # Errors
/// [`Blocked::OnlyIfCached`].
pub fn check(request: &Request) -> Result<(), Blocked> {
    if request.cache == CacheMode::OnlyIfCached { Err(Blocked::OnlyIfCached) } else { Ok(()) }
}

/// Headers of conditional requests, by which a page revalidates its own copy.
const CONDITIONAL: [&str; 5] =
    ["if-modified-since", "if-none-match", "if-unmodified-since", "if-match", "if-range"];

/// The headers that
/// [HTTP-network-or-cache fetch](https://fetch.spec.whatwg.org/#concept-http-network-or-cache-fetch)
/// adds for the mode, except for those that the page has set.
pub fn headers<'a>(
    request: &'a Request,
    hop: &'a Hop,
) -> impl Iterator<Item = (&'static str, &'a str)> {
    let added: &[_] = match effective(request.cache, &hop.headers) {
        CacheMode::NoStore | CacheMode::Reload => {
            &[("pragma", "no-cache"), ("cache-control", "no-cache")]
        }
        CacheMode::NoCache => &[("cache-control", "max-age=0")],
        CacheMode::Default | CacheMode::ForceCache | CacheMode::OnlyIfCached => &[],
    };
    added.iter().copied().filter(|(name, _)| !hop.headers.contains(name))
}

/// A conditional request of a page bypasses caches.
fn effective(mode: CacheMode, headers: &HeaderList) -> CacheMode {
    let conditional = CONDITIONAL.iter().any(|name| headers.contains(name));
    if mode == CacheMode::Default && conditional { CacheMode::NoStore } else { mode }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(cache: CacheMode, list: &[(&str, &str)]) -> Vec<String> {
        let url = "https://a.test/".parse().unwrap();
        let headers_of_page = list.iter().copied().collect();
        let request = Request::get(url).with(|it| {
            it.cache = cache;
            it.headers = headers_of_page;
        });
        headers(&request, &Hop::first(&request))
            .map(|(name, value)| format!("{name}: {value}"))
            .collect()
    }

    #[test]
    fn each_mode_tells_caches_what_fetch_says() {
        const BYPASS: [&str; 2] = ["pragma: no-cache", "cache-control: no-cache"];
        for (mode, expected) in [
            (CacheMode::Default, &[][..]),
            (CacheMode::NoStore, &BYPASS),
            (CacheMode::Reload, &BYPASS),
            (CacheMode::NoCache, &["cache-control: max-age=0"]),
            (CacheMode::ForceCache, &[]),
        ] {
            assert_eq!(added(mode, &[]), expected, "{mode:?}");
        }
        for name in CONDITIONAL {
            assert_eq!(added(CacheMode::Default, &[(name, "x")]), BYPASS, "{name}");
            assert_eq!(added(CacheMode::ForceCache, &[(name, "x")]).len(), 0, "{name}");
        }
    }

    #[test]
    fn the_pages_own_headers_win() {
        let own = [("Cache-Control", "max-age=60")];
        assert!(added(CacheMode::NoCache, &own).is_empty());
        assert_eq!(added(CacheMode::Reload, &own), ["pragma: no-cache"]);
        assert!(added(CacheMode::Reload, &[("PRAGMA", ""), own[0]]).is_empty());
    }

    #[test]
    fn nothing_is_cached() {
        let mut request = Request::get("https://a.test/".parse().unwrap());
        assert_eq!(check(&request), Ok(()));
        request.cache = CacheMode::OnlyIfCached;
        assert_eq!(check(&request), Err(Blocked::OnlyIfCached));
    }
}
