//! Networks of IP addresses, to which routes lead.

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// The addresses that begin with the same bits, such as `10.7.0.0/24`.
///
/// ```
/// use bgfetch_model::ip_network::IpNetwork;
///
/// let network: IpNetwork = "10.7.0.0/24".parse()?;
/// assert!(network.contains("10.7.0.9".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpNetwork {
    /// The first address.
    address: IpAddr,
    /// How many bits are the same.
    prefix_length: u8,
}

impl IpNetwork {
    /// The network that an address is in. `None` if an address does not have that many bits: 32 in
    /// IPv4, 128 in IPv6.
    #[must_use]
    pub fn new(address: IpAddr, prefix_length: u8) -> Option<Self> {
        let length = u32::from(prefix_length);
        let address = match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(Ipv4Addr::BITS.checked_sub(length)?).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(Ipv6Addr::BITS.checked_sub(length)?).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        };
        Some(Self { address, prefix_length })
    }

    /// Its first address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits its addresses have in common. 0 is all addresses of IPv4 or IPv6.
    #[must_use]
    pub fn prefix_length(&self) -> u8 {
        self.prefix_length
    }

    /// Whether it has this address. An IPv4-mapped address is one of IPv6.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        Self::new(address, self.prefix_length).as_ref() == Some(self)
    }

    /// Whether it has all addresses of `other`.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix_length <= other.prefix_length && self.contains(other.address)
    }

    /// The fewest networks that have the same addresses, in order.
    #[must_use]
    pub fn aggregate(mut networks: Vec<Self>) -> Vec<Self> {
        // A network comes before those in it, and the two halves of one are neighbours.
        networks.sort_unstable();
        let mut joined: Vec<Self> = Vec::new();
        for mut network in networks {
            if joined.last().is_some_and(|last| last.covers(&network)) {
                continue;
            }
            while let Some(both) = joined.last().and_then(|last| last.joined_with(&network)) {
                joined.pop();
                network = both;
            }
            joined.push(network);
        }
        joined
    }

    /// The network of which these two, which have no address in common, are the halves.
    fn joined_with(&self, other: &Self) -> Option<Self> {
        let parent = |half: &Self| Self::new(half.address, half.prefix_length.checked_sub(1)?);
        parent(self).filter(|both| parent(other).as_ref() == Some(both))
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_length)
    }
}

/// A text is not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not an IP network: an address, a slash and the length of its prefix are expected")]
pub struct BadIpNetwork;

impl FromStr for IpNetwork {
    type Err = BadIpNetwork;

    /// Parses an address, a slash and the length of the prefix.
    fn from_str(text: &str) -> Result<Self, BadIpNetwork> {
        let (address, length) = text.split_once('/').ok_or(BadIpNetwork)?;
        let address = address.parse().map_err(|_| BadIpNetwork)?;
        Self::new(address, length.parse().map_err(|_| BadIpNetwork)?).ok_or(BadIpNetwork)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    fn networks(texts: &[&str]) -> Vec<IpNetwork> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_network_has_the_addresses_with_its_prefix() {
        for (network, inside, outside) in [
            ("10.7.0.0/24", "10.7.0.255", "10.7.1.0"),
            ("10.7.0.9/32", "10.7.0.9", "10.7.0.8"),
            ("0.0.0.0/0", "255.255.255.255", "::"),
            ("0.0.0.0/0", "0.0.0.0", "::ffff:10.7.0.9"),
            ("fd00:7::/64", "fd00:7::ffff:ffff:ffff:ffff", "fd00:7:0:1::"),
            ("::1/128", "::1", "::"),
            ("::/0", "ffff::", "10.7.0.9"),
            ("::/8", "::a00:1", "10.0.0.1"),
        ] {
            let [network] = networks(&[network])[..] else { unreachable!() };
            assert!(network.contains(inside.parse().unwrap()), "{network} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{network} {outside}");
        }
    }

    #[test]
    fn only_the_bits_of_the_prefix_count() {
        for (text, network) in [
            ("10.7.0.9/24", "10.7.0.0/24"),
            ("10.7.0.9/0", "0.0.0.0/0"),
            ("fd00:7::9/63", "fd00:7::/63"),
            ("10.7.0.9/32", "10.7.0.9/32"),
        ] {
            let parsed: IpNetwork = text.parse().unwrap();
            assert_eq!(parsed.to_string(), network);
            assert_eq!(IpNetwork::new(parsed.address(), parsed.prefix_length()), Some(parsed));
        }
        for text in
            ["", "10.7.0.9", "10.7.0.9/33", "10.7.0.9/-1", "::/129", "a/8", "10.0.0.0/", "/8"]
        {
            assert_eq!(text.parse::<IpNetwork>(), Err(BadIpNetwork), "{text}");
        }
    }

    #[test]
    fn networks_are_joined_to_the_fewest() {
        for (several, fewest) in [
            (&[][..], &[][..]),
            (&["10.0.0.0/8", "10.7.0.0/24", "10.0.0.0/8"], &["10.0.0.0/8"]),
            (&["128.0.0.0/1", "0.0.0.0/1"], &["0.0.0.0/0"]),
            (&["10.1.0.0/24", "10.0.255.0/24"], &["10.0.255.0/24", "10.1.0.0/24"]),
            (&["10.0.3.0/24", "10.0.2.0/24", "10.0.0.0/23"], &["10.0.0.0/22"]),
            (&["::/1", "0.0.0.0/1"], &["0.0.0.0/1", "::/1"]),
            (&["::/0", "0.0.0.0/0"], &["0.0.0.0/0", "::/0"]),
        ] {
            assert_eq!(IpNetwork::aggregate(networks(several)), networks(fewest), "{several:?}");
        }
    }

    proptest! {
        #[test]
        fn joining_changes_no_address(
            // Few addresses, so that networks meet.
            several in proptest::collection::vec((0u32..64, 26u8..=32), 0..12),
            address in 0u32..64,
        ) {
            let several: Vec<_> = several
                .iter()
                .map(|(at, length)| IpNetwork::new(Ipv4Addr::from_bits(*at).into(), *length).unwrap())
                .collect();
            let address = Ipv4Addr::from_bits(address).into();
            let fewest = IpNetwork::aggregate(several.clone());
            let has = |networks: &[IpNetwork]| networks.iter().any(|it| it.contains(address));
            prop_assert_eq!(has(&several), has(&fewest));
            prop_assert!(fewest.is_sorted());
            for (at, network) in fewest.iter().enumerate() {
                for other in fewest.iter().skip(at + 1) {
                    prop_assert!(!network.covers(other) && !other.covers(network));
                    prop_assert_eq!(network.joined_with(other), None);
                }
            }
        }
    }
}
