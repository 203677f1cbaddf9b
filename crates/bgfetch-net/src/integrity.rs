//! [Subresource Integrity](https://w3c.github.io/webappsec-subresource-integrity/): checks whether
//! bytes match a request's integrity metadata.
//!
//! Pure and incremental, so large bodies are never held in memory.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// Base64 with optional padding, because pages use both forms.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A hash function of the standard. Stronger ones compare greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    /// The algorithm of a token, or `None` if it is unknown.
    fn of(token: &str) -> Option<Self> {
        [("sha256", Self::Sha256), ("sha384", Self::Sha384), ("sha512", Self::Sha512)]
            .into_iter()
            .find_map(|(name, it)| name.eq_ignore_ascii_case(token).then_some(it))
    }
}

/// One item of integrity metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    algorithm: Algorithm,
    digest: Vec<u8>,
}

/// [Parses metadata](https://w3c.github.io/webappsec-subresource-integrity/#parse-metadata). An
/// item with an unknown algorithm, or with a value that is not base64, is ignored.
fn parse(metadata: &str) -> Vec<Item> {
    metadata.split_ascii_whitespace().filter_map(parse_item).collect()
}

fn parse_item(item: &str) -> Option<Item> {
    // Step 2.1, options follow a question mark; none are defined.
    let expression = item.split('?').next()?;
    // Steps 2.4 to 2.7, the algorithm and the value. They are separated by the first hyphen. The
    // value may contain more, because pages also use base64url.
    let (algorithm, value) = expression.split_once('-')?;
    let algorithm = Algorithm::of(algorithm)?;
    // DEVIATION(D27): the standard keeps a value that is not base64, and nothing matches it.
    // Engines ignore it like an unknown algorithm.
    let standard = value.replace('-', "+").replace('_', "/");
    let digest = BASE64.decode(standard).ok()?;
    (!digest.is_empty()).then_some(Item { algorithm, digest })
}

/// The state of a hash.
#[derive(Clone, Debug)]
enum Hasher {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

/// Compares bytes with integrity metadata
/// ([do bytes match metadataList](https://w3c.github.io/webappsec-subresource-integrity/#does-response-match-metadatalist)).
///
/// ```
/// use bgfetch_net::integrity::Verifier;
///
/// let mut verifier = Verifier::new("sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=");
/// verifier.update(b"hel");
/// verifier.update(b"lo");
/// assert!(verifier.matches());
/// ```
#[derive(Clone, Debug)]
pub struct Verifier {
    /// `None` if the metadata has no usable item.
    hasher: Option<Hasher>,
    /// The expected digests of the strongest algorithm. One of them must match.
    digests: Vec<Vec<u8>>,
}

impl Verifier {
    /// A verifier of a request's [integrity
    /// metadata](https://fetch.spec.whatwg.org/#concept-request-integrity-metadata). If it has no
    /// usable item, everything matches.
    #[must_use]
    pub fn new(metadata: &str) -> Self {
        let items = parse(metadata);
        // Step 3, only the strongest algorithm counts, so an attacker cannot choose a weaker one.
        let strongest = items.iter().map(|item| item.algorithm).max();
        let digests =
            items.into_iter().filter(|item| Some(item.algorithm) == strongest).map(|it| it.digest);
        Self {
            digests: digests.collect(),
            hasher: strongest.map(|algorithm| match algorithm {
                Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
                Algorithm::Sha384 => Hasher::Sha384(Sha384::new()),
                Algorithm::Sha512 => Hasher::Sha512(Sha512::new()),
            }),
        }
    }

    /// Whether the result depends on the bytes.
    #[must_use]
    pub const fn needs_bytes(&self) -> bool {
        self.hasher.is_some()
    }

