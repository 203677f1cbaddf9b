//! The [CORS-preflight cache](https://fetch.spec.whatwg.org/#cors-preflight-cache).

use std::collections::VecDeque;
use std::time::Instant;

use bgfetch_model::request::CredentialsMode;
use url::Url;

use super::preflight::{Permission, Preflight};
use super::safelist;
use crate::partition::{Partition, Partitioned};

/// How many entries (methods and header names) are cached for a partition. The oldest are evicted
/// first, and cost another preflight.
const MAX_ENTRIES: usize = 500;

/// How many methods and how many header names of one response are cached. A request has a handful
/// of them. A server that lists thousands must not fill the cache.
const MAX_NAMES: usize = 100;

/// What servers have allowed, for as long as they said.
#[derive(Debug, Default)]
pub struct PreflightCache(Partitioned<VecDeque<Entry>>);

/// The key of a permission. It includes the partition, so a site cannot find out what was allowed
/// to another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheKey {
    /// The network partition.
    pub partition: Partition,
    /// The request's serialized origin.
    pub origin: String,
    /// The request's current URL.
    pub url: Url,
}

/// A [cache entry](https://fetch.spec.whatwg.org/#concept-cache).
#[derive(Debug)]
struct Entry {
    key: CacheKey,
    credentials: bool,
    allowed: Allowed,
    expires: Instant,
}

#[derive(Debug, PartialEq, Eq)]
enum Allowed {
    Method(String),
    /// Lowercase.
    Header(String),
}

impl Allowed {
    fn header(name: &str) -> Self {
        Self::Header(name.to_ascii_lowercase())
    }

    /// Whether the entry covers `wanted`, by name or by `*`. In Fetch, a `*` from a response with
    /// credentials covers everything here, although it does not in the preflight. A cache may
    /// always drop an entry, so such a `*` only covers its own name.
    fn covers(&self, wanted: &Self, credentials: CredentialsMode) -> bool {
        let is_star = |name: &str| name == "*" && credentials != CredentialsMode::Include;
        match (self, wanted) {
            (Self::Method(allowed), Self::Method(method)) => allowed == method || is_star(allowed),
            (Self::Header(allowed), Self::Header(name)) => {
                allowed == name || (is_star(allowed) && !safelist::is_non_wildcard_name(name))
            }
            _ => false,
        }
    }
}

impl Entry {
    /// Whether there is a [cache entry match](https://fetch.spec.whatwg.org/#concept-cache-match).
    /// What was allowed with credentials is also allowed without.
    fn matches(&self, key: &CacheKey, credentials: CredentialsMode, wanted: &Allowed) -> bool {
        self.allowed.covers(wanted, credentials)
            && (self.credentials || credentials != CredentialsMode::Include)
            && self.key == *key
    }
}

impl PreflightCache {
    /// Whether cached permissions cover everything that `preflight` would ask for, so that it need
    /// not be sent.
    #[must_use]
    pub fn covers(
        &mut self,
        key: &CacheKey,
        credentials: CredentialsMode,
        preflight: &Preflight,
        now: Instant,
    ) -> bool {
        let entries = self.0.get(&key.partition);
        let known = |wanted: &Allowed| {
            entries
                .iter()
                .flat_map(|entries| entries.iter())
                .any(|entry| entry.expires > now && entry.matches(key, credentials, wanted))
        };
        (safelist::is_safelisted_method(&preflight.method)
            || known(&Allowed::Method(preflight.method.clone())))
            && preflight.header_names.iter().all(|name| known(&Allowed::header(name)))
    }

    /// Stores what a server allowed at `now`.
    pub fn store(
        &mut self,
        key: &CacheKey,
        credentials: CredentialsMode,
        permission: &Permission,
        now: Instant,
    ) {
        let methods = permission.methods.iter().take(MAX_NAMES);
        let methods = methods.map(|method| Allowed::Method(method.clone()));
        let names = permission.header_names.iter().take(MAX_NAMES);
        let names = names.map(|name| Allowed::header(name));
        let expires = now + permission.max_age;
        let entries = self.0.entry(&key.partition);
        for allowed in methods.chain(names) {
            // A response also renews older entries for the same value.
            let mut known = false;
            for entry in entries.iter_mut() {
                if entry.matches(key, credentials, &allowed) {
                    entry.expires = expires;
                    known = true;
                }
            }
            if !known {
                let credentials = credentials == CredentialsMode::Include;
                entries.push_back(Entry { key: key.clone(), credentials, allowed, expires });
            }
        }
        entries.retain(|entry| entry.expires > now);
        entries.drain(..entries.len().saturating_sub(MAX_ENTRIES));
    }

