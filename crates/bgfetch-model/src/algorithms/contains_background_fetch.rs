//! [Contains background
//! fetch](https://wicg.github.io/background-fetch/#contains-background-fetch-algorithm) and *does
//! not contain background fetch*, on the map that they use.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::ids::FetchKey;

/// A registration's active background fetches, by id.
#[derive(Debug, Default)]
pub(crate) struct ActiveBackgroundFetches(BTreeMap<String, FetchKey>);

impl ActiveBackgroundFetches {
    /// Whether the map holds this very fetch, not a later one that reuses the id. (*Does not
    /// contain background fetch* is its negation.)
    pub(crate) fn contains_background_fetch(&self, id: &str, fetch: FetchKey) -> bool {
        // Steps 1-4, the entry at the id must exist and be the same fetch.
        self.get(id) == Some(fetch)
    }

    pub(crate) fn get(&self, id: &str) -> Option<FetchKey> {
        self.0.get(id).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn insert(&mut self, id: String, fetch: FetchKey) {
        self.0.insert(id, fetch);
    }

    pub(crate) fn remove(&mut self, id: &str) {
        self.0.remove(id);
    }

    /// The ids in the order of registration, as the spec's ordered map keeps them.
    pub(crate) fn ids(&self) -> Vec<String> {
        let mut ids: Vec<_> = self.0.iter().collect();
        ids.sort_unstable_by_key(|(_, fetch)| **fetch);
        ids.into_iter().map(|(id, _)| id.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_fetch_of_the_same_id_is_another() {
        let mut active = ActiveBackgroundFetches::default();
        assert!(!active.contains_background_fetch("a", FetchKey(1)));
        active.insert("a".into(), FetchKey(1));
        assert!(active.contains_background_fetch("a", FetchKey(1)));
        active.insert("a".into(), FetchKey(2));
        assert!(!active.contains_background_fetch("a", FetchKey(1)));
    }

    #[test]
    fn ids_keep_the_order_of_registration() {
        let mut active = ActiveBackgroundFetches::default();
        for (id, key) in [("b", 1), ("c", 2), ("a", 3)] {
            active.insert(id.into(), FetchKey(key));
        }
        assert_eq!(active.ids(), ["b", "c", "a"]);
    }
}
