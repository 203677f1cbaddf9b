//! Integrity metadata. The first line of the input is the metadata, the rest is the body.
#![no_main]

use bgfetch_fuzz::text;
use bgfetch_net::integrity::Verifier;
use libfuzzer_sys::fuzz_target;

fn matches(metadata: &str, pieces: &[&[u8]]) -> bool {
    let mut verifier = Verifier::new(metadata);
    for piece in pieces {
        verifier.update(piece);
    }
    verifier.matches()
}

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|&byte| byte == b'\n').unwrap_or(input.len());
    let (metadata, bytes) = input.split_at(end);
    let (metadata, bytes) = (text(metadata), bytes.get(1..).unwrap_or_default());

    let matched = matches(&metadata, &[bytes]);
    let (head, tail) = bytes.split_at(bytes.len() / 3);
    assert_eq!(matches(&metadata, &[head, b"", tail]), matched, "it depends on the pieces");
    let unknown = format!("md5-AAAA {metadata} sha1-AAAA\t");
    assert_eq!(matches(&unknown, &[bytes]), matched, "an unknown algorithm counts");
    if Verifier::new(&metadata).needs_bytes() {
        assert!(!(matched && matches(&metadata, &[bytes, b"!"])), "other bytes match too");
        let weaker = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let of_nothing = format!("{metadata} {weaker}");
        assert!(!matched || matches(&of_nothing, &[bytes]), "another choice made it worse");
    } else {
        assert!(matched, "what asks for nothing matches everything");
    }
});
