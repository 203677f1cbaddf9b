//! `Set-Cookie` headers in the default jar. The input is a byte that selects the server, then one
//! line per header.
#![no_main]

use bgfetch_fuzz::lines;
use bgfetch_model::ids::StorageKey;
use bgfetch_model::origin::Origin;
use bgfetch_model::policy::Principal;
use bgfetch_model::request::Request;
use bgfetch_net::fetch::Hop;
use bgfetch_net::fetch::cookie_jar::CookieJar;
use bgfetch_net::fetch::cookies::CookieContext;
use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use url::Url;

const SETTERS: [&str; 8] = [
    "https://www.a.test/dir/page",
    "http://www.a.test/dir/page",
    "https://a.test/",
    "https://127.0.0.1/x",
    "https://[::1]:8443/",
    "https://user.github.io/",
    "https://co.uk/",
    "http://localhost/dir/",
];

fuzz_target!(|input: &[u8]| {
    let Some((&choice, rest)) = input.split_first() else {
        return;
    };
    let url: Url = SETTERS[usize::from(choice & 7)].parse().unwrap();
    let page = Origin::of(&"https://a.test/".parse().unwrap());
    let same_site = choice & 8 == 0;
    let hop = Hop::first(&Request::get(url.clone()));
    let context = CookieContext::new(&StorageKey("key".into()), &Principal::User, &hop);
    let context = context.with(|it| {
        it.top_level_origin = (choice & 16 == 0).then_some(page);
        it.same_site = same_site;
    });
    let values: Vec<HeaderValue> = rest
        .split(|&byte| byte == b'\n')
        .filter_map(|line| HeaderValue::from_bytes(line).ok())
        .collect();
    let jar = CookieJar::new();
    jar.set(&context, &values);

    let says = |what: &str| lines(rest).any(|line| line.to_ascii_lowercase().contains(what));
    let sent = |context: &CookieContext| jar.get(context);
    let count = |value: &HeaderValue| value.as_bytes().windows(2).filter(|it| it == b"; ").count();
    if let Some(value) = sent(&context) {
        assert!(count(&value) < values.len(), "more cookies than were set");
        assert!(same_site || says("none"), "a cookie of the site's own from elsewhere");
        let names = value.as_bytes().split(|&byte| byte == b';').map(|pair| pair.trim_ascii());
        let prefixed = names
            .map(<[u8]>::to_ascii_lowercase)
            .any(|pair| pair.starts_with(b"__host-") || pair.starts_with(b"__secure-"));
        assert!(!prefixed || url.scheme() == "https" || url.host_str() == Some("localhost"));
    }
    if !same_site {
        let from_site = context.clone().with(|it| it.same_site = true);
        assert!(sent(&from_site).is_none() || says("none"), "set from another site");
    }

    // URLs that must not get any of them.
    for elsewhere in ["https://b.test/dir/page", "https://xa.test/", "https://github.io/"] {
        let elsewhere: Url = elsewhere.parse().unwrap();
        let context = context.clone().with(|it| it.url = elsewhere);
        assert_eq!(sent(&context), None, "{}", context.url);
    }
    let sibling: Url = "https://other.github.io/".parse().unwrap();
    assert_eq!(sent(&context.clone().with(|it| it.url = sibling)), None);
    let other_page = Origin::of(&"https://b.test/".parse().unwrap());
    let partition = context.clone().with(|it| it.top_level_origin = Some(other_page));
    assert_eq!(sent(&partition), None, "another partition");
    let plain: Url = "http://www.a.test/dir/page".parse().unwrap();
    if url.host_str() != plain.host_str() && !says("domain") {
        assert_eq!(sent(&context.clone().with(|it| it.url = plain)), None);
    }
    jar.clear();
    assert_eq!(jar.get(&context), None);
});
