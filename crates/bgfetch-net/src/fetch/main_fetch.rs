//! [Main fetch](https://fetch.spec.whatwg.org/#concept-main-fetch), up to sending the request.

use bgfetch_model::policy::Principal;
use bgfetch_model::request::{Referrer, Request, RequestMode};

use super::{Blocked, Hop, ResponseTainting, cache_mode, csp, dangling_markup, mixed_content};
use super::{referrer, target, upgrade_insecure_requests};

/// Checks whether `request` may be sent as `hop`. Upgrades the hop's URL, and sets its referrer and
/// response tainting. Called for the first URL and after every redirect.
///
/// # Errors
/// The first rule that is violated.
pub fn check(request: &Request, principal: &Principal, hop: &mut Hop) -> Result<(), Blocked> {
    check_with(request, principal, hop, &|_| {})
}

/// Like [`check`], with an embedder's own changes of the hop at the step of HSTS; see
/// [`WithWebChecks::before_hop`](super::WithWebChecks::before_hop).
pub(super) fn check_with(
    request: &Request,
    principal: &Principal,
    hop: &mut Hop,
    before_hop: &dyn Fn(&mut Hop),
) -> Result<(), Blocked> {
    let Principal::Page(policies) = principal else {
        // A fetch for the user has no page, so there is no referrer.
        hop.referrer = Referrer::NoReferrer;
        target::check(&hop.url)?;
        cache_mode::check(request)?;
        before_hop(hop);
        return Ok(target::check(&hop.url)?);
    };
    // Step 5.
    upgrade_insecure_requests::upgrade(policies, &mut hop.url);
    // Step 7, the checks that block the request.
    target::check(&hop.url)?;
    mixed_content::check(policies, &hop.url)?;
    csp::check(policies, hop)?;
    dangling_markup::check(hop)?;
    cache_mode::check(request)?;
    // Steps 8 and 9.
    referrer::determine(policies, hop);
    // Step 10, HSTS.
    before_hop(hop);
    target::check(&hop.url)?;
    // Step 13, by URL, mode and tainting. A request that has left the page's origin never becomes
    // `basic` again.
    if policies.origin.is_same_origin(&hop.url) && hop.tainting == ResponseTainting::Basic {
        return Ok(());
    }
    hop.tainting = match request.mode {
        RequestMode::SameOrigin => return Err(Blocked::CrossOrigin),
        RequestMode::Cors => ResponseTainting::Cors,
        RequestMode::NoCors => ResponseTainting::Opaque,
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bgfetch_model::policy::PolicySnapshot;

    fn page() -> PolicySnapshot {
        PolicySnapshot::of(&"https://page.test/x".parse().unwrap())
    }

    fn checked(policies: PolicySnapshot, request: &Request) -> Result<Hop, Blocked> {
        let mut hop = Hop::first(request);
        check(request, &Principal::Page(policies), &mut hop)?;
        Ok(hop)
    }

    #[test]
    fn a_url_is_upgraded_before_anything_else_looks_at_it() {
        let mut policies = page();
        policies.policy_container.csp_list = vec!["connect-src https://page.test".into()];
        let request = Request::get("http://page.test/y".parse().unwrap());
        assert_eq!(checked(policies.clone(), &request), Err(Blocked::MixedContent));
        policies.upgrade_insecure_requests = true;
        let hop = checked(policies, &request).unwrap();
        // It now has the page's own origin, and the response's URL list shows the upgrade.
        assert_eq!(hop.tainting, ResponseTainting::Basic);
        assert!(hop.url_list().map(url::Url::as_str).eq(["https://page.test/y"]));
    }

    #[test]
    fn the_first_rule_that_is_broken_is_named() {
        let mut policies = page();
        policies.policy_container.csp_list = vec!["connect-src 'none'".into()];
        let mut request = Request::get("http://a.test:25/".parse().unwrap());
        request.dangling_markup = true;
        request.mode = RequestMode::SameOrigin;
        let mut named = |url: &str| {
            request.url = url.parse().unwrap();
            checked(policies.clone(), &request).unwrap_err()
        };
        assert!(matches!(named("http://a.test:25/"), Blocked::Target(_)));
        assert_eq!(named("http://a.test/"), Blocked::MixedContent);
        assert_eq!(named("https://a.test/"), Blocked::Csp("connect-src".into()));
        policies.policy_container.csp_list.clear();
        assert_eq!(checked(policies.clone(), &request), Err(Blocked::DanglingMarkup));
        request.dangling_markup = false;
        assert_eq!(checked(policies, &request), Err(Blocked::CrossOrigin));
    }

    #[test]
    fn the_mode_determines_what_another_origin_must_approve() {
        let (own, other) = ("https://page.test/y", "https://a.test/");
        for (mode, url, tainting) in [
            (RequestMode::Cors, own, ResponseTainting::Basic),
            (RequestMode::NoCors, own, ResponseTainting::Basic),
            (RequestMode::Cors, other, ResponseTainting::Cors),
            (RequestMode::NoCors, other, ResponseTainting::Opaque),
        ] {
            let request = Request::get(url.parse().unwrap()).with(|it| it.mode = mode);
            let mut hop = checked(page(), &request).unwrap();
            assert_eq!(hop.tainting, tainting, "{mode:?} {url}");
            // A redirect back to the page's own origin does not restore trust.
            hop.url = own.parse().unwrap();
            check(&request, &Principal::Page(page()), &mut hop).unwrap();
            assert_eq!(hop.tainting, tainting, "{mode:?} {url}");
        }
    }

    #[test]
    fn of_the_checks_only_those_of_the_target_and_the_cache_bind_the_user() {
        let mut request = Request::get("http://a.test/".parse().unwrap());
        request.dangling_markup = true;
        request.referrer = Referrer::Url("https://page.test/".parse().unwrap());
        let mut hop = Hop::first(&request);
        assert_eq!(check(&request, &Principal::User, &mut hop), Ok(()));
        assert_eq!(hop.referrer, Referrer::NoReferrer);
        hop.url = "http://a.test:25/".parse().unwrap();
        assert!(check(&request, &Principal::User, &mut hop).is_err());
    }
}
