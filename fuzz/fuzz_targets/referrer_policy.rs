//! `Referrer-Policy` on redirects. The input is a byte that selects the request, then one line per
//! redirect: its target, a space and the header's value.
#![no_main]

use bgfetch_fuzz::lines;
use bgfetch_model::policy::PolicySnapshot;
use bgfetch_model::request::{ReferrerPolicy, Request};
use bgfetch_net::fetch::{Hop, referrer};
use libfuzzer_sys::fuzz_target;
use url::Url;

const POLICIES: [ReferrerPolicy; 8] = [
    ReferrerPolicy::Empty,
    ReferrerPolicy::NoReferrer,
    ReferrerPolicy::NoReferrerWhenDowngrade,
    ReferrerPolicy::SameOrigin,
    ReferrerPolicy::Origin,
    ReferrerPolicy::StrictOrigin,
    ReferrerPolicy::OriginWhenCrossOrigin,
    ReferrerPolicy::UnsafeUrl,
];

fuzz_target!(|input: &[u8]| {
    let Some((&choice, rest)) = input.split_first() else {
        return;
    };
    let page: Url = "https://user:secret@page.test/dir/page?q#top".parse().unwrap();
    let mut policies = PolicySnapshot::of(&page);
    policies.policy_container.referrer_policy = POLICIES[usize::from(choice >> 3 & 7)];
    let mut request = Request::get("https://page.test/x".parse().unwrap());
    request.referrer_policy = POLICIES[usize::from(choice & 7)];
    let mut hop = Hop::first(&request);
    referrer::determine(&policies, &mut hop);

    for line in lines(rest) {
        let before = referrer::header(&hop).map(|(_, value)| value.to_owned());
        let (target, policy) = line.split_once(' ').unwrap_or((&line, ""));
        let Ok(url) = hop.url.join(target) else {
            return;
        };
        hop.before.push(std::mem::replace(&mut hop.url, url));
        let headers = [("Referrer-Policy", policy)].into_iter().collect();
        referrer::set_policy_on_redirect(&mut hop, &headers);
        referrer::determine(&policies, &mut hop);

        assert_ne!(hop.referrer_policy, ReferrerPolicy::Empty);
        let Some((_, value)) = referrer::header(&hop) else {
            continue;
        };
        assert_ne!(hop.referrer_policy, ReferrerPolicy::NoReferrer);
        assert!(before.is_some_and(|before| before.starts_with(value)), "it tells more: {value}");
        assert!(!value.contains('#') && !value.contains("secret"), "{value}");
        assert!(value.starts_with("https://page.test/"), "{value}");
        if hop.url.scheme() == "http" && hop.url.host_str() == Some("a.test") {
            use ReferrerPolicy::{Origin, OriginWhenCrossOrigin, UnsafeUrl};
            let tells = matches!(hop.referrer_policy, Origin | OriginWhenCrossOrigin | UnsafeUrl);
            assert!(tells, "told on a downgrade: {value}");
        }
        if hop.url.origin() != page.origin() {
            use ReferrerPolicy::{NoReferrerWhenDowngrade, UnsafeUrl};
            let whole = matches!(hop.referrer_policy, NoReferrerWhenDowngrade | UnsafeUrl);
            assert!(whole || value == "https://page.test/", "{value}");
        }
    }
});
