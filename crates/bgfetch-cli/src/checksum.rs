//! Checksums as users write them.

/// The hash functions that integrity metadata has, and the hexadecimal digits of their results.
const ALGORITHMS: [(&str, usize); 3] = [("sha256", 64), ("sha384", 96), ("sha512", 128)];

/// The [integrity metadata](https://w3c.github.io/webappsec-subresource-integrity/#integrity-metadata)
/// for a checksum like `sha256:HEX`. aria2's form, `sha-256=HEX`, is accepted, too.
///
/// # Errors
///
/// What is wrong with it.
pub(crate) fn integrity(text: &str) -> Result<String, String> {
    let (name, hex) = text.split_once([':', '=']).unwrap_or((text, ""));
    let name = name.to_ascii_lowercase().replace("sha-", "sha");
    let Some((name, digits)) = ALGORITHMS.into_iter().find(|(known, _)| *known == name) else {
        return Err("a checksum is sha256:HEX, sha384:HEX or sha512:HEX".into());
    };
    let wrong = || format!("a checksum of {name} has {digits} hexadecimal digits");
    let bytes = bytes_of(hex).filter(|_| hex.len() == digits).ok_or_else(wrong)?;
    Ok(format!("{name}-{}", base64(&bytes)))
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.chars().map(|c| Some(c.to_digit(16)? as u8)).collect::<Option<Vec<_>>>()?;
    let byte = |pair: &[u8]| Some(pair.first()? << 4 | pair.get(1)?);
    digits.chunks(2).map(byte).collect()
}

/// Base64 with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_become_integrity_metadata() {
        let hex = "2CF24DBA5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let metadata = "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
        for text in [format!("sha256:{hex}"), format!("sha-256={hex}"), format!("SHA256={hex}")] {
            assert_eq!(integrity(&text).as_deref(), Ok(metadata), "{text}");
        }
        let long = "0".repeat(128);
        assert!(integrity(&format!("sha512:{long}")).unwrap().starts_with("sha512-AAAA"));
    }

    #[test]
    fn what_is_no_checksum_is_explained() {
        for (text, expected) in [
            ("md5:d41d8cd98f00b204e9800998ecf8427e", "a checksum is sha256:HEX, sha384:HEX or"),
            ("", "a checksum is sha256:HEX"),
            ("sha256", "a checksum of sha256 has 64 hexadecimal digits"),
            ("sha256:12", "a checksum of sha256 has 64 hexadecimal digits"),
            (&format!("sha384:{}", "g".repeat(96)), "a checksum of sha384 has 96 hexadecimal"),
            (&format!("sha256:{}", "é".repeat(32)), "a checksum of sha256 has 64 hexadecimal"),
        ] {
            let error = integrity(text).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
