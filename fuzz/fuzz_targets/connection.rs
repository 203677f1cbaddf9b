//! A server that answers with arbitrary bytes. The input is a byte that selects the request, then
//! the bytes to send on each connection, separated by lines of `====`.
#![no_main]

use std::sync::Arc;

use bgfetch_fuzz::connection::{HOST, attempt, stay_here};
use bgfetch_model::attempt::{AttemptEnd, AttemptSpec, Resume};
use bgfetch_model::header_list::HeaderList;
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_model::request::{CredentialsMode, RedirectMode, Request};
use bgfetch_model::response::{ResponseHead, ResponseType};
use bgfetch_model::source::Source;
use bgfetch_model::vary::HashKey;
use libfuzzer_sys::fuzz_target;

/// The line between two answers.
const BETWEEN: &[u8] = b"\n====\n";

fn answers(mut input: &[u8]) -> Vec<&[u8]> {
    let mut answers = Vec::new();
    while let Some(at) = input.windows(BETWEEN.len()).position(|part| part == BETWEEN) {
        answers.push(&input[..at]);
        input = &input[at + BETWEEN.len()..];
    }
    answers.push(input);
    answers
}

/// A resume of a body that came from the request's own URL.
fn resume(request: &Request) -> Resume {
    let head = ResponseHead::new(200, vec![request.url.clone()])
        .with(|it| it.headers = HeaderList::from_iter([("ETag", "\"v1\"")]));
    let source = Source::new(Arc::new(head), HashKey::default());
    Resume::new(7, "\"v1\"", source)
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, rest)) = input.split_first() else {
        return;
    };
    let chosen = |bit: u8| choice & 1 << bit != 0;
    let answers = answers(rest);
    let outcome = attempt(&answers, |port| {
        let mut request = Request::get(format!("http://{HOST}:{port}/").parse().unwrap());
        if chosen(3) {
            request.method = "POST".into();
            request.body_length = Some(20);
        }
        if chosen(4) {
            request.credentials = CredentialsMode::Include;
        }
        if chosen(5) {
            // Not a safelisted header, so a page needs a preflight.
            request.headers.append("X-Own", "1");
        }
        request.redirect = match stay_here(&answers) {
            true => RedirectMode::Follow,
            false => RedirectMode::Manual,
        };
        let page = match (chosen(0), chosen(1)) {
            (false, _) => None,
            (true, false) => Some("http://page.test/".parse().unwrap()),
            (true, true) => Some(request.url.clone()),
        };
        let principal =
            page.map_or(Principal::User, |page| Principal::Page(PolicySnapshot::of(&page)));
        let resume = chosen(2).then(|| resume(&request));
        (principal, request, AttemptSpec { resume, identity: false })
    });

    let Some(head) = outcome.head else {
        assert_ne!(outcome.end, AttemptEnd::Complete, "complete without a head");
        return;
    };
    // 0 is an opaque redirect. Informational statuses are not final responses.
    assert!(matches!(head.status, 0 | 200..=999), "{}", head.status);
    assert!(head.headers.len() <= 256);
    let expected = match (chosen(0), chosen(1)) {
        (false, _) => ResponseType::Default,
        (true, false) => ResponseType::Cors,
        (true, true) => ResponseType::Basic,
    };
    if head.status == 0 {
        assert_eq!(head.response_type, ResponseType::OpaqueRedirect);
    } else {
        assert_eq!(head.response_type, expected);
    }
    if head.response_type == ResponseType::Cors {
        assert!(head.headers.contains("access-control-allow-origin"), "without consent");
        assert!(
            head.headers.get("access-control-allow-origin").as_deref() != Some("*") || !chosen(4)
        );
    }
    assert!(head.url_list.len() <= 21);
    if outcome.end == AttemptEnd::Complete
        && !head.is_content_coded()
        && !matches!(head.status, 204 | 205 | 304)
        && !head.headers.contains("transfer-encoding")
        && let Some(length) = head.headers.get("content-length")
        && let Ok(length) = length.parse::<usize>()
    {
        assert_eq!(outcome.stored.len(), length, "a cut body is complete");
    }
});
