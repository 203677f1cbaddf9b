//! Content security policies. The first line of the input is the URL to fetch, after a redirect if
//! it begins with a space. Each other line is a policy.
#![no_main]

use bgfetch_model::policy::PolicySnapshot;
use bgfetch_model::request::Request;
use bgfetch_net::fetch::{Hop, csp};
use libfuzzer_sys::fuzz_target;
use url::Url;

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let Ok(url) = Url::parse(first.trim()) else {
        return;
    };
    let mut hop = Hop::first(&Request::get(url));
    if first.starts_with(' ') {
        hop.before.push("https://page.test/start".parse().unwrap());
    }
    let mut policies = PolicySnapshot::of(&"https://page.test/".parse().unwrap());
    assert!(csp::check(&policies, &hop).is_ok(), "blocked without a policy");
    let mut allowed = true;
    for line in lines {
        policies.policy_container.csp_list.push(line.to_owned());
        let allows = csp::check(&policies, &hop).is_ok();
        assert!(allowed || !allows, "another policy lifted a block");
        allowed = allows;
    }
    policies.policy_container.csp_list.push("connect-src 'none'".into());
    assert!(csp::check(&policies, &hop).is_err());
});