    /// Takes the next bytes, in order.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.hasher {
            None => {}
            Some(Hasher::Sha256(hasher)) => hasher.update(bytes),
            Some(Hasher::Sha384(hasher)) => hasher.update(bytes),
            Some(Hasher::Sha512(hasher)) => hasher.update(bytes),
        }
    }

    /// Whether the bytes match the metadata.
    #[must_use]
    pub fn matches(self) -> bool {
        let actual = match self.hasher {
            // Step 2, the metadata is empty.
            None => return true,
            Some(Hasher::Sha256(hasher)) => hasher.finalize().to_vec(),
            Some(Hasher::Sha384(hasher)) => hasher.finalize().to_vec(),
            Some(Hasher::Sha512(hasher)) => hasher.finalize().to_vec(),
        };
        // Steps 4 and 5, one of the values must match.
        self.digests.contains(&actual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    const HELLO: &[u8] = b"hello";
    const GOOD_256: &str = "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
    const GOOD_384: &str =
        "sha384-WeF0h3dEjGnea4ANejO7+5/xtGPkQ1TDVTvNucZm+pASWjx5+QOXvfX2oT3oKGhP";
    const GOOD_512: &str = "sha512-m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw==";
    /// The digest of other bytes.
    const BAD_256: &str = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    const BAD_512: &str = "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==";

    fn matches(metadata: &str, bytes: &[u8]) -> bool {
        let mut verifier = Verifier::new(metadata);
        verifier.update(bytes);
        verifier.matches()
    }

    #[test]
    fn the_strongest_algorithm_decides_and_any_of_its_values_may_match() {
        let url_256 = GOOD_256.replace('+', "-").replace('/', "_");
        let unpadded = GOOD_256.trim_end_matches('=');
        let table: &[(String, bool)] = &[
            (GOOD_256.into(), true),
            (GOOD_384.into(), true),
            (GOOD_512.into(), true),
            (BAD_256.into(), false),
            (BAD_512.into(), false),
            // Any kind and amount of whitespace.
            (format!(" \t\n{GOOD_256}\r\n"), true),
            // Options.
            (format!("{GOOD_256}?a=b?c"), true),
            (format!("{BAD_256}?{GOOD_256}"), false),
            // Several values of one algorithm.
            (format!("{BAD_256} {GOOD_256}"), true),
            (format!("{GOOD_256}  {BAD_256}"), true),
            // The strongest decides, whatever the weaker ones say.
            (format!("{GOOD_256} {BAD_512}"), false),
            (format!("{BAD_512} {GOOD_256} {GOOD_384}"), false),
            (format!("{BAD_256} {GOOD_384}"), true),
            (format!("{GOOD_512} {BAD_256}"), true),
            // Both alphabets, with and without padding.
            (url_256, true),
            (unpadded.into(), true),
            // Names are case-insensitive, values are not.
            (GOOD_256.replace("sha256", "SHA256"), true),
            (GOOD_256.to_lowercase(), false),
            // A value with the length of another algorithm.
            (GOOD_512.replace("sha512", "sha256"), false),
            ("sha256-aGVsbG8=".into(), false),
        ];
        for (metadata, expected) in table {
            assert_eq!(matches(metadata, HELLO), *expected, "{metadata:?}");
        }
    }

    #[test]
    fn metadata_without_a_usable_item_asks_for_nothing() {
        let unusable = [
            "",
            " \t ",
            "sha256",
            "sha256-",
            "sha256-?a",
            "sha256-*",
            "sha256-a b",
            "-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
            "md5-XUFAKrxLKna5cZ2REBfFkg==",
            "sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00=",
            "sha512/256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
            "?sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
            "é-ü",
        ];
        for metadata in unusable {
            assert!(!Verifier::new(metadata).needs_bytes(), "{metadata:?}");
            assert!(matches(metadata, HELLO), "{metadata:?}");
        }
        // Next to a usable item, they change nothing.
        assert!(!matches(&format!("md5-x {BAD_256} sha512-*"), HELLO));
        assert!(matches(&format!("md5-x {GOOD_256} sha512-*"), HELLO));
    }

    #[test]
    fn no_bytes_are_bytes() {
        let empty = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert!(matches(empty, b""));
        assert!(!matches(GOOD_256, b""));
    }

    proptest! {
        #[test]
        fn bytes_match_their_own_digest_however_they_are_cut_and_written(
            bytes in prop::collection::vec(any::<u8>(), 0..500),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
            algorithm in 0..3usize,
            writing in 0..4usize,
            flip in any::<prop::sample::Index>(),
        ) {
            let (name, digest) = match algorithm {
                0 => ("sha256", Sha256::digest(&bytes).to_vec()),
                1 => ("sha384", Sha384::digest(&bytes).to_vec()),
                _ => ("sha512", Sha512::digest(&bytes).to_vec()),
            };
            let encode = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD][writing];
            let metadata = format!("{name}-{}", encode.encode(digest));
            let mut verifier = Verifier::new(&metadata);
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let mut from = 0;
            for to in cuts.into_iter().chain([bytes.len()]) {
                verifier.update(&bytes[from..to]);
                from = to;
            }
            prop_assert!(verifier.matches());

            let mut other = bytes.clone();
            if other.is_empty() {
                other.push(0);
            } else {
                let at = flip.index(other.len());
                other[at] ^= 1;
            }
            prop_assert!(!matches(&metadata, &other));
        }

        #[test]
        fn any_metadata_is_taken(metadata: String, bytes: Vec<u8>) {
            let usable = Verifier::new(&metadata).needs_bytes();
            prop_assert!(usable || matches(&metadata, &bytes));
        }
    }
}