    /// [Clears cache entries](https://fetch.spec.whatwg.org/#concept-cache-clear): after a failed
    /// fetch, the next one needs a new preflight.
    pub fn clear(&mut self, key: &CacheKey) {
        if let Some(entries) = self.0.get(&key.partition) {
            entries.retain(|entry| entry.key != *key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CredentialsMode::{Include, Omit, SameOrigin};
    use bgfetch_model::header_list::HeaderList;
    use bgfetch_model::ids::StorageKey;
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};
    use std::time::Duration;

    fn site(name: &str) -> Partition {
        Partition::Site(StorageKey(name.into()))
    }

    fn key(partition: &str, origin: &str, url: &str) -> CacheKey {
        let url = url.parse().unwrap();
        CacheKey { partition: site(partition), origin: origin.into(), url }
    }

    fn page() -> CacheKey {
        key("site", "https://page.test", "https://a.test/x")
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    fn permission(methods: &[&str], headers: &[&str], max_age: u64) -> Permission {
        let max_age = Duration::from_secs(max_age);
        Permission { methods: names(methods), header_names: names(headers), max_age }
    }

    fn asks(method: &str, headers: &[&str]) -> Preflight {
        Preflight { method: method.into(), header_names: names(headers) }
    }

    #[test]
    fn an_answer_holds_until_its_age_and_not_an_instant_longer() {
        let (mut cache, now) = (PreflightCache::default(), Instant::now());
        cache.store(&page(), Omit, &permission(&["PUT"], &["X-A"], 5), now);
        let put = asks("PUT", &["x-a"]);
        let after = |seconds| now + Duration::from_secs(seconds);
        assert!(cache.covers(&page(), Omit, &put, after(4)));
        assert!(!cache.covers(&page(), Omit, &put, after(5)));
        // The next response renews it, or removes it.
        cache.store(&page(), Omit, &permission(&["PUT"], &["x-a"], 5), after(4));
        assert!(cache.covers(&page(), Omit, &put, after(8)));
        cache.store(&page(), Omit, &permission(&["PUT"], &[], 0), after(8));
        assert!(!cache.covers(&page(), Omit, &put, after(8)));
        assert!(cache.covers(&page(), Omit, &asks("GET", &["x-a"]), after(8)));
    }

    #[test]
    fn every_part_of_a_request_must_be_covered() {
        let (mut cache, now) = (PreflightCache::default(), Instant::now());
        cache.store(&page(), Omit, &permission(&["PUT", "GET"], &["X-A", "x-b"], 5), now);
        for (method, headers, expected) in [
            ("PUT", &[][..], true),
            ("POST", &["x-b", "x-a"], true),
            ("PUT", &["x-a", "x-c"], false),
            ("put", &[], false),
            ("DELETE", &["x-a"], false),
        ] {
            let asked = asks(method, headers);
            assert_eq!(cache.covers(&page(), Omit, &asked, now), expected, "{asked:?}");
        }
    }

    #[test]
    fn a_star_covers_all_but_authorization() {
        let (mut cache, now) = (PreflightCache::default(), Instant::now());
        cache.store(&page(), Omit, &permission(&["*"], &["*"], 5), now);
        assert!(cache.covers(&page(), Omit, &asks("PATCH", &["x", "y"]), now));
        assert!(!cache.covers(&page(), Omit, &asks("GET", &["authorization"]), now));
        // With credentials, it is a name, as in the preflight.
        cache.store(&page(), Include, &permission(&["*", "PUT"], &["*", "x"], 5), now);
        assert!(cache.covers(&page(), Include, &asks("PUT", &["x"]), now));
        assert!(!cache.covers(&page(), Include, &asks("PATCH", &[]), now));
        assert!(!cache.covers(&page(), Include, &asks("PUT", &["y"]), now));
    }

    #[test]
    fn answers_are_kept_apart() {
        let (mut cache, now) = (PreflightCache::default(), Instant::now());
        cache.store(&page(), Omit, &permission(&["PUT"], &[], 5), now);
        let put = asks("PUT", &[]);
        for other in [
            key("other", "https://page.test", "https://a.test/x"),
            key("site", "null", "https://a.test/x"),
            key("site", "https://page.test", "https://a.test/y"),
        ] {
            assert!(!cache.covers(&other, Omit, &put, now), "{other:?}");
            cache.clear(&other);
        }
        assert!(cache.covers(&page(), SameOrigin, &put, now));
        assert!(!cache.covers(&page(), Include, &put, now));
        cache.clear(&page());
        assert!(!cache.covers(&page(), Omit, &put, now));
        cache.store(&page(), Include, &permission(&["PUT"], &[], 5), now);
        assert!(
            cache.covers(&page(), Include, &put, now) && cache.covers(&page(), Omit, &put, now)
        );
    }

    #[test]
    fn a_partitions_cache_is_bounded_and_the_oldest_go_first() {
        let (mut cache, now) = (PreflightCache::default(), Instant::now());
        let other = key("other", "https://page.test", "https://a.test/x");
        cache.store(&other, Omit, &permission(&["PUT"], &[], 5), now);
        let count = |cache: &mut PreflightCache| cache.0.entry(&site("site")).len();
        let at = |n: usize| key("site", "https://page.test", &format!("https://a.test/{n}"));
        for n in 0..=MAX_ENTRIES {
            cache.store(&at(n), Omit, &permission(&["PUT"], &[], 5), now);
        }
        assert_eq!(count(&mut cache), MAX_ENTRIES);
        let put = asks("PUT", &[]);
        assert!(!cache.covers(&at(0), Omit, &put, now) && cache.covers(&at(1), Omit, &put, now));
        // One response takes no more than its share.
        let many: Vec<_> = (0..5000).map(|n| format!("M{n}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        cache.store(&page(), Omit, &permission(&many, &many, 5), now);
        assert_eq!(count(&mut cache), MAX_ENTRIES);
        assert!(cache.covers(&at(MAX_ENTRIES), Omit, &put, now));
        assert!(cache.covers(&page(), Omit, &asks("M99", &["m99"]), now));
        assert!(cache.covers(&other, Omit, &put, now), "another site's entries stay");
        // Expired entries make room.
        cache.store(&page(), Omit, &permission(&[], &[], 5), now + Duration::from_secs(5));
        assert_eq!(count(&mut cache), 0);
    }

    proptest! {
        /// The cache covers exactly what the server's response allows.
        #[test]
        fn what_was_allowed_covers_a_request_exactly_if_it_would_be_allowed_again(
            credentials in select(vec![Omit, SameOrigin, Include]),
            method in select(vec!["GET", "PUT", "put", "*", "QUERY"]),
            headers in subsequence(vec!["*", "authorization", "x-a", "x-b"], 0..=4),
            methods in subsequence(vec!["GET", "PUT", "*"], 0..=3),
            allowed in subsequence(vec!["*", "Authorization", "X-A", "x-b"], 0..=4),
        ) {
            let answer: HeaderList = [
                ("Access-Control-Allow-Origin", "https://page.test".to_owned()),
                ("Access-Control-Allow-Credentials", "true".to_owned()),
                ("Access-Control-Allow-Methods", methods.join(", ")),
                ("Access-Control-Allow-Headers", allowed.join(",")),
            ].into_iter().collect();
            let (mut cache, now) = (PreflightCache::default(), Instant::now());
            cache.store(&page(), credentials, &permission(&methods, &allowed, 5), now);
            let asked = asks(method, &headers);
            let judged = asked.judge(&page().origin, credentials, 200, &answer);
            prop_assert_eq!(cache.covers(&page(), credentials, &asked, now), judged.is_ok());
        }
    }
}
