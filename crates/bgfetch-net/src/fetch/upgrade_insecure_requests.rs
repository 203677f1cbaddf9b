//! [Upgrade Insecure Requests](https://www.w3.org/TR/upgrade-insecure-requests/): a page may
//! request that its http URLs are fetched over https.

use bgfetch_model::policy::PolicySnapshot;
use url::Url;

use super::trustworthy::is_potentially_trustworthy;

/// [Upgrades](https://www.w3.org/TR/upgrade-insecure-requests/#upgrade-request) `url` if the page
/// requests it. A potentially trustworthy URL is kept, because a server on loopback has no TLS.
pub fn upgrade(policies: &PolicySnapshot, url: &mut Url) {
    if !policies.upgrade_insecure_requests
        || url.scheme() != "http"
        || is_potentially_trustworthy(url)
    {
        return;
    }
    // Port 80 is not serialized in an http URL; any other port is kept.
    if url.set_scheme("https").is_err() {
        tracing::warn!("an http URL could not be upgraded");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_becomes_https_unless_it_is_on_this_machine() {
        let mut policies = PolicySnapshot::of(&"https://page.test/".parse().unwrap());
        for (url, upgraded) in [
            ("http://a.test/x?y#z", "https://a.test/x?y#z"),
            ("http://a.test:80/", "https://a.test/"),
            ("http://a.test:8080/", "https://a.test:8080/"),
            ("http://a.test:443/", "https://a.test/"),
            ("https://a.test:80/", "https://a.test:80/"),
            ("http://127.0.0.1:80/", "http://127.0.0.1/"),
            ("http://x.localhost/", "http://x.localhost/"),
            ("ftp://a.test/", "ftp://a.test/"),
        ] {
            for (wanted, expected) in [(true, upgraded), (false, url)] {
                policies.upgrade_insecure_requests = wanted;
                let mut now: Url = url.parse().unwrap();
                upgrade(&policies, &mut now);
                assert_eq!(now, expected.parse().unwrap());
            }
        }
    }
}
