//! The policies of a realm, from responses and pages.

use bgfetch::{
    HeaderList, PolicyContainer, PolicySnapshot, ReferrerPolicy, is_potentially_trustworthy,
};
use url::Url;

/// The policies of a page or worker at the top level that was loaded from `url`.
pub(crate) fn snapshot(url: &Url, policy_container: PolicyContainer) -> PolicySnapshot {
    let upgrade = policy_container.csp_list.iter().any(|policy| upgrades_insecure_requests(policy));
    PolicySnapshot {
        policy_container,
        secure_context: is_potentially_trustworthy(url),
        upgrade_insecure_requests: upgrade,
        ..PolicySnapshot::of(url)
    }
}

/// [Create a policy container from a fetch response](https://html.spec.whatwg.org/multipage/browsers.html#creating-a-policy-container-from-a-fetch-response).
pub(crate) fn of_response(headers: &HeaderList) -> PolicyContainer {
    let csp_list = headers.get("content-security-policy").into_iter().collect();
    let referrer_policy = headers.get("referrer-policy");
    let referrer_policy = referrer_policy.and_then(|value| parse_referrer_policy(&value));
    PolicyContainer { csp_list, referrer_policy: referrer_policy.unwrap_or_default() }
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

/// Whether serialized policies contain the directive
/// [`upgrade-insecure-requests`](https://www.w3.org/TR/upgrade-insecure-requests/#delivery).
pub(crate) fn upgrades_insecure_requests(csp: &str) -> bool {
    has_directive(csp, "upgrade-insecure-requests")
}

fn has_directive(csp: &str, directive: &str) -> bool {
    let mut directives = csp.split([',', ';']).filter_map(|text| text.split_whitespace().next());
    directives.any(|name| name.eq_ignore_ascii_case(directive))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directive_makes_a_sandbox_whatever_it_allows() {
        for (csp, sandboxed) in [
            ("sandbox", true),
            ("default-src 'self';\tSandBox allow-scripts allow-same-origin", true),
            ("default-src *, sandbox;", true),
            ("script-src sandbox", false),
            ("sandboxed", false),
        ] {
            let headers = HeaderList::from_iter([("Content-Security-Policy", csp)]);
            assert_eq!(is_sandboxed(&of_response(&headers)), sandboxed, "{csp}");
        }
    }

    #[test]
    fn a_response_sets_the_policies_of_its_realm() {
        let headers = HeaderList::from_iter([
            ("Content-Security-Policy", "connect-src a.test"),
            ("content-security-policy", "Upgrade-Insecure-Requests; img-src *"),
            ("Content-Security-Policy-Report-Only", "default-src 'none'"),
            ("Referrer-Policy", "origin, nonsense, NO-REFERRER, newer"),
        ]);
        let url = "http://a.test/".parse().unwrap();
        let policies = snapshot(&url, of_response(&headers));
        let PolicyContainer { csp_list, referrer_policy } = policies.policy_container;
        assert_eq!(csp_list, ["connect-src a.test, Upgrade-Insecure-Requests; img-src *"]);
        assert_eq!(referrer_policy, ReferrerPolicy::NoReferrer);
        assert!(policies.upgrade_insecure_requests);
        assert!(!policies.secure_context);
        let loopback = "http://127.0.0.1:1/".parse().unwrap();
        let policies = snapshot(&loopback, of_response(&HeaderList::default()));
        assert!(policies.secure_context && !policies.upgrade_insecure_requests);
    }
}
