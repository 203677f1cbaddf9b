//! What fetches share, they share within a network partition only: Fetch's [network partition
//! key](https://fetch.spec.whatwg.org/#network-partition-key).

use std::collections::HashMap;
use std::hash::Hash;

use bgfetch_model::ids::StorageKey;
use bgfetch_model::policy::Principal;

/// The most sites that have state in a [`Partitioned`]. For one more, the site that has not used its
/// state for the longest time loses it. That loss is all that a site can learn about others from a
/// cache.
pub const MAX_SITES: usize = 256;

/// A network partition: that of a site, by default a storage key, or that of the user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Partition<K = StorageKey> {
    /// All fetches for the user.
    User,
    /// The fetches of a site's pages.
    Site(K),
}

impl Partition {
    /// The partition of a fetch.
    #[must_use]
    pub fn of(principal: &Principal, storage_key: &StorageKey) -> Self {
        match principal {
            Principal::User => Self::User,
            Principal::Page(_) => Self::Site(storage_key.clone()),
        }
    }
}

/// State that is kept for each partition separately, for at most [`MAX_SITES`] sites and the user.
///
/// Each `T` limits its own size. So no partition evicts another one's entries, unless there are
/// more sites than that. The user's state is never dropped.
#[derive(Clone, Debug)]
pub struct Partitioned<T, K = StorageKey> {
    user: T,
    sites: HashMap<K, Used<T>>,
    uses: u64,
}

/// A site's state, and when it was last used, as a number of uses.
#[derive(Clone, Debug)]
struct Used<T> {
    state: T,
    at: u64,
}

impl<T: Default, K> Default for Partitioned<T, K> {
    fn default() -> Self {
        Self { user: T::default(), sites: HashMap::new(), uses: 0 }
    }
}

impl<T: Default, K: Clone + Eq + Hash> Partitioned<T, K> {
    /// The state of a partition, if there is any.
    pub fn get(&mut self, partition: &Partition<K>) -> Option<&mut T> {
        let Partition::Site(key) = partition else { return Some(&mut self.user) };
        self.uses += 1;
        let used = self.sites.get_mut(key)?;
        used.at = self.uses;
        Some(&mut used.state)
    }

    /// The state of a partition, which begins as the default. If there are [`MAX_SITES`] others, the
    /// state that was not used for the longest time is dropped.
    pub fn entry(&mut self, partition: &Partition<K>) -> &mut T {
        let Partition::Site(key) = partition else { return &mut self.user };
        self.uses += 1;
        if self.sites.len() >= MAX_SITES && !self.sites.contains_key(key) {
            let longest_unused = self.sites.iter().min_by_key(|(_, used)| used.at);
            if let Some(key) = longest_unused.map(|(key, _)| key.clone()) {
                self.sites.remove(&key);
            }
        }
        let new = || Used { state: T::default(), at: 0 };
        let used = self.sites.entry(key.clone()).or_insert_with(new);
        used.at = self.uses;
        &mut used.state
    }

    /// Drops the states of sites that say no.
    pub fn retain(&mut self, mut keeps: impl FnMut(&mut T) -> bool) {
        self.sites.retain(|_, used| keeps(&mut used.state));
    }

    /// Drops all state.
    pub fn clear(&mut self) {
        (self.user, self.sites) = (T::default(), HashMap::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn site(number: usize) -> Partition<usize> {
        Partition::Site(number)
    }

    #[test]
    fn the_state_unused_for_the_longest_time_is_dropped_and_the_users_never() {
        let mut all = Partitioned::<Vec<u32>, usize>::default();
        all.entry(&Partition::User).push(7);
        for number in 0..MAX_SITES {
            all.entry(&site(number)).push(1);
        }
        assert!(all.get(&site(0)).is_some());
        all.entry(&site(MAX_SITES));
        assert!(all.get(&site(0)).is_some() && all.get(&site(1)).is_none());
        assert_eq!(all.sites.len(), MAX_SITES);
        assert_eq!(all.entry(&Partition::User), &[7]);
        all.retain(|state| !state.is_empty());
        assert_eq!(all.sites.len(), MAX_SITES - 1);
        all.clear();
        assert!(all.sites.is_empty() && all.user.is_empty());
    }

    proptest! {
        /// What one site finds is the same whatever others do, as long as there is room for all.
        #[test]
        fn no_site_sees_another_below_the_limit(
            uses in prop::collection::vec((0..MAX_SITES, any::<bool>(), any::<u8>()), 0..600),
        ) {
            let sees = |alone: bool| {
                let mut all = Partitioned::<Vec<u8>, usize>::default();
                let mut seen = Vec::new();
                // Half of the uses are of site 0.
                for (number, of_the_first, value) in &uses {
                    let at = if *of_the_first { 0 } else { *number };
                    if at != 0 && alone {
                        continue;
                    }
                    let state = all.entry(&site(at));
                    state.push(*value);
                    if at == 0 {
                        seen.push(state.clone());
                    }
                }
                seen
            };
            prop_assert_eq!(sees(true), sees(false));
        }
    }
}
