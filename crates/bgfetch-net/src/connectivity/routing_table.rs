//! Derives connectivity from a routing table. Pure, so that watchers for all platforms can share it
//! and every case can be an entry in a test's table.

use bgfetch_model::connectivity::{Connectivity, Reachable};
use ipnet::IpNet;

/// A snapshot of the system's links and routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutingTable {
    /// The network interfaces.
    pub links: Vec<Link>,
    /// The routes to other machines (unicast only) and to this one, of IPv4 and IPv6 and of every
    /// table, since policy rules may select any of them.
    pub routes: Vec<Route>,
}

/// A network interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The interface index that routes refer to.
    pub index: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// Whether it is operational: it has a carrier and is not still authenticating.
    pub running: bool,
    /// Whether it is the loopback interface.
    pub loopback: bool,
}

impl Link {
    fn carries_traffic(&self) -> bool {
        self.up && self.running && !self.loopback
    }
}

/// A route to some addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The destination; prefix length 0 is the default route.
    pub destination: IpNet,
    /// The location of these addresses.
    pub via: Via,
}

/// The location of the addresses of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// On this machine, whichever link they are assigned to: traffic to them uses the loopback
    /// interface.
    Loopback,
    /// Behind one of the links with these indices, directly connected or through a gateway. A
    /// multipath route has several.
    Links(Vec<u32>),
}

impl RoutingTable {
    /// Determines what can be reached through these routes.
    ///
    /// [`Connectivity::Online`] if there is a default route of either IP version over an
    /// operational link. Two routes that together cover all addresses, as some tunnels install
    /// them, count as a default route. Otherwise [`Connectivity::Offline`] with loopback and the
    /// networks of the remaining routes, including this machine's own addresses. Link-local
    /// networks do not count: their addresses are meaningless without an interface, and interfaces
    /// assign them to themselves even without a network.
    ///
    /// A virtual link (a tunnel, a container bridge) counts as operational if it says so.
    #[must_use]
    pub fn connectivity(&self) -> Connectivity {
        let networks: Vec<IpNet> = self
            .routes
            .iter()
            .filter(|route| {
                let network = &route.destination;
                !is_link_local(network) && !is_loopback(network) && self.is_usable(route)
            })
            .map(|route| route.destination.trunc())
            .collect();
        // Sorted, deduplicated and with halves joined, so that equal states compare equal.
        let networks = IpNet::aggregate(&networks);
        if networks.iter().any(|network| network.prefix_len() == 0) {
            return Connectivity::Online;
        }
        Connectivity::Offline(Reachable::default().with(|it| {
            it.loopback = true;
            it.networks = networks;
        }))
    }

    fn is_usable(&self, route: &Route) -> bool {
        match &route.via {
            Via::Loopback => self.links.iter().any(|link| link.loopback && link.up),
            Via::Links(indices) => {
                let used = |link: &Link| indices.contains(&link.index);
                self.links.iter().any(|link| link.carries_traffic() && used(link))
            }
        }
    }
}

/// Whether the network is covered by [`Reachable::loopback`].
fn is_loopback(network: &IpNet) -> bool {
    network.addr().is_loopback() && network.broadcast().is_loopback()
}

