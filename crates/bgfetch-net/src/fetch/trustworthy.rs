//! Secure Contexts' [potentially trustworthy](https://www.w3.org/TR/secure-contexts/#is-origin-trustworthy)
//! origins and URLs.

use std::net::IpAddr;

use url::{Host, Origin, Url};

/// Whether a response from `url` cannot be modified in transit.
#[must_use]
pub fn is_potentially_trustworthy(url: &Url) -> bool {
    is_potentially_trustworthy_origin(&url.origin())
}

/// Whether `origin` is authenticated or on this machine.
#[must_use]
pub fn is_potentially_trustworthy_origin(origin: &Origin) -> bool {
    // Step 1, an opaque origin is not trustworthy.
    let Origin::Tuple(scheme, host, _) = origin else {
        return false;
    };
    // Step 3, TLS.
    if matches!(scheme.as_str(), "https" | "wss") {
        return true;
    }
    match host {
        // Step 4, 127.0.0.0/8 and ::1.
        Host::Ipv4(address) => IpAddr::from(*address).is_loopback(),
        Host::Ipv6(address) => IpAddr::from(*address).is_loopback(),
        // Step 5; the default resolver resolves these names to loopback.
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_and_loopback_are_trustworthy_and_the_rest_is_not() {
        for url in [
            "https://a.test/",
            "https://192.168.0.1/",
            "wss://a.test/",
            "http://127.0.0.1:8080/",
            "http://127.255.1.2/",
            "http://[::1]/",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://a.b.localhost:1/",
        ] {
            assert!(is_potentially_trustworthy(&Url::parse(url).unwrap()), "{url}");
        }
        for url in [
            "http://a.test/",
            "ws://a.test/",
            "http://192.168.0.1/",
            "http://128.0.0.1/",
            "http://0.0.0.0/",
            "http://[::2]/",
            "http://[::ffff:127.0.0.1]/",
            "http://localhost.test/",
            "http://notlocalhost/",
            "http://127.0.0.1.test/",
            "file:///etc/passwd",
            "data:,x",
        ] {
            assert!(!is_potentially_trustworthy(&Url::parse(url).unwrap()), "{url}");
        }
    }
}
