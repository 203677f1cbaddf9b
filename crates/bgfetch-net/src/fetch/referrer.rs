//! [Referrer Policy](https://w3c.github.io/webappsec-referrer-policy/): what a server learns about
//! the page that made a request.

use bgfetch_model::header_list::HeaderList;
use bgfetch_model::policy::PolicySnapshot;
use bgfetch_model::request::{Referrer, ReferrerPolicy};
use url::{Position, Url};

use super::Hop;
use super::trustworthy::is_potentially_trustworthy;

/// The maximum length of a referrer in bytes. A longer one is reduced to its origin.
const MAX_LENGTH: usize = 4096;

/// Sets the referrer of the hop to the one that is sent, and its referrer policy to the one that
/// applies. Called once for each hop. The next hop starts from this result, so it never reveals
/// more.
pub fn determine(policies: &PolicySnapshot, hop: &mut Hop) {
    // Main fetch: without a policy of the request, the page's applies, and without that the
    // default.
    let of_page = policies.policy_container.referrer_policy;
    for otherwise in [of_page, ReferrerPolicy::StrictOriginWhenCrossOrigin] {
        if hop.referrer_policy == ReferrerPolicy::Empty {
            hop.referrer_policy = otherwise;
        }
    }
    // Step 3, the source.
    let source = match &hop.referrer {
        Referrer::NoReferrer => None,
        Referrer::Client => policies.referrer.as_ref(),
        // The Request constructor accepts only URLs of the page's own origin, and uses `client` for
        // others. After a redirect, this is the referrer that was determined before.
        Referrer::Url(url) if hop.redirect_count() > 0 || policies.origin.is_same_origin(url) => {
            Some(url)
        }
        Referrer::Url(_) => policies.referrer.as_ref(),
    };
    let referrer = source.and_then(|url| told(url, hop.referrer_policy, &hop.url));
    hop.referrer = referrer.map_or(Referrer::NoReferrer, Referrer::Url);
}

/// [Determine request's referrer](https://w3c.github.io/webappsec-referrer-policy/#determine-requests-referrer),
/// from step 4 on.
fn told(source: &Url, policy: ReferrerPolicy, current: &Url) -> Option<Url> {
    // Steps 4 and 5.
    let mut url = strip_for_use_as_a_referrer(source)?;
    let origin = Url::parse(&url[..Position::BeforePath]).ok()?;
    // Step 6.
    if url.as_str().len() > MAX_LENGTH {
        url = origin.clone();
    }
    let same_origin = url.origin() == current.origin();
    let downgrade = is_potentially_trustworthy(&url) && !is_potentially_trustworthy(current);
    // Step 8.
    match policy {
        ReferrerPolicy::NoReferrer => None,
        ReferrerPolicy::Origin => Some(origin),
        ReferrerPolicy::UnsafeUrl => Some(url),
        ReferrerPolicy::StrictOrigin => (!downgrade).then_some(origin),
        ReferrerPolicy::SameOrigin => same_origin.then_some(url),
        ReferrerPolicy::OriginWhenCrossOrigin => Some(if same_origin { url } else { origin }),
        ReferrerPolicy::NoReferrerWhenDowngrade => (!downgrade).then_some(url),
        ReferrerPolicy::StrictOriginWhenCrossOrigin | ReferrerPolicy::Empty => {
            if same_origin {
                Some(url)
            } else {
                (!downgrade).then_some(origin)
            }
        }
    }
}

/// [Strip url for use as a referrer](https://w3c.github.io/webappsec-referrer-policy/#strip-url).
/// Only HTTP(S) URLs are used, as in engines. The standard excludes only the local schemes, but
/// lets the user agent reveal less.
fn strip_for_use_as_a_referrer(url: &Url) -> Option<Url> {
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let mut url = url.clone();
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    url.set_fragment(None);
    Some(url)
}

/// [Set request's referrer policy on redirect](https://w3c.github.io/webappsec-referrer-policy/#set-requests-referrer-policy-on-redirect):
/// the response with `headers` redirected to `next`.
pub fn set_policy_on_redirect(next: &mut Hop, headers: &HeaderList) {
    if let Some(policy) = parse_from_header(headers) {
        next.referrer_policy = policy;
    }
}

