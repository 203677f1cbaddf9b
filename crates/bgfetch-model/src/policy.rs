//! On whose behalf a fetch is made, and what limits it. This is Fetch's
//! [client](https://fetch.spec.whatwg.org/#concept-request-client) as it was at the call, because
//! it no longer exists when a background fetch runs (D37).

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::ip_address_space::IpAddressSpace;
use crate::origin::Origin;
use crate::request::ReferrerPolicy;

/// On whose behalf a fetch is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "one for each fetch, shared by its records")]
pub enum Principal {
    /// The user: no origin limits what may be fetched or read. Never used for requests that a page
    /// made.
    User,
    /// A page or worker, within its policies.
    Page(PolicySnapshot),
}

impl Principal {
    /// The page's policies, or none if the fetch is made for the user.
    #[must_use]
    pub const fn policies(&self) -> Option<&PolicySnapshot> {
        match self {
            Self::User => None,
            Self::Page(policies) => Some(policies),
        }
    }
}

/// The policies of a page or worker when it called `fetch()`. They are persisted with the fetch, so
/// they are enforced after a restart too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PolicySnapshot {
    /// The [origin](https://fetch.spec.whatwg.org/#concept-request-origin) of requests.
    pub origin: Origin,
    /// The origin of the top-level page, whose site is that of the storage key.
    pub top_level_origin: Origin,
    /// The URL that the referrer `client` stands for, or none.
    #[serde(default)]
    pub referrer: Option<Url>,
    /// The [policy container](https://html.spec.whatwg.org/multipage/browsers.html#policy-container).
    #[serde(default)]
    pub policy_container: PolicyContainer,
    /// Whether it is a [secure context](https://html.spec.whatwg.org/multipage/webappapis.html#secure-context).
    pub secure_context: bool,
    /// Whether its [insecure requests
    /// policy](https://www.w3.org/TR/upgrade-insecure-requests/#insecure-requests-policy) is to
    /// upgrade requests.
    #[serde(default)]
    pub upgrade_insecure_requests: bool,
}

impl PolicySnapshot {
    /// A secure top-level page or worker at `url`, without further policies.
    #[must_use]
    pub fn of(url: &Url) -> Self {
        Self {
            origin: Origin::of(url),
            top_level_origin: Origin::of(url),
            referrer: Some(url.clone()),
            policy_container: PolicyContainer::default(),
            secure_context: true,
            upgrade_insecure_requests: false,
        }
    }

    /// The IP address space of the page: the one in its policy container, or else the one that the
    /// host of its origin tells.
    #[must_use]
    pub fn ip_address_space(&self) -> IpAddressSpace {
        let of_host = || match self.origin.as_url_origin() {
            url::Origin::Tuple(_, host, _) => IpAddressSpace::of_host(host),
            url::Origin::Opaque(_) => IpAddressSpace::Public,
        };
        self.policy_container.ip_address_space.unwrap_or_else(of_host)
    }
}

/// HTML's [policy
/// container](https://html.spec.whatwg.org/multipage/browsers.html#policy-container), as far as it
/// applies to fetches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PolicyContainer {
    /// The [CSP list](https://w3c.github.io/webappsec-csp/#csp-list): each enforced policy,
    /// serialized. Report-only policies block nothing and are not kept.
    #[serde(default)]
    pub csp_list: Vec<String>,
    /// The referrer policy.
    #[serde(default)]
    pub referrer_policy: ReferrerPolicy,
    /// The [IP address space](https://wicg.github.io/local-network-access/#policy-container-ip-address-space)
    /// of the address that the page was loaded from. If `None`, the default, the page's URL tells
    /// it: an IP literal has its own, `localhost` is loopback, and other names are public.
    #[serde(default)]
    pub ip_address_space: Option<IpAddressSpace>,
}

crate::impl_with!(PolicySnapshot, PolicyContainer);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_the_space_of_its_address_or_else_of_its_url() {
        use IpAddressSpace::{Local, Loopback, Public};
        for (url, of_url) in [
            ("https://app.test/x", Public),
            ("http://localhost:8000/", Loopback),
            ("http://192.168.0.1/", Local),
        ] {
            let mut page = PolicySnapshot::of(&url.parse().unwrap());
            assert_eq!(page.ip_address_space(), of_url, "{url}");
            for space in [Loopback, Local, Public] {
                page.policy_container.ip_address_space = Some(space);
                assert_eq!(page.ip_address_space(), space, "{url}");
            }
            page.policy_container.ip_address_space = None;
            page.origin = Origin::opaque();
            assert_eq!(page.ip_address_space(), Public, "{url}");
        }
    }
}
