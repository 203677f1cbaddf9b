//! HTML's [site](https://html.spec.whatwg.org/multipage/browsers.html#site): origins that belong to
//! one party according to the public suffix list (feature `psl`).

use bgfetch_model::origin::Origin;
use url::{Host, Url};

#[cfg(not(any(test, feature = "psl")))]
use self::no_list as list;

/// A site other than an opaque origin: a scheme and a registrable domain, or a host if there is
/// none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Site {
    scheme: String,
    host: Host,
}

impl Site {
    /// [Obtains a site](https://html.spec.whatwg.org/multipage/browsers.html#obtain-a-site). `None`
    /// for an opaque origin, which is a site of its own.
    #[must_use]
    pub fn of(origin: &Origin) -> Option<Self> {
        Self::of_url_origin(origin.as_url_origin())
    }

    fn of_url_origin(origin: &url::Origin) -> Option<Self> {
        let url::Origin::Tuple(scheme, host, _) = origin else {
            return None;
        };
        let host = match host {
            Host::Domain(name) => Host::Domain(registrable_domain(name).unwrap_or(name).to_owned()),
            address => address.clone(),
        };
        Some(Self { scheme: scheme.clone(), host })
    }
}

/// Whether `a` and the origin of `b` are
/// [same site](https://html.spec.whatwg.org/multipage/browsers.html#same-site), including their
/// schemes. An opaque origin is not same site with any URL.
#[must_use]
pub fn is_same_site(a: &Origin, b: &Url) -> bool {
    Site::of(a).is_some_and(|site| Site::of_url_origin(&b.origin()) == Some(site))
}

/// Whether `domain`, in the form hosts have in URLs, is a
/// [public suffix](https://url.spec.whatwg.org/#host-public-suffix): different parties have hosts
/// below it. A top-level domain that is not in the list is one. Without the feature `psl`, there is
/// no list, and any domain may be one.
#[must_use]
pub fn is_public_suffix(domain: &str) -> bool {
    list::is_public_suffix(domain)
}

/// The [registrable domain](https://url.spec.whatwg.org/#host-registrable-domain) of a host name;
/// `None` for a public suffix. `a.test.` and `a.test` are different, as hosts are. Without the
/// feature `psl`, always `None`.
#[must_use]
pub fn registrable_domain(name: &str) -> Option<&str> {
    list::registrable_domain(name)
}

/// The public suffix list.
#[cfg(any(test, feature = "psl"))]
mod list {
    pub(super) fn is_public_suffix(domain: &str) -> bool {
        psl::suffix(domain.as_bytes()).is_some_and(|suffix| suffix.as_bytes() == domain.as_bytes())
    }

    pub(super) fn registrable_domain(name: &str) -> Option<&str> {
        std::str::from_utf8(psl::domain(name.as_bytes())?.as_bytes()).ok()
    }
}

/// In place of the list: no two hosts are known to belong to one party.
#[cfg(any(test, not(feature = "psl")))]
mod no_list {
    pub(super) fn is_public_suffix(domain: &str) -> bool {
        !domain.is_empty()
    }

    pub(super) fn registrable_domain(_name: &str) -> Option<&str> {
        None
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn without_a_list_no_cookie_is_for_several_hosts_and_no_two_hosts_are_one_site() {
            for name in ["a.test", "test", "www.a.test", "co.uk"] {
                assert!(super::is_public_suffix(name), "{name}");
                assert_eq!(super::registrable_domain(name), None, "{name}");
            }
            assert!(!super::is_public_suffix(""));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn same(a: &str, b: &str) -> bool {
        is_same_site(&Origin::of(&a.parse().unwrap()), &b.parse().unwrap())
    }

    #[test]
    fn a_site_is_a_scheme_and_a_registrable_domain() {
        for (a, b) in [
            ("https://a.test", "https://a.test/x"),
            ("https://a.test", "https://a.test:8443/"),
            ("https://www.a.test", "https://cdn.eu.a.test/"),
            ("https://a.co.uk", "https://b.a.co.uk/"),
            ("https://me.github.io", "https://x.me.github.io/"),
            ("https://a.xn--55qx5d.cn", "https://b.a.xn--55qx5d.cn/"),
            ("https://a.test.", "https://b.a.test./"),
        ] {
            assert!(same(a, b) && same(b, a), "{a} {b}");
        }
        for (a, b) in [
            ("http://a.test", "https://a.test/"),
            ("https://a.test", "https://b.test/"),
            ("https://a.test", "https://nota.test/"),
            ("https://a.co.uk", "https://b.co.uk/"),
            ("https://me.github.io", "https://you.github.io/"),
            ("https://a.xn--55qx5d.cn", "https://b.xn--55qx5d.cn/"),
            ("https://github.io", "https://me.github.io/"),
            ("https://a.test", "https://a.test./"),
            ("https://a.test.", "https://b.test./"),
        ] {
            assert!(!same(a, b) && !same(b, a), "{a} {b}");
        }
    }

    #[test]
    fn addresses_and_suffixes_are_sites_of_their_own() {
        for host in ["127.0.0.1", "[::1]", "localhost", "github.io", "test", "co.uk"] {
            assert!(same(&format!("http://{host}:1"), &format!("http://{host}:2/x")), "{host}");
        }
        for (a, b) in [
            ("http://127.0.0.1", "http://126.0.0.1/"),
            ("http://1.2.3.4", "http://2.2.3.4/"),
            ("http://[::1]", "http://[::2]/"),
            ("http://127.0.0.1", "http://localhost/"),
            ("http://a.localhost", "http://localhost/"),
        ] {
            assert!(!same(a, b), "{a} {b}");
        }
    }

    #[test]
    fn an_opaque_origin_is_same_site_with_nothing() {
        assert!(!is_same_site(&Origin::opaque(), &"https://a.test/".parse().unwrap()));
        assert!(!same("https://a.test/", "data:,x"));
        assert!(!same("data:,x", "data:,x"));
        assert_eq!(Site::of(&Origin::opaque()), None);
    }

    #[test]
    fn public_suffixes_known_and_unknown() {
        for suffix in ["com", "co.uk", "github.io", "test", "xn--55qx5d.cn", "xn--p1ai"] {
            assert!(is_public_suffix(suffix), "{suffix}");
        }
        for domain in ["a.com", "a.co.uk", "me.github.io", "a.test", "a.xn--p1ai", ""] {
            assert!(!is_public_suffix(domain), "{domain}");
        }
    }

    proptest! {
        #[test]
        fn any_host_is_same_site_with_itself_and_its_site_is_a_suffix(name in "[a-z.-]{1,30}") {
            if let Ok(url) = Url::parse(&format!("https://{name}/")) {
                prop_assert!(is_same_site(&Origin::of(&url), &url));
                let host = url.host_str().unwrap();
                if let Some(domain) = registrable_domain(host) {
                    prop_assert!(host.ends_with(domain));
                    prop_assert!(!is_public_suffix(domain));
                }
            }
        }
    }
}
