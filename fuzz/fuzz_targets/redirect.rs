//! A chain of redirects. The input is a byte that selects the request, then one line per response:
//! a byte that selects its status, and its `Location`.
#![no_main]

use bgfetch_fuzz::lines;
use bgfetch_model::bad_port::is_bad_port;
use bgfetch_model::origin::Origin;
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_model::request::{RedirectMode, Request, RequestMode};
use bgfetch_net::fetch::redirect::{MAX_REDIRECTS, Next, next};
use bgfetch_net::fetch::{Hop, ResponseTainting, main_fetch};
use libfuzzer_sys::fuzz_target;
use url::Url;

const METHODS: [&str; 4] = ["GET", "POST", "PUT", "HEAD"];
const STATUSES: [u16; 8] = [301, 302, 303, 307, 308, 300, 304, 200];

fn request(choice: u8) -> Request {
    let mut request = Request::get("https://a.test/dir/file?q#top".parse().unwrap());
    request.method = METHODS[usize::from(choice & 3)].into();
    request.mode = if choice & 4 == 0 { RequestMode::Cors } else { RequestMode::SameOrigin };
    request.headers =
        [("Authorization", "secret"), ("Content-Type", "a/b"), ("X", "1")].into_iter().collect();
    request.body_length = matches!(request.method.as_str(), "POST" | "PUT").then_some(1);
    request
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, chain)) = input.split_first() else {
        return;
    };
    let request = request(choice);
    let policies = PolicySnapshot::of(&request.url);
    let origin: Origin = policies.origin.clone();
    let principal = Principal::Page(policies);
    let mut hop = Hop::first(&request);
    if main_fetch::check(&request, &principal, &mut hop).is_err() {
        return;
    }

    for line in lines(chain) {
        let status = STATUSES[line.bytes().next().map_or(0, |byte| usize::from(byte & 7))];
        let location: String = line.chars().skip(1).collect();
        assert!(matches!(
            next(&hop, RedirectMode::Manual, status, Some(&location)),
            Ok(Next::OpaqueRedirect | Next::Response)
        ));
        let Ok(Next::Follow(mut followed)) =
            next(&hop, RedirectMode::Follow, status, Some(&location))
        else {
            return;
        };

        let url: &Url = &followed.url;
        assert!(matches!(url.scheme(), "http" | "https"), "{url}");
        assert!(url.username().is_empty() && url.password().is_none(), "{url}");
        assert!(!url.port().is_some_and(is_bad_port), "{url}");
        assert!(followed.redirect_count() <= MAX_REDIRECTS);
        assert_eq!(followed.redirect_count(), hop.redirect_count() + 1);
        assert_eq!(followed.before.last(), Some(&hop.url));
        assert!(url.fragment().is_some() || hop.url.fragment().is_none(), "a fragment was lost");
        if followed.method != hop.method {
            assert_eq!(followed.method, "GET");
            assert!(!followed.sends_body && !followed.headers.contains("content-type"));
        }
        assert!(hop.sends_body || !followed.sends_body);
        if url.origin() != hop.url.origin() {
            assert!(!followed.headers.contains("authorization"), "shown to another origin");
        }

        if main_fetch::check(&request, &principal, &mut followed).is_err() {
            return;
        }
        let same_origin = followed.url_list().all(|url| origin.is_same_origin(url));
        assert_eq!(followed.tainting == ResponseTainting::Basic, same_origin);
        assert!(same_origin || request.mode != RequestMode::SameOrigin, "left its origin");
        let serialized = followed.serialize_origin(&origin);
        assert!(serialized == "null" || serialized == origin.serialize());
        hop = followed;
    }
});
