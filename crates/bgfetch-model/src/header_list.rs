//! Fetch's [header list](https://fetch.spec.whatwg.org/#concept-header-list).

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// An ordered list of header names and values.
///
/// Values are byte sequences in Fetch. They are kept isomorphically decoded (one `char` up to
/// U+00FF for each byte), as JavaScript sees them too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HeaderList(Vec<(String, String)>);

impl HeaderList {
    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of headers; repeated names are counted each time.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds a header at the end, keeping others of the same name.
    pub fn append(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Removes every header with that name.
    pub fn delete(&mut self, name: &str) {
        self.0.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    }

    /// Whether there is a header with that name (compared byte-case-insensitively).
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
    }

    /// The [combined value](https://fetch.spec.whatwg.org/#concept-header-list-get): all values of
    /// that name joined by a comma and a space, or none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        let mut values = self.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let mut combined = String::from(values.next()?.1);
        for (_, value) in values {
            combined.push_str(", ");
            combined.push_str(value);
        }
        Some(combined)
    }

    /// The headers in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for HeaderList {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(headers: I) -> Self {
        Self(headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn get_combines_repeated_names_whatever_their_case() {
        let list = HeaderList::from_iter([("Vary", "a"), ("X", "1"), ("vary", "b")]);
        assert_eq!(list.get("VARY").as_deref(), Some("a, b"));
        assert_eq!(list.get("y"), None);
    }

    #[test]
    fn a_name_in_any_case_is_found_and_deleted_with_all_its_values() {
        let mut list = HeaderList::from_iter([("Vary", "a"), ("X", "1"), ("vary", "b")]);
        assert!(list.contains("VARY") && !list.contains("y"));
        assert_eq!(list.len(), 3);
        list.delete("y");
        list.delete("vArY");
        assert_eq!(list, HeaderList::from_iter([("X", "1")]));
        assert!(!list.is_empty());
        list.delete("x");
        assert!(list.is_empty());
    }
}
