//! Coded bodies. The first line of the input is the response's `Content-Encoding`, with `|` between
//! two headers; the rest is its body.
#![no_main]

use bgfetch_fuzz::connection::{HOST, LIMIT, attempt};
use bgfetch_model::attempt::{AttemptEnd, AttemptSpec};
use bgfetch_model::policy::Principal;
use bgfetch_model::request::{RedirectMode, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|&byte| byte == b'\n').unwrap_or(input.len());
    let (codings, body) = input.split_at(end);
    let body = body.get(1..).unwrap_or_default();
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", body.len()).into_bytes();
    for coding in codings.split(|&byte| byte == b'|') {
        answer.extend_from_slice(b"Content-Encoding: ");
        answer.extend(coding.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')));
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"\r\n");
    answer.extend_from_slice(body);

    let outcome = attempt(&[&answer], |port| {
        let mut request = Request::get(format!("http://{HOST}:{port}/").parse().unwrap());
        request.redirect = RedirectMode::Error;
        (Principal::User, request, AttemptSpec::default())
    });
    assert!(outcome.stored.len() as u64 <= LIMIT);
    if outcome.end == AttemptEnd::Complete
        && outcome.head.is_some_and(|head| !head.is_content_coded())
    {
        assert_eq!(outcome.stored, body, "what is not coded comes as it is");
    }
});
