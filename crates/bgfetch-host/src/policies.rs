//! The policies of a realm, from responses and pages.

use bgfetch::{
    IpAddressSpace, PolicyContainer, PolicySnapshot, ReferrerPolicy, is_potentially_trustworthy,
};
use url::Url;

use crate::network::Loaded;

/// The policies of a page or worker at the top level that was loaded from `url`.
pub(crate) fn snapshot(url: &Url, mut policy_container: PolicyContainer) -> PolicySnapshot {
    let csp_list = std::mem::take(&mut policy_container.csp_list);
    let mut snapshot = PolicySnapshot::of(url).with(|it| {
        it.policy_container = policy_container;
        it.secure_context = is_potentially_trustworthy(url);
    });
    csp_list.into_iter().for_each(|policy| add_csp(&mut snapshot, policy));
    snapshot
}

/// Adds a serialized content security policy, with the effects of those of its directives that are
/// not about URLs.
pub(crate) fn add_csp(policies: &mut PolicySnapshot, policy: String) {
    // https://www.w3.org/TR/upgrade-insecure-requests/#delivery
    policies.upgrade_insecure_requests |= has_directive(&policy, "upgrade-insecure-requests");
    // Of an earlier draft of Local Network Access; Chromium has it, too.
    if has_directive(&policy, "treat-as-public-address") {
        policies.policy_container.ip_address_space = Some(IpAddressSpace::Public);
    }
    policies.policy_container.csp_list.push(policy);
}

/// [Create a policy container from a fetch response](https://html.spec.whatwg.org/multipage/browsers.html#creating-a-policy-container-from-a-fetch-response).
pub(crate) fn of_response(response: &Loaded) -> PolicyContainer {
    let headers = &response.head.headers;
    let csp_list = headers.get("content-security-policy").into_iter().collect();
    let referrer_policy = headers.get("referrer-policy");
    let referrer_policy = referrer_policy.and_then(|value| parse_referrer_policy(&value));
    PolicyContainer::default().with(|it| {
        it.csp_list = csp_list;
        it.referrer_policy = referrer_policy.unwrap_or_default();
        it.ip_address_space = response.address.map(IpAddressSpace::of);
    })
}

/// Whether a policy puts its page or worker into a
/// [sandbox](https://w3c.github.io/webappsec-csp/#directive-sandbox).
pub(crate) fn is_sandboxed(policies: &PolicyContainer) -> bool {
    policies.csp_list.iter().any(|policies| has_directive(policies, "sandbox"))
}

/// The last known policy in a list: unknown ones are for newer user agents.
pub(crate) fn parse_referrer_policy(value: &str) -> Option<ReferrerPolicy> {
    let tokens = value.split(',').map(|token| token.trim().to_ascii_lowercase());
    tokens.filter_map(|token| ReferrerPolicy::from_token(&token)).next_back()
}

/// Whether serialized policies contain this directive.
fn has_directive(csp: &str, name: &str) -> bool {
    let mut directives = csp.split([',', ';']).filter_map(|text| text.split_whitespace().next());
    directives.any(|directive| directive.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use bgfetch::{HeaderList, ResponseHead, ResponseType};

    use super::*;

    fn response<const N: usize>(headers: [(&str, &str); N], address: &str) -> Loaded {
        let head = ResponseHead::new(200, Vec::new()).with(|it| {
            it.headers = HeaderList::from_iter(headers);
            it.response_type = ResponseType::Basic;
        });
        Loaded { head, body: Vec::new(), address: address.parse().ok() }
    }

    #[test]
    fn a_directive_makes_a_sandbox_whatever_it_allows() {
        for (csp, sandboxed) in [
            ("sandbox", true),
            ("default-src 'self';\tSandBox allow-scripts allow-same-origin", true),
            ("default-src *, sandbox;", true),
            ("script-src sandbox", false),
            ("sandboxed", false),
        ] {
            let response = response([("Content-Security-Policy", csp)], "");
            assert_eq!(is_sandboxed(&of_response(&response)), sandboxed, "{csp}");
        }
    }

    #[test]
    fn a_response_sets_the_policies_of_its_realm() {
        let headers = [
            ("Content-Security-Policy", "connect-src a.test"),
            ("content-security-policy", "Upgrade-Insecure-Requests; img-src *"),
            ("Content-Security-Policy-Report-Only", "default-src 'none'"),
            ("Referrer-Policy", "origin, nonsense, NO-REFERRER, newer"),
        ];
        let url = "http://a.test/".parse().unwrap();
        let policies = snapshot(&url, of_response(&response(headers, "")));
        let PolicyContainer { csp_list, referrer_policy, .. } = policies.policy_container;
        assert_eq!(csp_list, ["connect-src a.test, Upgrade-Insecure-Requests; img-src *"]);
        assert_eq!(referrer_policy, ReferrerPolicy::NoReferrer);
        assert!(policies.upgrade_insecure_requests);
        assert!(!policies.secure_context);
        let loopback = "http://127.0.0.1:1/".parse().unwrap();
        let policies = snapshot(&loopback, of_response(&response([], "")));
        assert!(policies.secure_context && !policies.upgrade_insecure_requests);
    }

    #[test]
    fn a_realm_has_the_address_space_of_its_response_unless_a_policy_makes_it_public() {
        let name = "https://a.test/".parse().unwrap();
        let space = |headers, address| {
            snapshot(&name, of_response(&response(headers, address))).ip_address_space()
        };
        let header = "content-security-policy";
        assert_eq!(space([(header, "img-src *")], "192.168.1.1"), IpAddressSpace::Local);
        assert_eq!(space([(header, "img-src *")], "::1"), IpAddressSpace::Loopback);
        assert_eq!(space([(header, "img-src *")], ""), IpAddressSpace::Public);
        let public = [(header, "img-src *; Treat-As-Public-Address")];
        assert_eq!(space(public, "127.0.0.1"), IpAddressSpace::Public);
    }
}
