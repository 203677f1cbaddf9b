//! The [CORS-exposed header-name list](https://fetch.spec.whatwg.org/#concept-response-cors-exposed-header-name-list)
//! of a response that passed the CORS check: main fetch, step 14.1.

use bgfetch_model::header_list::HeaderList;
use bgfetch_model::request::CredentialsMode;

use crate::fetch::header_values;

/// The names that `Access-Control-Expose-Headers` adds to the safelisted ones; lowercase, sorted
/// and deduplicated. Names without a header in the response are left out, because they expose
/// nothing and a server could list very many.
#[must_use]
pub fn exposed_header_names(headers: &HeaderList, credentials: CredentialsMode) -> Vec<String> {
    // A malformed value exposes nothing.
    let Ok(Some(names)) = header_values::tokens(headers, "access-control-expose-headers") else {
        return Vec::new();
    };
    let present = sorted_set(headers.iter().map(|(name, _)| name.to_ascii_lowercase()));
    // Without credentials, `*` stands for every header. With credentials, it is a header name.
    if credentials != CredentialsMode::Include && names.iter().any(|name| name == "*") {
        return present;
    }
    let exposed = names.iter().map(|name| name.to_ascii_lowercase());
    sorted_set(exposed.filter(|name| present.binary_search(name).is_ok()))
}

fn sorted_set(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.dedup();
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
            assert_eq!(run("X, y, a, x", mode), ["a", "x"]);
            assert_eq!(run("Y, *", mode), ["a", "access-control-expose-headers", "x"]);
            assert!(run("x, not a name", mode).is_empty());
            assert!(run("", mode).is_empty());
        }
        assert_eq!(run("*, X", CredentialsMode::Include), ["x"]);
        assert!(exposed_header_names(&HeaderList::default(), CredentialsMode::Omit).is_empty());
    }
}
