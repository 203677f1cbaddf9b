//! CORS. The input is a byte that selects the request, then the header list of a response, which is
//! checked as the response to a preflight and as that to the request.
#![no_main]

use std::time::{Duration, Instant};

use bgfetch_fuzz::{headers, lines};
use bgfetch_model::ids::StorageKey;
use bgfetch_model::request::{CredentialsMode, Request};
use bgfetch_net::fetch::Hop;
use bgfetch_net::fetch::cors::preflight::Preflight;
use bgfetch_net::fetch::cors::{CacheKey, PreflightCache, check, exposed_header_names};
use bgfetch_net::partition::Partition;
use libfuzzer_sys::fuzz_target;

const PAGE: &str = "https://page.test";

/// The permissions that requests need: from none to `Authorization`, which `*` does not cover.
const REQUESTS: [(&str, &[&str]); 8] = [
    ("PUT", &[]),
    ("DELETE", &["x-own"]),
    ("GET", &["x-own"]),
    ("POST", &["x-own", "content-language-2"]),
    ("GET", &["authorization"]),
    ("PATCH", &["authorization", "x-own"]),
    ("patch", &[]),
    ("*", &["*"]),
];

fn preflight(request: (&str, &[&str])) -> Option<Preflight> {
    let mut asked = Request::get("https://a.test/".parse().unwrap());
    asked.method = request.0.into();
    asked.headers = request.1.iter().map(|name| (*name, "1")).collect();
    Preflight::of(&Hop::first(&asked))
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, rest)) = input.split_first() else {
        return;
    };
    let include = choice & 8 != 0;
    let credentials = if include { CredentialsMode::Include } else { CredentialsMode::SameOrigin };
    let status = if choice & 16 == 0 { 204 } else { 200 + u16::from(choice) };
    let headers = headers(lines(rest));

    let allowed = headers.get("access-control-allow-origin");
    let approved = check(PAGE, credentials, &headers).is_ok();
    if approved {
        let everybody = allowed.as_deref() == Some("*") && !include;
        assert!(everybody || allowed.as_deref() == Some(PAGE));
        let with = headers.get("access-control-allow-credentials");
        assert!(!include || with.as_deref() == Some("true"));
    }

    let exposed = exposed_header_names(&headers, credentials);
    assert!(exposed.is_sorted() && exposed.iter().all(|name| headers.contains(name)));
    assert!(exposed.iter().all(|name| !name.bytes().any(|byte| byte.is_ascii_uppercase())));

    let Some(preflight) = preflight(REQUESTS[usize::from(choice & 7)]) else {
        return;
    };
    let Ok(permission) = preflight.judge(PAGE, credentials, status, &headers) else {
        return;
    };
    assert!(approved && (200..300).contains(&status));
    assert!(permission.max_age <= Duration::from_secs(7200));

    let key = CacheKey {
        partition: Partition::Site(StorageKey("https://page.test".into())),
        origin: PAGE.into(),
        url: "https://a.test/".parse().unwrap(),
    };
    let elsewhere = Partition::Site(StorageKey("https://b.test".into()));
    let other = CacheKey { partition: elsewhere, ..key.clone() };
    let now = Instant::now();
    let mut cache = PreflightCache::default();
    cache.store(&key, credentials, &permission, now);
    for wanted in REQUESTS.into_iter().filter_map(self::preflight) {
        if cache.covers(&key, credentials, &wanted, now) {
            let judged = wanted.judge(PAGE, credentials, status, &headers);
            assert!(judged.is_ok(), "the cache allows what the server did not: {wanted:?}");
        }
        assert!(!cache.covers(&other, credentials, &wanted, now), "another site's permission");
        let later = now + permission.max_age;
        assert!(!cache.covers(&key, credentials, &wanted, later), "a permission that has ended");
        if !include {
            let with = cache.covers(&key, CredentialsMode::Include, &wanted, now);
            assert!(!with, "allowed without credentials only");
        }
    }
});
