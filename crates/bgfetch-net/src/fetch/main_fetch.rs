//! [Main fetch](https://fetch.spec.whatwg.org/#concept-main-fetch), up to where a request is sent.

use bgfetch_model::policy::Principal;
use bgfetch_model::request::{Referrer, Request, RequestMode};

use super::{Blocked, Hop, ResponseTainting, cache_mode, csp, dangling_markup, mixed_content};
use super::{referrer, target, upgrade_insecure_requests};

/// Whether `request` may be sent as `hop` has it; upgrades the hop's URL and sets its referrer and
/// response tainting. Run for the first URL and after every redirect.
///
/// # Errors
/// The first rule that is broken.
pub fn check(request: &Request, principal: &Principal, hop: &mut Hop) -> Result<(), Blocked> {
    let Principal::Page(policies) = principal else {
        // The user comes from no page.
        hop.referrer = Referrer::NoReferrer;
        target::check(&hop.url)?;
        return cache_mode::check(request);
    };
    // Step 5.
    upgrade_insecure_requests::upgrade(policies, &mut hop.url);
    // Step 7, what blocks the request.
    target::check(&hop.url)?;
    mixed_content::check(policies, &hop.url)?;
    csp::check(policies, hop)?;
    dangling_markup::check(hop)?;
    cache_mode::check(request)?;
    // Steps 8 and 9.
    referrer::determine(policies, hop);
    // Step 13, the switch over URL, mode and tainting; whoever left the page's origin once does not
    // come back to `basic`.
    if policies.origin.is_same_origin(&hop.url) && hop.tainting == ResponseTainting::Basic {
        return Ok(());
    }
    if request.mode == RequestMode::SameOrigin {
        return Err(Blocked::CrossOrigin);
    }
    hop.tainting = ResponseTainting::Cors;
    Ok(())
}
