//! [Main fetch](https://fetch.spec.whatwg.org/#concept-main-fetch), up to where a request is sent.

use bgfetch_model::policy::Principal;
use bgfetch_model::request::{Request, RequestMode};

use super::{Blocked, Hop, ResponseTainting, target};

/// Whether `request` may be sent as `hop` has it; sets the hop's response tainting. Run for the first
/// URL and after every redirect.
///
/// # Errors
/// The first rule that is broken.
pub fn check(request: &Request, principal: &Principal, hop: &mut Hop) -> Result<(), Blocked> {
    target::check(&hop.url)?;
    let Principal::Page(policies) = principal else {
        return Ok(());
    };
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
