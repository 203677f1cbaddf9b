//! The names and ports of the server in tests, which are not this machine's.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use bgfetch::Resolve;
use bgfetch::embedder::BoxFuture;
use url::Url;

/// The host from which tests are loaded.
pub(super) const HOST: &str = "web-platform.test";

/// A host of another site.
pub(super) const ALTERNATE_HOST: &str = "not-web-platform.test";

/// The sub-domains of both hosts, as tests write them and in ASCII.
const SUBDOMAINS: [(&str, &str); 5] = [
    ("www", "www"),
    ("www1", "www1"),
    ("www2", "www2"),
    ("天気の良い日", "xn--n8j6ds53lwwkrqhv28a"),
    ("élève", "xn--lve-6lad"),
];

/// The server's ports, which the system chose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site {
    pub(super) http: [u16; 2],
    pub(super) https: [u16; 2],
}

impl Site {
    /// The URL of a path on the first https port, from which tests are loaded.
    pub(super) fn url(&self, path: &str) -> Result<Url, url::ParseError> {
        let [port, _] = self.https;
        Url::parse(&format!("https://{HOST}:{port}/"))?.join(path)
    }

    /// The ports of a protocol, by its name in tests. Nothing listens on those of unsupported
    /// protocols.
    pub(super) fn port(&self, protocol: &str, index: usize) -> Option<u16> {
        match protocol {
            "http" => self.http.get(index).copied(),
            "https" => self.https.get(index).copied(),
            "ws" | "wss" => Some(0),
            _ => None,
        }
    }
}

/// The ASCII form of a host's sub-domain, which may have two levels; empty for the host itself.
pub(super) fn domain(host: &str, subdomain: &str) -> Option<String> {
    if subdomain.is_empty() {
        return Some(host.to_owned());
    }
    let mut levels = Vec::new();
    for level in subdomain.split('.') {
        levels.push(SUBDOMAINS.iter().find(|(name, _)| *name == level)?.1);
    }
    (levels.len() <= 2).then(|| format!("{}.{host}", levels.join(".")))
}

/// All names of the server.
pub(super) fn names() -> HashSet<String> {
    let mut names = HashSet::new();
    for host in [HOST, ALTERNATE_HOST] {
        names.insert(host.to_owned());
        for (_, outer) in SUBDOMAINS {
            names.insert(format!("{outer}.{host}"));
            names.extend(SUBDOMAINS.iter().map(|(_, inner)| format!("{inner}.{outer}.{host}")));
        }
    }
    names
}

/// The same as [`Resolver`], as rules for Chromium. A name matches the first rule that fits;
/// exclusions have precedence.
pub(super) fn host_rules() -> String {
    let own = names().into_iter().map(|name| format!("MAP {name} 127.0.0.1"));
    let others =
        ["MAP * ^NOTFOUND", "EXCLUDE localhost", "EXCLUDE *.localhost", "EXCLUDE 127.0.0.1"];
    own.chain(others.map(str::to_owned)).collect::<Vec<_>>().join(", ")
}

/// Resolves the names of the server and `localhost`; all other look-ups fail at once.
pub(super) struct Resolver(HashSet<String>);

impl Resolver {
    pub(super) fn new() -> Self {
        Self(names())
    }
}

impl Resolve for Resolver {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let name = host.to_ascii_lowercase();
        let known = self.0.contains(&name) || name == "localhost" || name.ends_with(".localhost");
        let found = if known {
            Ok(vec![Ipv4Addr::LOCALHOST.into()])
        } else {
            Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{host} is not a host of the tests"),
            ))
        };
        Box::pin(std::future::ready(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subdomains_are_those_of_the_tests() {
        let of = |subdomain| domain(HOST, subdomain);
        assert_eq!(of("").unwrap(), "web-platform.test");
        assert_eq!(of("www1").unwrap(), "www1.web-platform.test");
        assert_eq!(of("élève.www").unwrap(), "xn--lve-6lad.www.web-platform.test");
        assert_eq!(of("other"), None);
        assert_eq!(of("www.www.www"), None);
    }

    #[test]
    fn rules_for_a_browser_name_each_host() {
        let rules = host_rules();
        assert!(rules.contains("MAP www.www2.not-web-platform.test 127.0.0.1, "), "{rules}");
        let (own, others) = rules.split_once("MAP * ^NOTFOUND").unwrap();
        assert_eq!(own.matches("MAP ").count(), names().len());
        assert!(!others.contains("MAP "), "{rules}");
    }

    #[tokio::test]
    async fn only_names_of_the_tests_resolve() {
        let resolver = Resolver::new();
        for name in ["web-platform.test", "www2.not-web-platform.test", "LOCALHOST"] {
            assert_eq!(resolver.resolve(name).await.unwrap(), [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        }
        for name in ["nonexistent.web-platform.test", "example.com", "test"] {
            assert!(resolver.resolve(name).await.is_err(), "{name}");
        }
    }
}