/// [Parse a referrer policy from a Referrer-Policy header](https://w3c.github.io/webappsec-referrer-policy/#parse-referrer-policy-from-header):
/// the last token that is a known policy, so that new ones can be listed after old ones.
fn parse_from_header(headers: &HeaderList) -> Option<ReferrerPolicy> {
    let value = headers.get("referrer-policy")?;
    let policy = |token: &str| {
        ReferrerPolicy::from_token(&token.trim_matches([' ', '\t']).to_ascii_lowercase())
    };
    value.split(',').filter_map(policy).next_back()
}

/// The `Referer` header of `hop`, after [`determine`].
#[must_use]
pub fn header(hop: &Hop) -> Option<(&'static str, &str)> {
    match &hop.referrer {
        Referrer::Url(url) => Some(("referer", url.as_str())),
        Referrer::NoReferrer | Referrer::Client => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ReferrerPolicy as P;
    use bgfetch_model::origin::Origin;
    use bgfetch_model::request::Request;
    use proptest::prelude::*;

    const POLICIES: [P; 9] = [
        P::Empty,
        P::NoReferrer,
        P::NoReferrerWhenDowngrade,
        P::SameOrigin,
        P::Origin,
        P::StrictOrigin,
        P::OriginWhenCrossOrigin,
        P::StrictOriginWhenCrossOrigin,
        P::UnsafeUrl,
    ];

    fn page(url: &str) -> PolicySnapshot {
        PolicySnapshot::of(&url.parse().unwrap())
    }

    fn hop(url: &str, policy: P) -> Hop {
        let mut hop = Hop::first(&Request::get(url.parse().unwrap()));
        hop.referrer_policy = policy;
        hop
    }

    fn referer(policies: &PolicySnapshot, mut hop: Hop) -> Option<String> {
        determine(policies, &mut hop);
        assert_ne!(hop.referrer_policy, P::Empty);
        header(&hop).map(|(_, value)| value.to_owned())
    }

    #[test]
    fn each_policy_tells_what_its_table_says() {
        const URL: &str = "https://page.test/dir/page?q";
        const ORIGIN: &str = "https://page.test/";
        let page = page("https://user:secret@page.test/dir/page?q#top");
        // To the same origin, to another origin, and to one without TLS.
        for (policy, same, cross, downgrade) in [
            (P::NoReferrer, "", "", ""),
            (P::NoReferrerWhenDowngrade, URL, URL, ""),
            (P::SameOrigin, URL, "", ""),
            (P::Origin, ORIGIN, ORIGIN, ORIGIN),
            (P::StrictOrigin, ORIGIN, ORIGIN, ""),
            (P::OriginWhenCrossOrigin, URL, ORIGIN, ORIGIN),
            (P::StrictOriginWhenCrossOrigin, URL, ORIGIN, ""),
            (P::UnsafeUrl, URL, URL, URL),
            (P::Empty, URL, ORIGIN, ""),
        ] {
            for (to, expected) in [
                ("https://page.test/x", same),
                ("https://a.test/x", cross),
                ("https://page.test:8443/x", cross),
                ("http://127.0.0.1:1/x", cross),
                ("http://a.test/x", downgrade),
                ("http://page.test/x", downgrade),
            ] {
                let told = referer(&page, hop(to, policy)).unwrap_or_default();
                assert_eq!(told, expected, "{policy:?} to {to}");
            }
        }
    }

    #[test]
    fn from_plain_http_nothing_is_a_downgrade() {
        let page = page("http://page.test/x");
        for (policy, expected) in [
            (P::StrictOrigin, "http://page.test/"),
            (P::StrictOriginWhenCrossOrigin, "http://page.test/"),
            (P::NoReferrerWhenDowngrade, "http://page.test/x"),
        ] {
            let told = referer(&page, hop("http://a.test/", policy));
            assert_eq!(told.as_deref(), Some(expected), "{policy:?}");
        }
    }

    #[test]
    fn the_requests_policy_comes_before_the_pages() {
        let mut page = page("https://page.test/x");
        page.policy_container.referrer_policy = P::NoReferrer;
        assert_eq!(referer(&page, hop("https://a.test/", P::Empty)), None);
        let told = referer(&page, hop("https://a.test/", P::UnsafeUrl));
        assert_eq!(told.as_deref(), Some("https://page.test/x"));
    }

    #[test]
    fn a_page_may_name_another_page_of_its_origin_or_none() {
        let page = page("https://page.test/x");
        for (referrer, expected) in [
            ("https://page.test/other#y", "https://page.test/other"),
            ("https://a.test/other", "https://page.test/x"),
        ] {
            let mut hop = hop("https://a.test/", P::UnsafeUrl);
            hop.referrer = Referrer::Url(referrer.parse().unwrap());
            assert_eq!(referer(&page, hop).as_deref(), Some(expected));
        }
        let mut none = hop("https://page.test/", P::UnsafeUrl);
        none.referrer = Referrer::NoReferrer;
        assert_eq!(referer(&page, none), None);
    }

    #[test]
    fn what_is_not_of_http_is_not_told() {
        let mut page = page("https://page.test/x");
        for url in ["about:blank", "data:,x", "blob:https://page.test/1", "file:///home/me/x"] {
            page.referrer = Some(url.parse().unwrap());
            assert_eq!(referer(&page, hop("https://page.test/", P::UnsafeUrl)), None, "{url}");
        }
        page.referrer = None;
        assert_eq!(referer(&page, hop("https://page.test/", P::UnsafeUrl)), None);
    }

    #[test]
    fn of_a_url_beyond_4096_bytes_the_origin_is_told() {
        let base = "https://page.test/";
        for (length, whole) in [(4096, true), (4097, false)] {
            let url = format!("{base}{}", "x".repeat(length - base.len()));
            let told = referer(&page(&url), hop("https://page.test/y", P::UnsafeUrl)).unwrap();
            assert_eq!(told, if whole { url.as_str() } else { base });
        }
    }

    #[test]
    fn what_was_withheld_of_a_sandboxed_page_stays_withheld_after_a_redirect() {
        let mut page = page("https://page.test/dir/page?q");
        page.origin = Origin::opaque();
        let mut hop = hop("https://a.test/1", P::Origin);
        determine(&page, &mut hop);
        hop.before.push(hop.url.clone());
        hop.referrer_policy = P::UnsafeUrl;
        assert_eq!(referer(&page, hop).as_deref(), Some("https://page.test/"));
    }

    #[test]
    fn the_last_known_policy_of_a_redirect_holds_from_then_on() {
        for (value, expected) in [
            ("no-referrer", P::NoReferrer),
            ("origin, no-referrer", P::NoReferrer),
            ("no-referrer, ORIGIN\t, new-policy", P::Origin),
            ("new-policy", P::SameOrigin),
            ("\"origin\"", P::SameOrigin),
            ("", P::SameOrigin),
        ] {
            let mut next = hop("https://a.test/", P::SameOrigin);
            set_policy_on_redirect(&mut next, &[("Referrer-Policy", value)].into_iter().collect());
            assert_eq!(next.referrer_policy, expected, "{value}");
        }
        let mut next = hop("https://a.test/", P::SameOrigin);
        set_policy_on_redirect(&mut next, &HeaderList::default());
        assert_eq!(next.referrer_policy, P::SameOrigin);
    }

    proptest! {
        /// What one hop withholds, no later hop reveals, whatever policy a redirect sets.
        #[test]
        fn redirects_never_tell_more(
            hops in proptest::collection::vec((0_usize..9, 0_usize..4), 1..6),
        ) {
            const TARGETS: [&str; 4] =
                ["https://page.test/1", "https://a.test/2", "http://a.test/3", "http://localhost/"];
            let page = page("https://page.test/dir/page?q");
            let mut hop = hop(TARGETS[0], P::Empty);
            let mut before = usize::MAX;
            for (policy, target) in hops {
                hop.referrer_policy = POLICIES[policy];
                hop.before.push(hop.url.clone());
                hop.url = TARGETS[target].parse().unwrap();
                determine(&page, &mut hop);
                let told = header(&hop).map_or(0, |(_, value)| value.len());
                prop_assert!(told <= before);
                before = told;
            }
        }
    }
}
