//! [Append a request `Origin` header](https://fetch.spec.whatwg.org/#append-a-request-origin-header).

use bgfetch_model::policy::Principal;
use bgfetch_model::request::{ReferrerPolicy, RequestMode};

use super::{Hop, ResponseTainting};

/// The value of `Origin` for `hop`, or `None` if it has no such header.
#[must_use]
pub fn value(hop: &Hop, mode: RequestMode, principal: &Principal) -> Option<String> {
    // A fetch for the user has no page.
    let page = principal.policies()?;
    let origin = &page.origin;
    // Step 3, in CORS the server decides by it.
    if hop.tainting == ResponseTainting::Cors {
        return Some(hop.serialize_origin(origin));
    }
    // Step 4, it also protects servers without CORS against request forgery.
    if matches!(hop.method.as_str(), "GET" | "HEAD") {
        return None;
    }
    // Step 4.1, in other modes than `cors`, the referrer policy may hide it. The response is
    // untainted, so the URL has the page's own origin, and only this policy hides the origin there.
    let policy = match hop.referrer_policy {
        ReferrerPolicy::Empty => page.policy_container.referrer_policy,
        own => own,
    };
    if mode != RequestMode::Cors && policy == ReferrerPolicy::NoReferrer {
        return Some(String::from("null"));
    }
    Some(hop.serialize_origin(origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bgfetch_model::origin::Origin;
    use bgfetch_model::policy::PolicySnapshot;
    use bgfetch_model::request::Request;

    const PAGE: &str = "https://page.test";

    fn page() -> Principal {
        Principal::Page(PolicySnapshot::of(&format!("{PAGE}/x").parse().unwrap()))
    }

    fn hop(method: &str, tainting: ResponseTainting) -> Hop {
        let mut request = Request::get(format!("{PAGE}/y").parse().unwrap());
        request.method = method.into();
        Hop { tainting, ..Hop::first(&request) }
    }

    #[test]
    fn cors_requests_and_writes_have_it() {
        use ReferrerPolicy::{Empty, NoReferrer, SameOrigin, StrictOriginWhenCrossOrigin};
        use RequestMode::{Cors, SameOrigin as Same};
        use ResponseTainting::{Basic, Cors as Tainted};
        for (method, tainting, mode, policy, expected) in [
            ("GET", Basic, Cors, Empty, None),
            ("HEAD", Basic, Cors, Empty, None),
            ("GET", Tainted, Cors, Empty, Some(PAGE)),
            ("GET", Tainted, Cors, NoReferrer, Some(PAGE)),
            ("POST", Tainted, Cors, NoReferrer, Some(PAGE)),
            ("POST", Basic, Cors, NoReferrer, Some(PAGE)),
            ("PUT", Basic, Cors, Empty, Some(PAGE)),
            ("POST", Basic, Same, Empty, Some(PAGE)),
            ("POST", Basic, Same, SameOrigin, Some(PAGE)),
            ("POST", Basic, Same, StrictOriginWhenCrossOrigin, Some(PAGE)),
            ("POST", Basic, Same, NoReferrer, Some("null")),
            ("GET", Basic, Same, NoReferrer, None),
        ] {
            let mut hop = hop(method, tainting);
            hop.referrer_policy = policy;
            let own = value(&hop, mode, &page());
            assert_eq!(own.as_deref(), expected, "{method} {tainting:?} {mode:?} {policy:?}");
            // The same if the page has the policy and the request has none.
            hop.referrer_policy = Empty;
            let mut policies = PolicySnapshot::of(&PAGE.parse().unwrap());
            policies.policy_container.referrer_policy = policy;
            assert_eq!(value(&hop, mode, &Principal::Page(policies)), own);
        }
    }

    #[test]
    fn it_is_null_where_the_chain_or_the_page_has_no_origin_and_absent_for_the_user() {
        let run = |hop: &Hop, principal: &Principal| value(hop, RequestMode::Cors, principal);
        let mut tainted = hop("GET", ResponseTainting::Cors);
        tainted.before = vec!["https://a.test/".parse().unwrap()];
        assert_eq!(run(&tainted, &page()).as_deref(), Some("null"));
        let mut policies = PolicySnapshot::of(&PAGE.parse().unwrap());
        policies.origin = Origin::opaque();
        let opaque = Principal::Page(policies);
        assert_eq!(run(&hop("GET", ResponseTainting::Cors), &opaque).as_deref(), Some("null"));
        assert_eq!(run(&hop("POST", ResponseTainting::Cors), &Principal::User), None);
    }
}
