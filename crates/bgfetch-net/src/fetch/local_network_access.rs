//! [Local Network Access](https://wicg.github.io/local-network-access/): a page may not reach
//! addresses that are less public than its own without the user's permission (D46).

use std::net::IpAddr;

use bgfetch_model::ip_address_space::{IpAddressSpace, LocalNetworkDenied};
use bgfetch_model::policy::{PolicySnapshot, Principal};
use url::Url;

use super::trustworthy::is_potentially_trustworthy_origin;

/// The address spaces that a request may reach. The public one is always among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reach {
    local: bool,
    loopback: bool,
}

impl Reach {
    /// All spaces.
    pub const ALL: Self = Self { local: true, loopback: true };

    /// What a page may reach without a permission: its own space and those that are more public.
    #[must_use]
    pub fn of(page: &PolicySnapshot) -> Self {
        let space = page.ip_address_space();
        Self { local: space <= IpAddressSpace::Local, loopback: space == IpAddressSpace::Loopback }
    }

    /// This, and another space, for which there is a permission.
    #[must_use]
    pub fn and(mut self, space: IpAddressSpace) -> Self {
        match space {
            IpAddressSpace::Loopback => self.loopback = true,
            IpAddressSpace::Local => self.local = true,
            IpAddressSpace::Public => {}
        }
        self
    }

    /// Checks an address that is about to be connected to.
    ///
    /// # Errors
    /// It is in a space that may not be reached.
    pub fn check(self, address: IpAddr) -> Result<(), LocalNetworkDenied> {
        let space = IpAddressSpace::of(address);
        if self.includes(space) { Ok(()) } else { Err(LocalNetworkDenied(space)) }
    }

    /// Whether addresses of this space may be reached.
    #[must_use]
    pub fn includes(self, space: IpAddressSpace) -> bool {
        match space {
            IpAddressSpace::Loopback => self.loopback,
            IpAddressSpace::Local => self.local,
            IpAddressSpace::Public => true,
        }
    }
}

/// Whether the [Local Network Access check](https://wicg.github.io/local-network-access/#local-network-access-check)
/// passes for `url` whatever its address is: the request is the user's, or goes to the page's own
/// origin, which is authenticated.
#[must_use]
pub fn is_exempt(principal: &Principal, url: &Url) -> bool {
    let Principal::Page(page) = principal else { return true };
    // Step 2.
    page.origin.is_same_origin(url)
        && is_potentially_trustworthy_origin(page.origin.as_url_origin())
}

/// Whether the user may be asked for the permission.
#[must_use]
pub fn may_ask(page: &PolicySnapshot) -> bool {
    // Step 5.2. DEVIATION(D46): a background fetch has no document (steps 5.7 to 5.9), so the
    // embedder, who is asked, knows whether the page is allowed to use the feature.
    page.secure_context
}

#[cfg(test)]
mod tests {
    use IpAddressSpace::{Local, Loopback, Public};

    use super::*;

    const ADDRESSES: [(&str, IpAddressSpace); 6] = [
        ("8.8.8.8", Public),
        ("192.168.1.1", Local),
        ("fe80::1", Local),
        ("127.0.0.1", Loopback),
        ("0.0.0.0", Loopback),
        ("::ffff:127.0.0.1", Loopback),
    ];

    fn page(url: &str, space: IpAddressSpace) -> PolicySnapshot {
        let mut page = PolicySnapshot::of(&url.parse().unwrap());
        page.policy_container.ip_address_space = Some(space);
        page
    }

    #[test]
    fn a_page_reaches_its_own_space_and_more_public_ones() {
        for space in [Public, Local, Loopback] {
            let reach = Reach::of(&page("https://page.test/", space));
            for (address, of_address) in ADDRESSES {
                let expected =
                    if of_address >= space { Ok(()) } else { Err(LocalNetworkDenied(of_address)) };
                assert_eq!(reach.check(address.parse().unwrap()), expected, "{space} {address}");
                assert_eq!(Reach::ALL.check(address.parse().unwrap()), Ok(()));
            }
        }
    }

    #[test]
    fn each_permission_is_for_one_space() {
        let none = Reach::of(&page("https://page.test/", Public));
        for granted in [Public, Local, Loopback] {
            for (address, space) in ADDRESSES {
                let reached = none.and(granted).check(address.parse().unwrap()).is_ok();
                assert_eq!(reached, space == Public || space == granted, "{granted} {address}");
            }
        }
        assert_eq!(none.and(Local).and(Loopback), Reach::ALL);
    }

    #[test]
    fn the_user_and_an_authenticated_origin_with_itself_are_exempt() {
        for (url, to, exempt) in [
            ("https://page.test/", "https://page.test/x", true),
            ("https://page.test/", "https://page.test:444/", false),
            ("https://page.test/", "http://page.test/", false),
            ("http://page.test/", "http://page.test/", false),
            ("http://localhost:1/", "http://localhost:1/", true),
            ("http://localhost:1/", "http://localhost:2/", false),
            ("http://192.168.1.1/", "http://192.168.1.1/", false),
        ] {
            let (to, page) = (to.parse().unwrap(), page(url, Public));
            assert_eq!(is_exempt(&Principal::Page(page), &to), exempt, "{url} {to}");
            assert!(is_exempt(&Principal::User, &to));
        }
        let mut sandboxed = page("https://page.test/", Public);
        sandboxed.origin = bgfetch_model::origin::Origin::opaque();
        assert!(!is_exempt(&Principal::Page(sandboxed), &"https://page.test/".parse().unwrap()));
    }

    #[test]
    fn only_a_secure_page_may_ask() {
        let mut page = page("https://page.test/", Public);
        assert!(may_ask(&page));
        page.secure_context = false;
        assert!(!may_ask(&page));
    }
}
