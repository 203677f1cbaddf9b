//! Whether a target may be reached at all, and the two facts of the spec's
//! [temporarily unavailable](https://wicg.github.io/background-fetch/#temporarily-unavailable).

use alloc::vec::Vec;
use core::net::IpAddr;
use ipnet::IpNet;
use url::{Host, Url};

/// The state of the network as the embedder or the system's watcher sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Connectivity {
    /// Everything may be reached.
    #[default]
    Online,
    /// Everything may be reached, at a price. Whether that pauses is the embedder's choice.
    Metered,
    /// A captive portal answers in place of every server.
    CaptivePortal,
    /// Only these targets may be reached; `Offline(Reachable::default())` holds back everything.
    Offline(Reachable),
}

/// What can be reached without the wider network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reachable {
    /// Loopback addresses and `localhost`, which need no route (ruling 34).
    pub loopback: bool,
    /// Networks that an interface is directly connected to.
    pub networks: Vec<IpNet>,
}

impl Reachable {
    /// Whether `url`'s host may be reached.
    #[must_use]
    pub fn allows(&self, url: &Url) -> bool {
        let address = match url.host() {
            Some(Host::Domain(name)) => return self.loopback && is_localhost(name),
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            None => return false,
        };
        if address.is_loopback() {
            return self.loopback;
        }
        self.networks.iter().any(|network| network.contains(&address))
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(reachable: &Reachable, url: &str) -> bool {
        reachable.allows(&Url::parse(url).unwrap())
    }

    #[test]
    fn the_system_watcher_never_holds_back_loopback() {
        let system = Reachable { loopback: true, networks: Vec::new() };
        for url in
            ["http://127.0.0.1:1/", "http://[::1]/", "http://localhost/", "http://a.localhost./"]
        {
            assert!(allows(&system, url), "{url}");
        }
        assert!(!allows(&system, "http://example.test/"));
        assert!(!allows(&system, "http://10.0.0.1/"));
        assert!(!allows(&Reachable::default(), "http://127.0.0.1/"));
    }

    #[test]
    fn a_connected_network_is_reachable_without_a_default_route() {
        let system =
            Reachable { loopback: true, networks: alloc::vec!["10.7.0.0/24".parse().unwrap()] };
        assert!(allows(&system, "http://10.7.0.9/"));
        assert!(!allows(&system, "http://10.8.0.9/"));
    }
}