fn is_link_local(network: &IpNet) -> bool {
    match network {
        IpNet::V4(network) => network.prefix_len() >= 16 && network.addr().is_link_local(),
        IpNet::V6(network) => network.prefix_len() >= 10 && network.addr().is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LO: Link = Link { index: 1, up: true, running: true, loopback: true };
    const ETH: Link = Link { index: 2, up: true, running: true, loopback: false };
    const WLAN: Link = Link { index: 3, ..ETH };

    fn to(destination: &str, links: &[u32]) -> Route {
        Route { destination: destination.parse().unwrap(), via: Via::Links(links.to_vec()) }
    }

    fn own(address: &str) -> Route {
        Route { destination: address.parse().unwrap(), via: Via::Loopback }
    }

    fn offline(networks: &[&str]) -> Connectivity {
        Connectivity::Offline(Reachable::default().with(|it| {
            it.loopback = true;
            it.networks = networks.iter().map(|net| net.parse().unwrap()).collect();
        }))
    }

    #[test]
    fn every_table_gives_its_connectivity() {
        let down = Link { up: false, ..ETH };
        let no_carrier = Link { running: false, ..ETH };
        let cases = [
            ("nothing", vec![], vec![], offline(&[])),
            ("only loopback", vec![LO], vec![], offline(&[])),
            (
                "a default route through loopback leads nowhere",
                vec![LO],
                vec![to("0.0.0.0/0", &[1]), to("::1/128", &[1])],
                offline(&[]),
            ),
            (
                "IPv4 default route",
                vec![LO, ETH],
                vec![to("0.0.0.0/0", &[2]), to("192.0.2.0/24", &[2])],
                Connectivity::Online,
            ),
            ("IPv6 default route", vec![LO, ETH], vec![to("::/0", &[2])], Connectivity::Online),
            (
                "a tunnel's two halves",
                vec![LO, ETH],
                vec![to("0.0.0.0/1", &[2]), to("128.0.0.0/1", &[2])],
                Connectivity::Online,
            ),
            (
                "one half is not everything",
                vec![LO, ETH],
                vec![to("128.0.0.0/1", &[2])],
                offline(&["128.0.0.0/1"]),
            ),
            (
                "the link was set down",
                vec![LO, down],
                vec![to("0.0.0.0/0", &[2]), to("192.0.2.0/24", &[2])],
                offline(&[]),
            ),
            (
                "the cable was pulled, routes are still listed",
                vec![LO, no_carrier],
                vec![to("0.0.0.0/0", &[2]), to("192.0.2.0/24", &[2])],
                offline(&[]),
            ),
            (
                "another link still has a network but no default route",
                vec![LO, no_carrier, WLAN],
                vec![to("0.0.0.0/0", &[2]), to("198.51.100.0/24", &[3])],
                offline(&["198.51.100.0/24"]),
            ),
            (
                "one path of a multipath route is enough",
                vec![LO, no_carrier, WLAN],
                vec![to("0.0.0.0/0", &[2, 3])],
                Connectivity::Online,
            ),
            (
                "a route whose link is unknown does not count",
                vec![LO],
                vec![to("0.0.0.0/0", &[9]), to("192.0.2.0/24", &[])],
                offline(&[]),
            ),
            (
                "link-local networks do not count",
                vec![LO, ETH],
                vec![to("169.254.0.0/16", &[2]), to("fe80::/64", &[2])],
                offline(&[]),
            ),
            (
                "an address of the loopback interface alone",
                vec![LO],
                vec![own("127.0.0.0/8"), own("127.0.0.1/32"), own("::1/128"), own("10.99.0.1/32")],
                offline(&["10.99.0.1/32"]),
            ),
            (
                "this machine's addresses without a carrier",
                vec![LO, no_carrier],
                vec![own("192.0.2.5/32"), own("fd00:7::5/128"), own("fe80::5/128")],
                offline(&["192.0.2.5/32", "fd00:7::5/128"]),
            ),
            (
                "without a loopback interface nothing reaches them",
                vec![Link { up: false, ..LO }, no_carrier],
                vec![own("192.0.2.5/32")],
                offline(&[]),
            ),
            (
                "connected and routed networks, each once and in order",
                vec![LO, ETH, WLAN],
                vec![
                    to("fd00:7::/64", &[3]),
                    to("192.0.2.0/24", &[2]),
                    to("10.0.0.0/8", &[2]),
                    to("192.0.2.0/24", &[3]),
                    to("192.0.2.9/32", &[3]),
                ],
                offline(&["10.0.0.0/8", "192.0.2.0/24", "fd00:7::/64"]),
            ),
        ];
        for (name, links, routes, expected) in cases {
            let table = RoutingTable { links, routes };
            assert_eq!(table.connectivity(), expected, "{name}");
        }
    }
}
