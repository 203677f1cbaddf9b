//! [Mixed Content](https://www.w3.org/TR/mixed-content/): a page that was loaded over TLS can only
//! fetch over TLS.

use bgfetch_model::policy::PolicySnapshot;
use url::{Origin, Url};

use super::Blocked;
use super::trustworthy::is_potentially_trustworthy;

/// [Should fetching request be blocked as mixed content?](https://www.w3.org/TR/mixed-content/#should-block-fetch)
///
/// The check of responses is the same for the response's URL, which here is always the URL of the
/// last request.
///
/// # Errors
/// [`Blocked::MixedContent`].
pub fn check(policies: &PolicySnapshot, url: &Url) -> Result<(), Blocked> {
    // Steps 1.1 and 1.2. The other two exceptions do not apply to the fetch of a script.
    if !prohibits_mixed_security_contexts(policies) || is_potentially_trustworthy(url) {
        return Ok(());
    }
    Err(Blocked::MixedContent)
}

/// [Does settings prohibit mixed security contexts?](https://www.w3.org/TR/mixed-content/#categorize-settings-object)
fn prohibits_mixed_security_contexts(policies: &PolicySnapshot) -> bool {
    let [origin, top] = [&policies.origin, &policies.top_level_origin].map(scheme);
    // DEVIATION(D28): in the standard, an http page on loopback prohibits them too, because its
    // origin is potentially trustworthy. No engine blocks there.
    // Steps 1 and 2. Of the ancestors, the top-level page is checked.
    origin == Some("https")
        || top == Some("https")
        // A sandboxed page has an opaque origin, but it is known to be a secure context.
        || (policies.secure_context && origin != Some("http"))
}

fn scheme(origin: &bgfetch_model::origin::Origin) -> Option<&str> {
    match origin.as_url_origin() {
        Origin::Tuple(scheme, ..) => Some(scheme),
        Origin::Opaque(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bgfetch_model::origin::Origin as PageOrigin;

    fn page(url: &str) -> PolicySnapshot {
        PolicySnapshot::of(&url.parse().unwrap())
    }

    fn blocks(policies: &PolicySnapshot, url: &str) -> bool {
        check(policies, &url.parse().unwrap()).is_err()
    }

    #[test]
    fn a_page_over_tls_fetches_only_what_is_potentially_trustworthy() {
        let page = page("https://page.test/");
        for (url, blocked) in [
            ("https://a.test/", false),
            ("http://a.test/", true),
            ("http://page.test/", true),
            ("http://10.0.0.1/", true),
            ("http://127.0.0.1:8080/", false),
            ("http://[::1]/", false),
            ("http://localhost/", false),
            ("http://x.localhost/", false),
        ] {
            assert_eq!(blocks(&page, url), blocked, "{url}");
        }
    }

    #[test]
    fn a_page_over_plain_http_may_fetch_its_like_on_loopback_too() {
        for url in ["http://localhost:8000/", "http://127.0.0.1/", "http://page.test/"] {
            assert!(!blocks(&page(url), "http://10.0.0.1/model.bin"), "{url}");
        }
    }

    #[test]
    fn a_secure_page_above_prohibits_mixed_content_and_so_does_a_lost_origin() {
        let mut framed = page("http://localhost/");
        framed.top_level_origin = PageOrigin::of(&"https://top.test/".parse().unwrap());
        assert!(blocks(&framed, "http://a.test/"));
        let mut sandboxed = page("https://page.test/");
        sandboxed.origin = PageOrigin::opaque();
        assert!(blocks(&sandboxed, "http://a.test/"));
        sandboxed.top_level_origin = PageOrigin::opaque();
        assert!(blocks(&sandboxed, "http://a.test/"));
        sandboxed.secure_context = false;
        assert!(!blocks(&sandboxed, "http://a.test/"));
    }
}
