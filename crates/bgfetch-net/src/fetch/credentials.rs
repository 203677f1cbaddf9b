//! Whether a request is sent with [credentials](https://fetch.spec.whatwg.org/#credentials): cookies
//! and TLS client certificates.

use bgfetch_model::policy::Principal;
use bgfetch_model::request::{CredentialsMode, Request};

use super::{Hop, ResponseTainting};

/// Fetch's `includeCredentials` of
/// [HTTP-network-or-cache fetch](https://fetch.spec.whatwg.org/#concept-http-network-or-cache-fetch),
/// determined again for each URL of the redirect chain. True if the mode is `include`, or if it is
/// `same-origin` and the chain has not left the page's origin. Always false for a CORS preflight.
#[must_use]
pub fn included(request: &Request, principal: &Principal, hop: &Hop) -> bool {
    match principal {
        // For the user's own fetch, there is no page to protect credentials from.
        Principal::User => true,
        Principal::Page(_) => match request.credentials {
            CredentialsMode::Omit => false,
            CredentialsMode::SameOrigin => hop.tainting == ResponseTainting::Basic,
            CredentialsMode::Include => true,
        },
    }
}

#[cfg(test)]
mod tests {
    use bgfetch_model::policy::PolicySnapshot;

    use super::*;

    #[test]
    fn modes_and_taintings() {
        use CredentialsMode::{Include, Omit, SameOrigin};
        use ResponseTainting::{Basic, Cors};
        let url: url::Url = "https://a.test/".parse().unwrap();
        let page = Principal::Page(PolicySnapshot::of(&url));
        for (mode, tainting, expected) in [
            (Omit, Basic, false),
            (Omit, Cors, false),
            (SameOrigin, Basic, true),
            (SameOrigin, Cors, false),
            (Include, Basic, true),
            (Include, Cors, true),
        ] {
            let mut request = Request::get(url.clone());
            request.credentials = mode;
            let mut hop = Hop::first(&request);
            hop.tainting = tainting;
            assert_eq!(included(&request, &page, &hop), expected, "{mode:?} {tainting:?}");
            assert!(included(&request, &Principal::User, &hop));
        }
    }
}
