//! Fetch's [extract header list values](https://fetch.spec.whatwg.org/#extract-header-list-values)
//! for the grammars that CORS uses. A value that violates its grammar is rejected as a whole.

use bgfetch_model::header_list::HeaderList;
use thiserror::Error;

/// A header's value violates its grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the value of {0} is malformed")]
pub struct Malformed(pub &'static str);

/// The values of a header that is a list of tokens (`#field-name`, `#method`), or `None` if there
/// is no such header. Empty elements are skipped, as
/// [RFC 9110 section 5.6.1.2](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1.2) requires of
/// recipients.
///
/// # Errors
/// If an element is not a token.
pub fn tokens(headers: &HeaderList, name: &'static str) -> Result<Option<Vec<String>>, Malformed> {
    if !headers.contains(name) {
        return Ok(None);
    }
    let mut tokens = Vec::new();
    for value in values(headers, name) {
        for element in value.split(',').map(trim).filter(|element| !element.is_empty()) {
            if !is_token(element) {
                return Err(Malformed(name));
            }
            tokens.push(element.to_owned());
        }
    }
    Ok(Some(tokens))
}

/// The value of a header that is a number of seconds (`delta-seconds`), or `None` if there is no
/// such header. Saturates if the number is too large.
///
/// # Errors
/// If it does not consist of digits, or if there is more than one such header.
pub fn delta_seconds(headers: &HeaderList, name: &'static str) -> Result<Option<u64>, Malformed> {
    let mut values = values(headers, name);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let value = trim(value);
    if values.next().is_some() || value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Malformed(name));
    }
    Ok(Some(value.parse().unwrap_or(u64::MAX)))
}

/// Whether `text` is a [token](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2).
#[must_use]
pub fn is_token(text: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_tchar)
}

fn values<'a>(headers: &'a HeaderList, name: &'a str) -> impl Iterator<Item = &'a str> {
    let named =
        move |(other, value): (&str, &'a str)| other.eq_ignore_ascii_case(name).then_some(value);
    headers.iter().filter_map(named)
}

/// Removes optional whitespace around `text`: only spaces and tabs.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAME: &str = "access-control-allow-headers";

    fn list(values: &[&str]) -> HeaderList {
        values.iter().map(|value| ("Access-Control-Allow-Headers", *value)).collect()
    }

    #[test]
    fn a_list_of_tokens_is_read_or_fails_as_a_whole() {
        let ok: [(&[&str], &[&str]); 8] = [
            (&["a"], &["a"]),
            (&["A, b"], &["A", "b"]),
            (&["a", "b,c"], &["a", "b", "c"]),
            (&[" a\t,\tb "], &["a", "b"]),
            (&[",a,, b,"], &["a", "b"]),
            (&[""], &[]),
            (&[" , "], &[]),
            (&["*, x!#$%&'*+-.^_`|~9"], &["*", "x!#$%&'*+-.^_`|~9"]),
        ];
        for (values, expected) in ok {
            let read = tokens(&list(values), NAME).unwrap().unwrap();
            assert_eq!(read, expected, "{values:?}");
        }
        for bad in ["a b", "a;q=1", "\"a\"", "a,\u{b}b", "\u{c}", "(", "caf\u{e9}", "a, @"] {
            assert_eq!(tokens(&list(&["ok", bad]), NAME), Err(Malformed(NAME)), "{bad:?}");
        }
        assert_eq!(tokens(&HeaderList::default(), NAME), Ok(None));
    }

    #[test]
    fn seconds_are_digits_and_there_is_one_header() {
        let read = |values: &[&str]| delta_seconds(&list(values), NAME);
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["0"]), Ok(Some(0)));
        assert_eq!(read(&[" 600\t"]), Ok(Some(600)));
        assert_eq!(read(&[&"9".repeat(40)]), Ok(Some(u64::MAX)));
        for bad in [&[""][..], &["-1"], &["+1"], &["1.5"], &["1 0"], &["1, 1"], &["1", "1"]] {
            assert_eq!(read(bad), Err(Malformed(NAME)), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_comes_out_of_a_list_is_tokens_and_goes_in_again(value in "\\PC{0,40}") {
            if let Ok(Some(read)) = tokens(&list(&[&value]), NAME) {
                prop_assert!(read.iter().all(|token| is_token(token)));
                let joined = read.join(",");
                prop_assert_eq!(tokens(&list(&[&joined]), NAME).unwrap().unwrap(), read);
            }
        }
    }
}
