//! What a page may send to any server without permission, because forms and media elements always
//! could.

use bgfetch_model::header_list::HeaderList;

/// The maximum length of a safelisted header's value, in bytes.
const MAX_VALUE: usize = 128;

/// The maximum length of the values of all safelisted headers together, in bytes.
const MAX_VALUES: usize = 1024;

/// Whether it is a [CORS-safelisted method](https://fetch.spec.whatwg.org/#cors-safelisted-method).
#[must_use]
pub fn is_safelisted_method(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "POST")
}

/// Whether it is a
/// [CORS non-wildcard request-header name](https://fetch.spec.whatwg.org/#cors-non-wildcard-request-header-name),
/// which `*` does not cover and which is not sent on to another origin.
#[must_use]
pub fn is_non_wildcard_name(name: &str) -> bool {
    name.eq_ignore_ascii_case("authorization")
}

/// The
/// [CORS-unsafe request-header names](https://fetch.spec.whatwg.org/#cors-unsafe-request-header-names):
/// those of `headers` that a server must allow; lowercase, sorted and deduplicated.
#[must_use]
pub fn unsafe_header_names(headers: &HeaderList) -> Vec<String> {
    // Steps 4 and 5, the safelisted headers together are limited too.
    let safe = |(name, value): &(&str, &str)| is_safelisted_header(name, value);
    let size: usize = headers.iter().filter(safe).map(|(_, value)| length(value)).sum();
    let mut names: Vec<_> = headers
        .iter()
        .filter(|header| size > MAX_VALUES || !safe(header))
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    // Step 6, as a sorted set.
    names.sort_unstable();
    names.dedup();
    names
}

/// Whether it is a [CORS-safelisted request-header](https://fetch.spec.whatwg.org/#cors-safelisted-request-header).
#[must_use]
pub fn is_safelisted_header(name: &str, value: &str) -> bool {
    if length(value) > MAX_VALUE {
        return false;
    }
    match name.to_ascii_lowercase().as_str() {
        "accept" => !value.chars().any(is_unsafe),
        "accept-language" | "content-language" => {
            value.chars().all(|c| c.is_ascii_alphanumeric() || " *,-.;=".contains(c))
        }
        "content-type" => {
            !value.chars().any(is_unsafe)
                && essence(value).is_some_and(|essence| {
                    matches!(
                        essence.as_str(),
                        "application/x-www-form-urlencoded" | "multipart/form-data" | "text/plain"
                    )
                })
        }
        "range" => is_simple_range(value),
        _ => false,
    }
}

/// The length in bytes of an isomorphically decoded value.
fn length(value: &str) -> usize {
    value.chars().count()
}

/// A [CORS-unsafe request-header byte](https://fetch.spec.whatwg.org/#cors-unsafe-request-header-byte).
fn is_unsafe(byte: char) -> bool {
    (byte < ' ' && byte != '\t') || "\"():<>?@[\\]{}\u{7f}".contains(byte)
}

/// The [essence](https://mimesniff.spec.whatwg.org/#mime-type-essence) of a MIME type. For a value
/// that is none, the result is no type's essence. Parameters cannot make a type invalid.
fn essence(value: &str) -> Option<String> {
    let whitespace = [' ', '\t', '\n', '\r'];
    let (kind, rest) = value.trim_matches(whitespace).split_once('/')?;
    let subtype = rest.split(';').next()?.trim_end_matches(whitespace);
    Some(format!("{kind}/{subtype}").to_ascii_lowercase())
}

