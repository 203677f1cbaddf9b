//! [Cross-origin resource policy check](https://fetch.spec.whatwg.org/#cross-origin-resource-policy-check),
//! for a page without an embedder policy.

use bgfetch_model::header_list::HeaderList;
use bgfetch_model::policy::PolicySnapshot;
use url::Url;

use super::Blocked;
use super::site::is_same_site;

/// Checks whether the server at `url` lets the page use its response in mode `no-cors`.
///
/// # Errors
/// [`Blocked::ResourcePolicy`] when it does not.
pub fn check(policies: &PolicySnapshot, url: &Url, headers: &HeaderList) -> Result<(), Blocked> {
    let same_origin = policies.origin.is_same_origin(url);
    // The site's scheme counts, so a page over HTTP is not of the same site as a server over TLS.
    let allowed = match headers.get("cross-origin-resource-policy").as_deref() {
        Some("same-origin") => same_origin,
        Some("same-site") => same_origin || is_same_site(&policies.origin, url),
        // Without the header, or with an unknown value, anyone may use the response.
        _ => true,
    };
    if allowed { Ok(()) } else { Err(Blocked::ResourcePolicy) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_decides_who_may_use_its_response() {
        let (own, sibling, other) =
            ("https://www.page.test/x", "https://cdn.page.test/x", "https://a.test/x");
        let insecure = "http://cdn.page.test/x";
        for (value, allowed) in [
            (None, &[own, sibling, other, insecure][..]),
            (Some("cross-origin"), &[own, sibling, other, insecure]),
            (Some("nonsense"), &[own, sibling, other, insecure]),
            (Some("same-origin, same-origin"), &[own, sibling, other, insecure]),
            (Some("SAME-ORIGIN"), &[own, sibling, other, insecure]),
            (Some("same-site"), &[own, sibling]),
            (Some("same-origin"), &[own]),
        ] {
            let headers = value.map(|value| ("Cross-Origin-Resource-Policy", value));
            let headers = HeaderList::from_iter(headers);
            let page = PolicySnapshot::of(&"https://www.page.test/".parse().unwrap());
            for url in [own, sibling, other, insecure] {
                let checked = check(&page, &url.parse().unwrap(), &headers);
                assert_eq!(checked.is_ok(), allowed.contains(&url), "{value:?} {url}");
            }
        }
    }
}
