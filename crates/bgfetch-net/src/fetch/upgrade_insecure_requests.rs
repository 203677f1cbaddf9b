//! [Upgrade Insecure Requests](https://www.w3.org/TR/upgrade-insecure-requests/): a page may ask that
//! what it fetches by http is fetched by https.

use bgfetch_model::policy::PolicySnapshot;
use url::Url;

use super::trustworthy::is_potentially_trustworthy;

/// [Upgrades](https://www.w3.org/TR/upgrade-insecure-requests/#upgrade-request) `url` where the page
/// asks for it. What is potentially trustworthy stays: a server on loopback has no TLS.
pub fn upgrade(policies: &PolicySnapshot, url: &mut Url) {
    if !policies.upgrade_insecure_requests
        || url.scheme() != "http"
        || is_potentially_trustworthy(url)
    {
        return;
    }
    // Port 80 is no part of an http URL; any other port stays.
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