/// Whether it is a single range of bytes with a start, the form that
/// [media elements send](https://fetch.spec.whatwg.org/#simple-range-header-value).
fn is_simple_range(value: &str) -> bool {
    let Some((start, end)) = value.strip_prefix("bytes=").and_then(|set| set.split_once('-'))
    else {
        return false;
    };
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if start.is_empty() || !are_digits(start) || !are_digits(end) {
        return false;
    }
    // Compared as decimal numbers of any length.
    let (start, last) = (start.trim_start_matches('0'), end.trim_start_matches('0'));
    end.is_empty() || (start.len(), start) <= (last.len(), last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::select;

    #[test]
    fn methods() {
        for method in ["GET", "HEAD", "POST"] {
            assert!(is_safelisted_method(method));
        }
        for method in ["get", "PUT", "DELETE", "PATCH", "OPTIONS", "QUERY", "*", ""] {
            assert!(!is_safelisted_method(method), "{method}");
        }
    }

    #[test]
    fn each_safelisted_header_has_its_own_bytes() {
        let long = "a".repeat(128);
        let latin = "\u{e9}".repeat(128);
        for (name, value) in [
            ("Accept", "text/html, */*;q=0.8"),
            ("ACCEPT", "a\tb"),
            ("accept", "\u{80}"),
            ("accept", ""),
            ("accept", &long),
            ("accept", &latin),
            ("Accept-Language", "en-GB, *;q=0.5"),
            ("content-language", "de"),
            ("content-type", "text/plain"),
            ("content-type", " TEXT/Plain ; charset=utf-8"),
            ("content-type", "text/plain;"),
            ("content-type", "text/plain; charset"),
            ("content-type", "multipart/form-data; boundary=x"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("range", "bytes=0-"),
            ("range", "bytes=5-5"),
            ("range", "bytes=005-10"),
            ("range", "bytes=18446744073709551616-18446744073709551617"),
        ] {
            assert!(is_safelisted_header(name, value), "{name}: {value}");
        }
        let long = "a".repeat(129);
        for (name, value) in [
            ("accept", "\""),
            ("accept", "a:b"),
            ("accept", "\u{1}"),
            ("accept", "\u{7f}"),
            ("accept", &long),
            ("accept-language", "en_GB"),
            ("accept-language", "a\tb"),
            ("accept-language", "\u{e9}"),
            ("content-type", ""),
            ("content-type", "text"),
            ("content-type", "/plain"),
            ("content-type", "text/"),
            ("content-type", "text /plain"),
            ("content-type", "application/json"),
            ("content-type", "text/plain, application/json"),
            ("content-type", "text/plain; charset=\"utf-8\""),
            ("range", "bytes=-5"),
            ("range", "bytes=5-4"),
            ("range", "bytes=10-9"),
            ("range", "bytes=18446744073709551617-18446744073709551616"),
            ("range", "bytes=0-,5-"),
            ("range", "bytes= 0-"),
            ("range", "bytes =0-"),
            ("range", "Bytes=0-"),
            ("range", "bytes=+1-"),
            ("range", "bytes=0"),
            ("range", ""),
            ("if-range", "x"),
            ("authorization", "x"),
            ("x", ""),
            ("user-agent", "me"),
            ("", ""),
        ] {
            assert!(!is_safelisted_header(name, value), "{name}: {value}");
        }
    }

    #[test]
    fn unsafe_names_are_a_sorted_lowercase_set() {
        let run = |list: &[(&str, &str)]| unsafe_header_names(&list.iter().copied().collect());
        assert!(run(&[("Accept", "*/*"), ("Content-Type", "text/plain")]).is_empty());
        let list = [("Z", "1"), ("accept", "*/*"), ("B-2", ""), ("a", "1"), ("z", "2")];
        assert_eq!(run(&list), ["a", "b-2", "z"]);
        // One bad value of a name is enough, and the good one does not count twice.
        let list = [("accept", "a"), ("Accept", "\"")];
        assert_eq!(run(&list), ["accept"]);
    }

    #[test]
    fn more_than_1024_bytes_of_harmless_values_are_unsafe() {
        let value = "a".repeat(128);
        let mut list: HeaderList = (0..8).map(|_| ("accept", value.as_str())).collect();
        list.append("x", "1".repeat(2000));
        assert_eq!(unsafe_header_names(&list), ["x"]);
        list.append("Content-Language", "a");
        assert_eq!(unsafe_header_names(&list), ["accept", "content-language", "x"]);
    }

    proptest! {
        #[test]
        fn a_range_is_simple_exactly_if_it_is_not_reversed(start: u64, end: u64, pad in 0..3usize) {
            let zeros = "0".repeat(pad);
            let range = format!("bytes={zeros}{start}-{end}");
            prop_assert_eq!(is_safelisted_header("Range", &range), start <= end);
        }

        #[test]
        fn no_safelisted_value_has_a_byte_that_could_end_or_nest_something(
            name in select(vec!["accept", "accept-language", "content-type", "range"]),
            value in "[ -~]{0,20}(text/plain)?[\\x00-\\xff]{0,140}",
        ) {
            if is_safelisted_header(name, &value) {
                prop_assert!(value.chars().count() <= 128);
                let harmless = !value.chars().any(|c| "\"(){}<>@\r\n\0".contains(c));
                prop_assert!(harmless);
            }
        }
    }
}
