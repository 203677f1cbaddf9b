//! Validators and parts. The input is the offset of a resume, the header list of the response whose
//! bytes are stored, a blank line, and the header list of the partial response.
#![no_main]

use bgfetch_fuzz::{headers, lines};
use bgfetch_model::algorithms::validate_a_partial_response::validate_a_partial_response;
use bgfetch_model::header_list::HeaderList;
use bgfetch_model::response::{ResponseHead, ResponseType};
use bgfetch_model::validator::strong_validator;
use libfuzzer_sys::fuzz_target;

fn head(status: u16, headers: HeaderList) -> ResponseHead {
    ResponseHead::new(status, vec!["https://a.test/".parse().unwrap()]).with(|it| {
        it.headers = headers;
        it.response_type = ResponseType::Cors;
    })
}

fuzz_target!(|input: &[u8]| {
    let mut lines = lines(input);
    let start = lines.next().and_then(|line| line.trim().parse().ok()).unwrap_or(0);
    let first: Vec<_> = lines.by_ref().take_while(|line| !line.trim().is_empty()).collect();
    let before = head(200, headers(first));
    let partial = head(206, headers(lines));

    if let Some(validator) = strong_validator(&before) {
        // It is the server's own value, sent back unchanged.
        let etag = before.headers.get("etag");
        let own = etag.clone().or_else(|| before.headers.get("last-modified"));
        assert_eq!(own.as_deref(), Some(validator.as_str()));
        assert!(etag.is_none() || (validator.starts_with('"') && validator.len() >= 2));
        assert!(!validator.contains(['\r', '\n', '\0']), "{validator:?}");
    }

    let alone = validate_a_partial_response(start, &partial, None);
    let joined = validate_a_partial_response(start, &partial, Some(&before));
    if joined.is_ok() {
        assert_eq!(alone, joined, "what may be joined is valid by itself");
        let etag = before.headers.get("etag");
        assert!(etag.is_none() || etag == partial.headers.get("etag"), "two representations");
        for name in ["content-language", "content-location", "content-type", "last-modified"] {
            let now = partial.headers.get(name);
            assert!(now.is_none() || now == before.headers.get(name), "another {name}");
        }
        for head in [&before, &partial] {
            let vary = head.headers.get("vary").unwrap_or_default();
            let by_user = |name: &str| ["*", "cookie", "authorization"].contains(&name.trim());
            let unknown = vary.to_ascii_lowercase().split(',').any(by_user);
            assert!(!unknown, "perhaps two users");
        }
    }
    if let Ok(range) = alone {
        assert_eq!(range.first, start, "the part begins where it was asked to");
        assert!(!partial.is_content_coded(), "offsets of a coded part mean nothing");
    }
});
