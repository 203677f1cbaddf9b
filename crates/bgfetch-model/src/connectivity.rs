//! Whether a target can be reached, and the two conditions of the spec's [temporarily
//! unavailable](https://wicg.github.io/background-fetch/#temporarily-unavailable).

use alloc::vec::Vec;
use core::net::IpAddr;
use ipnet::IpNet;
use url::{Host, Url};

use crate::ip_address_space::is_localhost;

/// The state of the network as the embedder or the system's watcher reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Connectivity {
    /// Everything can be reached.
    #[default]
    Online,
    /// Everything can be reached, at a cost. The embedder decides whether fetches pause then.
    Metered,
    /// A captive portal answers in place of every server.
    CaptivePortal,
    /// Only these targets can be reached; `Offline(Reachable::default())` holds back everything.
    Offline(Reachable),
}

impl Connectivity {
    /// Whether this state may have cut off targets that `before` could reach.
    #[must_use]
    pub(crate) fn cuts_off(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::Offline(now), Self::Offline(before)) => !now.covers(before),
            (Self::Offline(_), _) => true,
            _ => false,
        }
    }
}

/// What can be reached without the wider network. By default, nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reachable {
    /// Loopback addresses and `localhost`, which need no route.
    pub loopback: bool,
    /// This machine's own addresses, and the networks that have a route.
    pub networks: Vec<IpNet>,
}

crate::impl_with!(Reachable);

/// Whether a host can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It can.
    Yes,
    /// It cannot.
    No,
    /// Its name has to be looked up first: it may have an address that can be reached.
    Unresolved,
}

impl Reachable {
    /// Whether the host of `url` can be reached. A name is [`Reach::Unresolved`], with two
    /// exceptions: `localhost` and the names below it are this machine, and if nothing can be
    /// reached, no name can.
    #[must_use]
    pub fn host(&self, url: &Url) -> Reach {
        let reached = match url.host() {
            Some(Host::Domain(name)) if is_localhost(name) => self.loopback,
            Some(Host::Domain(_)) if self.loopback || !self.networks.is_empty() => {
                return Reach::Unresolved;
            }
            Some(Host::Domain(_)) | None => false,
            Some(Host::Ipv4(address)) => self.address(address.into()),
            Some(Host::Ipv6(address)) => self.address(address.into()),
        };
        if reached { Reach::Yes } else { Reach::No }
    }

    /// Whether it includes everything that `other` does.
    fn covers(&self, other: &Self) -> bool {
        (self.loopback || !other.loopback)
            && other
                .networks
                .iter()
                .all(|network| self.networks.iter().any(|own| own.contains(network)))
    }

    /// Whether `address` can be reached. The unspecified address counts as this machine, and an
    /// IPv4-mapped one as the IPv4 address in it.
    #[must_use]
    pub fn address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if address.is_loopback() || address.is_unspecified() {
            return self.loopback;
        }
        self.networks.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(reachable: &Reachable, url: &str) -> Reach {
        reachable.host(&Url::parse(url).unwrap())
    }

    #[test]
    fn the_system_watcher_never_holds_back_loopback() {
        let system = Reachable { loopback: true, networks: Vec::new() };
        for url in [
            "http://127.0.0.1:1/",
            "http://[::1]/",
            "http://localhost/",
            "http://a.localhost./",
            "http://0.0.0.0/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
        ] {
            assert_eq!(host(&system, url), Reach::Yes, "{url}");
            assert_eq!(host(&Reachable::default(), url), Reach::No, "{url}");
        }
        assert_eq!(host(&system, "http://10.0.0.1/"), Reach::No);
    }

    #[test]
    fn a_connected_network_is_reachable_without_a_default_route() {
        let networks = ["10.7.0.0/24", "fd00:7::/64", "192.0.2.5/32"];
        let networks = networks.map(|network| network.parse().unwrap()).to_vec();
        let system = Reachable { loopback: false, networks };
        for url in [
            "http://10.7.0.9/",
            "http://[fd00:7::2]/",
            "http://[::ffff:10.7.0.9]/",
            "http://192.0.2.5/",
        ] {
            assert_eq!(host(&system, url), Reach::Yes, "{url}");
        }
        for url in ["http://10.8.0.9/", "http://192.0.2.6/", "http://localhost/", "http://[::1]/"] {
            assert_eq!(host(&system, url), Reach::No, "{url}");
        }
    }

    #[test]
    fn only_what_was_reached_before_can_be_cut_off() {
        let offline = |loopback, networks: &[&str]| {
            let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
            Connectivity::Offline(Reachable { loopback, networks })
        };
        let lan = offline(true, &["10.7.0.0/24"]);
        for (now, before, cuts) in [
            (&lan, &Connectivity::Online, true),
            (&lan, &Connectivity::Metered, true),
            (&lan, &lan, false),
            (&lan, &offline(true, &["10.7.0.9/32"]), false),
            (&lan, &offline(true, &["10.0.0.0/8"]), true),
            (&offline(true, &["10.0.0.0/8", "fd00:7::/64"]), &lan, false),
            (&offline(false, &["10.7.0.0/24"]), &lan, true),
            (&Connectivity::Online, &lan, false),
            (&Connectivity::CaptivePortal, &lan, false),
        ] {
            assert_eq!(now.cuts_off(before), cuts, "{before:?} to {now:?}");
        }
    }

    #[test]
    fn a_name_has_to_be_looked_up_unless_nothing_can_be_reached() {
        let own = Reachable { loopback: true, networks: Vec::new() };
        let networks = alloc::vec!["10.7.0.0/24".parse().unwrap()];
        let connected = Reachable { loopback: false, networks };
        for url in ["http://nas/", "http://nas.local/", "https://example.test/"] {
            assert_eq!(host(&own, url), Reach::Unresolved, "{url}");
            assert_eq!(host(&connected, url), Reach::Unresolved, "{url}");
            assert_eq!(host(&Reachable::default(), url), Reach::No, "{url}");
        }
    }
}
