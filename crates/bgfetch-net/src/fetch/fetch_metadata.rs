//! [Fetch Metadata](https://w3c.github.io/webappsec-fetch-metadata/): headers that tell a server
//! what kind of request this is, and where it comes from.

use bgfetch_model::policy::PolicySnapshot;
use bgfetch_model::request::{Request, RequestMode};

use super::Hop;
use super::site::is_same_site;
use super::trustworthy::is_potentially_trustworthy;

/// [Append the Fetch metadata headers for a request](https://w3c.github.io/webappsec-fetch-metadata/#abstract-opdef-append-the-fetch-metadata-headers-for-a-request).
/// `Sec-Fetch-User` is only for navigations.
pub fn headers<'a>(
    policies: &'a PolicySnapshot,
    request: &'a Request,
    hop: &'a Hop,
) -> impl Iterator<Item = (&'static str, &'a str)> {
    let mode = match request.mode {
        RequestMode::Cors => "cors",
        RequestMode::SameOrigin => "same-origin",
        RequestMode::NoCors => "no-cors",
    };
    // Step 1, they are only sent to potentially trustworthy URLs.
    is_potentially_trustworthy(&hop.url)
        .then(|| {
            [
                ("sec-fetch-dest", hop.destination.name()),
                ("sec-fetch-mode", mode),
                ("sec-fetch-site", site(policies, hop)),
            ]
        })
        .into_iter()
        .flatten()
}

/// [`Sec-Fetch-Site`](https://w3c.github.io/webappsec-fetch-metadata/#abstract-opdef-set-site): the
/// relation of the page to the URLs of the redirect chain; the most distant one counts.
fn site(policies: &PolicySnapshot, hop: &Hop) -> &'static str {
    let origin = &policies.origin;
    let mut site = "same-origin";
    for url in hop.url_list().filter(|url| !origin.is_same_origin(url)) {
        if !is_same_site(origin, url) {
            return "cross-site";
        }
        site = "same-site";
    }
    site
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(page: &str, mode: RequestMode, urls: &[&str]) -> Vec<String> {
        let policies = PolicySnapshot::of(&page.parse().unwrap());
        let (last, before) = urls.split_last().unwrap();
        let request = Request::get(last.parse().unwrap()).with(|it| it.mode = mode);
        let mut hop = Hop::first(&request);
        hop.before = before.iter().map(|url| url.parse().unwrap()).collect();
        headers(&policies, &request, &hop).map(|(name, value)| format!("{name}: {value}")).collect()
    }

    #[test]
    fn a_server_is_told_the_kind_of_request_unless_others_can_listen() {
        let page = "https://page.test/";
        for (mode, name) in [(RequestMode::Cors, "cors"), (RequestMode::SameOrigin, "same-origin")]
        {
            let expected = [
                "sec-fetch-dest: empty".to_owned(),
                format!("sec-fetch-mode: {name}"),
                "sec-fetch-site: same-origin".to_owned(),
            ];
            assert_eq!(sent(page, mode, &["https://page.test/x"]), expected);
        }
        assert!(sent(page, RequestMode::Cors, &["http://a.test/"]).is_empty());
    }

    #[test]
    fn the_site_is_that_of_the_farthest_url() {
        let page = "https://www.page.test/";
        let (own, sibling, other) =
            ("https://www.page.test/x", "https://cdn.page.test/", "https://a.test/");
        for (urls, expected) in [
            (&[own][..], "same-origin"),
            (&[sibling], "same-site"),
            (&["https://www.page.test:8443/"], "same-site"),
            (&[other], "cross-site"),
            (&[own, sibling], "same-site"),
            (&[sibling, own], "same-site"),
            (&[other, own], "cross-site"),
            (&[own, other, sibling], "cross-site"),
            // The scheme is part of the site.
            (&["http://www.page.test/x", own], "cross-site"),
            (&["http://localhost/"], "cross-site"),
        ] {
            let header = format!("sec-fetch-site: {expected}");
            assert_eq!(sent(page, RequestMode::Cors, urls).pop(), Some(header), "{urls:?}");
        }
    }
}
