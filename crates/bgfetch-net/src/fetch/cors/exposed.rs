//! The [CORS-exposed header-name list](https://fetch.spec.whatwg.org/#concept-response-cors-exposed-header-name-list)
//! of a response that passed the CORS check: main fetch, step 14.1.

use bgfetch_model::header_list::HeaderList;
use bgfetch_model::request::CredentialsMode;

use crate::fetch::header_values;

/// The names that `Access-Control-Expose-Headers` adds to the safelisted ones.
#[must_use]
pub fn exposed_header_names(headers: &HeaderList, credentials: CredentialsMode) -> Vec<String> {
    // A value that cannot be read exposes nothing.
    let Ok(Some(names)) = header_values::tokens(headers, "access-control-expose-headers") else {
        return Vec::new();
    };
    // Without credentials `*` is every header; with them it is the name of one.
    if credentials != CredentialsMode::Include && names.iter().any(|name| name == "*") {
        let mut all: Vec<_> = headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        all.sort_unstable();
        all.dedup();
        return all;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stars_and_nonsense() {
        let run = |value: &str, credentials| {
            let headers =
                [("X", "1"), ("x", "2"), ("A", "3"), ("Access-Control-Expose-Headers", value)];
            exposed_header_names(&headers.into_iter().collect(), credentials)
        };
        for mode in [CredentialsMode::Omit, CredentialsMode::SameOrigin] {
            assert_eq!(run("x, Y", mode), ["x", "Y"]);
            assert_eq!(run("Y, *", mode), ["a", "access-control-expose-headers", "x"]);
            assert!(run("x, not a name", mode).is_empty());
            assert!(run("", mode).is_empty());
        }
        assert_eq!(run("*, X", CredentialsMode::Include), ["*", "X"]);
        assert!(exposed_header_names(&HeaderList::default(), CredentialsMode::Omit).is_empty());
    }
}
