//! [IP address spaces](https://wicg.github.io/local-network-access/#ip-address-space-section) of
//! Local Network Access.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::Host;

/// How far the network reaches in which an address has its meaning. A space is less than another if
/// it is [less public](https://wicg.github.io/local-network-access/#ip-address-space-less-public).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IpAddressSpace {
    /// This machine.
    Loopback,
    /// The networks that this machine is connected to: the address means another machine elsewhere.
    Local,
    /// The same target everywhere.
    Public,
}

impl IpAddressSpace {
    /// [Determine the IP address space](https://wicg.github.io/local-network-access/#determine-the-ip-address-space)
    /// of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    /// The space of a URL's host, as far as the host itself tells it: that of an IP literal, and
    /// loopback for `localhost` and the names below it. Other names are public.
    #[must_use]
    pub fn of_host(host: &Host<impl AsRef<str>>) -> Self {
        match host {
            Host::Ipv4(address) => Self::of_v4(*address),
            Host::Ipv6(address) => Self::of_v6(*address),
            Host::Domain(name) if is_localhost(name.as_ref()) => Self::Loopback,
            Host::Domain(_) => Self::Public,
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        match address.octets() {
            [127, ..] | [198, 18 | 19, ..] | [0, 0, 0, 0] => Self::Loopback,
            [0 | 10, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..] => Self::Local,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        if let Some(embedded) = embedded_v4(address) {
            return Self::of_v4(embedded);
        }
        if address.is_loopback() || address.is_unspecified() {
            return Self::Loopback;
        }
        match address.segments() {
            [0xfc00..=0xfdff, ..]
            | [0xfe80..=0xfeff, ..]
            | [0x2001, 0xdb8, ..]
            | [0x3fff, 0..=0xfff, ..]
            // DEVIATION(D46): local-use NAT64 is not in the spec's table.
            | [0x64, 0xff9b, 1, ..] => Self::Local,
            _ => Self::Public,
        }
    }
}

/// The address to connect to is in this space, which the page has no permission to access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the page has no permission to access {0}")]
pub struct LocalNetworkDenied(pub IpAddressSpace);

/// The IPv4 address that an IPv6 address leads to.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b] = match address.segments() {
        // IPv4-mapped.
        [0, 0, 0, 0, 0, 0xffff, a, b] => [a, b],
        // DEVIATION(D46): the spec does not mention NAT64, 6to4 and IPv4-compatible addresses. A
        // gateway may translate them to an address of the local network.
        [0x64, 0xff9b, 0, 0, 0, 0, a, b] | [0x2002, a, b, ..] => [a, b],
        [0, 0, 0, 0, 0, 0, a, b] if a != 0 => [a, b],
        _ => return None,
    };
    Some(Ipv4Addr::from((u32::from(a) << 16) | u32::from(b)))
}

/// Whether the name always means this machine.
pub(crate) fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

impl fmt::Display for IpAddressSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "this machine",
            Self::Local => "the local network",
            Self::Public => "the internet",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::IpAddressSpace::{Local, Loopback, Public};
    use super::*;
    use url::Url;

    #[test]
    fn each_block_has_its_space_from_its_first_address_to_its_last() {
        for (space, addresses) in [
            (
                Loopback,
                &[
                    "127.0.0.0",
                    "127.255.255.255",
                    "0.0.0.0",
                    "198.18.0.0",
                    "198.19.255.255",
                    "::1",
                    "::",
                    "::ffff:127.0.0.1",
                    "::ffff:0.0.0.0",
                    "64:ff9b::127.0.0.1",
                    "2002:7f00:1::",
                    "::127.0.0.1",
                ][..],
            ),
            (
                Local,
                &[
                    "0.0.0.1",
                    "0.255.255.255",
                    "10.0.0.0",
                    "10.255.255.255",
                    "100.64.0.0",
                    "100.127.255.255",
                    "169.254.0.0",
                    "169.254.169.254",
                    "169.254.255.255",
                    "172.16.0.0",
                    "172.31.255.255",
                    "192.168.0.0",
                    "192.168.255.255",
                    "::ffff:192.168.1.1",
                    "fc00::",
                    "fdff:ffff::1",
                    "fe80::",
                    "febf:ffff::",
                    "fec0::",
                    "feff:ffff::",
                    "2001:db8::",
                    "2001:db8:ffff::",
                    "3fff::",
                    "3fff:fff:ffff::",
                    "64:ff9b:1::8.8.8.8",
                    "64:ff9b::10.0.0.1",
                    "2002:c0a8:101::1",
                    "::10.0.0.1",
                ],
            ),
            (
                Public,
                &[
                    "1.0.0.0",
                    "9.255.255.255",
                    "11.0.0.0",
                    "100.63.255.255",
                    "100.128.0.0",
                    "126.255.255.255",
                    "128.0.0.0",
                    "169.253.255.255",
                    "169.255.0.0",
                    "172.15.255.255",
                    "172.32.0.0",
                    "192.167.255.255",
                    "192.169.0.0",
                    "198.17.255.255",
                    "198.20.0.0",
                    "224.0.0.1",
                    "255.255.255.255",
                    "::ffff:8.8.8.8",
                    "::2",
                    "::ffff",
                    "64:ff9b::8.8.8.8",
                    "64:ff9b:2::10.0.0.1",
                    "2002:808:808::1",
                    "2001:db7:ffff::",
                    "2001:db9::",
                    "3ffe:ffff::",
                    "3fff:1000::",
                    "fbff:ffff::",
                    "fe00::",
                    "fe7f:ffff::",
                    "ff02::1",
                    "2606:4700::1111",
                ],
            ),
        ] {
            for address in addresses {
                assert_eq!(IpAddressSpace::of(address.parse().unwrap()), space, "{address}");
            }
        }
    }

    #[test]
    fn a_host_tells_its_space_by_a_literal_or_localhost() {
        for (url, space) in [
            ("http://127.1/", Loopback),
            ("http://0x7f000001/", Loopback),
            ("http://2130706433/", Loopback),
            ("http://0/", Loopback),
            ("http://[::ffff:7f00:1]/", Loopback),
            ("https://localhost/", Loopback),
            ("https://a.b.LOCALHOST./", Loopback),
            ("http://192.168.1.1/", Local),
            ("http://[fd00::1]/", Local),
            ("http://8.8.8.8/", Public),
            ("https://nas.local/", Public),
            ("https://notlocalhost/", Public),
        ] {
            let url: Url = url.parse().unwrap();
            assert_eq!(IpAddressSpace::of_host(&url.host().unwrap()), space, "{url}");
        }
    }

    #[test]
    fn spaces_are_ordered_by_how_public_they_are() {
        assert!(Loopback < Local && Local < Public);
    }

    #[test]
    fn a_refusal_names_what_the_page_has_no_access_to() {
        for (space, name) in
            [(Loopback, "this machine"), (Local, "the local network"), (Public, "the internet")]
        {
            let told = alloc::format!("{}", LocalNetworkDenied(space));
            assert_eq!(told, alloc::format!("the page has no permission to access {name}"));
        }
    }
}
