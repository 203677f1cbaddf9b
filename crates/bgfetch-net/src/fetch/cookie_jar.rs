//! A cookie store in memory that implements the storage and retrieval models of
//! [RFC 6265bis](https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html).

use std::cmp::Reverse;
use std::collections::HashMap;
use std::future::ready;

use cookie_store::{Cookie, CookieDomain, CookieExpiration, CookiePath};
use futures_util::future::BoxFuture;
use http::HeaderValue;
use parking_lot::Mutex;
use url::{Host, Url};

use super::cookies::{CookieContext, CookieError, CookieStore};
use super::site::{self, Site};
#[cfg(doc)]
use crate::partition::MAX_SITES;
use crate::partition::{Partition, Partitioned};

/// The maximum length of name and value together, in bytes; the number is from RFC 6265bis.
const MAX_PAIR: usize = 4096;

/// The maximum length of an attribute's value, in bytes; the number is from RFC 6265bis.
const MAX_ATTRIBUTE: usize = 1024;

/// The most cookies of one registrable domain in one partition. RFC 6265bis requires at least 50.
const MAX_OF_DOMAIN: usize = 180;

/// The most bytes that the cookies of one partition take: 50 cookies of the maximum length, or 1000
/// of the usual one.
const MAX_OF_PARTITION: usize = 256 << 10;

/// What a cookie takes besides its text.
const OVERHEAD: usize = 200;

/// A cookie store in memory, partitioned by the site of the top-level page. The user has a separate
/// partition.
///
/// - A cookie without `SameSite=None; Secure` is sent and accepted only within its own site. No
///   background fetch is a top-level navigation, so `Lax`, the default, means `Strict`.
/// - `Domain` may not be a public suffix. The `__Host-` and `__Secure-` prefixes are enforced.
///   `Secure` requires https or loopback.
/// - Names and values are limited to 4096 bytes together, attributes to 1024 bytes, cookies to 180
///   per registrable domain and 256 KiB in each partition. The least recently used cookie is
///   evicted; within a domain, cookies that are not `Secure` are evicted first. No partition evicts
///   another one's cookies, up to [`MAX_SITES`] of them.
/// - Cookies without a name, and those that are not UTF-8, are ignored.
///
/// The cookies are lost with the jar. An embedder with persistent cookies implements
/// [`CookieStore`] itself.
#[derive(Default)]
pub struct CookieJar(Mutex<Jar>);

impl CookieJar {
    /// An empty jar.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of the `Cookie` header of a request, if it has one.
    pub fn get(&self, context: &CookieContext) -> Option<HeaderValue> {
        self.0.lock().retrieve(context)
    }

    /// Stores the cookies of `Set-Cookie` headers, in order. Unacceptable ones are ignored.
    pub fn set(&self, context: &CookieContext, values: &[HeaderValue]) {
        let Some(key) = BucketKey::of(context) else {
            return;
        };
        let mut jar = self.0.lock();
        for value in values {
            if let Some(kept) = std::str::from_utf8(value.as_bytes())
                .ok()
                .and_then(|text| Kept::accept(text, context))
            {
                jar.insert(&key, kept, is_secure(&context.url));
            }
        }
    }

    /// Removes all cookies.
    pub fn clear(&self) {
        self.0.lock().partitions.clear();
    }
}

impl CookieStore for CookieJar {
    fn cookies(
        &self,
        context: CookieContext,
    ) -> BoxFuture<'static, Result<Option<HeaderValue>, CookieError>> {
        Box::pin(ready(Ok(self.get(&context))))
    }

    fn set_cookies(
        &self,
        context: CookieContext,
        values: Vec<HeaderValue>,
    ) -> BoxFuture<'static, ()> {
        self.set(&context, &values);
        Box::pin(ready(()))
    }
}

/// The key of the cookies that may match a URL. No `Domain` extends beyond a registrable domain.
struct BucketKey {
    partition: Partition<Site>,
    /// The registrable domain, or the host if there is none.
    domain: String,
}

impl BucketKey {
    /// `None` if the top-level page has an opaque origin, for which no cookies are stored.
    fn of(context: &CookieContext) -> Option<Self> {
        let partition = match &context.top_level_origin {
            None => Partition::User,
            Some(origin) => Partition::Site(Site::of(origin)?),
        };
        let host = context.url.host_str()?;
        let domain = match context.url.host()? {
            Host::Domain(name) => site::registrable_domain(name).unwrap_or(name),
            Host::Ipv4(_) | Host::Ipv6(_) => host,
        };
        Some(Self { partition, domain: domain.to_owned() })
    }
}

/// A cookie.
struct Kept {
    name: String,
    value: String,
    domain: CookieDomain,
    path: CookiePath,
    expires: CookieExpiration,
    secure: bool,
    /// Whether it has `SameSite=None`.
    cross_site: bool,
    /// When it was created and last used, as a number of calls to the jar.
    created: u64,
    used: u64,
}

impl Kept {
    /// Parses a `Set-Cookie` value and checks it against the response that set it: the steps of RFC
    /// 6265bis's storage model that do not depend on other cookies.
    fn accept(text: &str, context: &CookieContext) -> Option<Self> {
        // An attribute that is too long is ignored.
        let mut parts = text.split(';');
        let mut short = String::from(parts.next()?);
        for attribute in parts.filter(|attribute| attribute.len() <= MAX_ATTRIBUTE) {
            short.push(';');
            short.push_str(attribute);
        }
        // Also checks that the host is within `Domain`.
        let cookie = Cookie::parse(short.as_str(), &context.url).ok()?;
        let (name, value) = cookie.name_value();
        if name.len() + value.len() > MAX_PAIR {
            return None;
        }
        let secure = cookie.secure() == Some(true);
        if secure && !is_secure(&context.url) {
            return None;
        }
        let domain = match &cookie.domain {
            CookieDomain::Suffix(domain) if site::is_public_suffix(domain) => {
                let is_host = cookie.domain.host_is_identical(&context.url);
                is_host.then(|| CookieDomain::HostOnly(domain.clone()))?
            }
            domain => domain.clone(),
        };
        let is_host_only = matches!(domain, CookieDomain::HostOnly(_)) && cookie.domain().is_none();
        let is_root = cookie.path.is_from_path_attr() && &*cookie.path == "/";
        if has_prefix(name, "__Secure-") && !secure
            || has_prefix(name, "__Host-") && !(secure && is_host_only && is_root)
        {
            return None;
        }
        let cross_site = cookie.same_site().is_some_and(|same_site| same_site.is_none());
        if if cross_site { !secure } else { !context.same_site } {
            return None;
        }
        Some(Self {
            name: name.to_owned(),
            value: value.to_owned(),
            domain,
            path: cookie.path.clone(),
            expires: cookie.expires.clone(),
            secure,
            cross_site,
            created: 0,
            used: 0,
        })
    }

    /// The bytes that it takes.
    fn size(&self) -> usize {
        let texts = self.name.len() + self.value.len() + self.path.len();
        OVERHEAD + texts + String::from(&self.domain).len()
    }

    fn is_for(&self, context: &CookieContext) -> bool {
        self.domain.matches(&context.url)
            && self.path.matches(&context.url)
            && (!self.secure || is_secure(&context.url))
            && (self.cross_site || context.same_site)
    }

    fn has_identity_of(&self, other: &Self) -> bool {
        self.name == other.name && self.domain == other.domain && *self.path == *other.path
    }

    /// Whether `other`, set without TLS, would overlay this cookie.
    fn is_shadowed_by(&self, other: &Self) -> bool {
        let (own, others) = (String::from(&self.domain), String::from(&other.domain));
        self.secure
            && self.name == other.name
            && (is_within(&own, &others, '.') || is_within(&others, &own, '.'))
            && path_matches(&other.path, &self.path)
    }
}

/// Whether the name has one of RFC 6265bis's prefixes, in any case.
fn has_prefix(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Whether `inner` is `outer` or ends in it after `separator`.
fn is_within(inner: &str, outer: &str, separator: char) -> bool {
    inner.strip_suffix(outer).is_some_and(|rest| rest.is_empty() || rest.ends_with(separator))
}

/// RFC 6265's path-match.
fn path_matches(path: &str, cookie_path: &str) -> bool {
    path.strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || cookie_path.ends_with('/'))
}

/// Whether no one along the path can read or change the traffic: TLS or loopback.
fn is_secure(url: &Url) -> bool {
    url.scheme() == "https"
        || match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
}

#[derive(Default)]
struct Jar {
    partitions: Partitioned<Buckets, Site>,
    calls: u64,
}

/// The cookies of one partition, by registrable domain.
#[derive(Default)]
struct Buckets(HashMap<String, Vec<Kept>>);

impl Jar {
    fn insert(&mut self, key: &BucketKey, mut kept: Kept, from_secure: bool) {
        self.calls += 1;
        (kept.created, kept.used) = (self.calls, self.calls);
        self.partitions.entry(&key.partition).insert(&key.domain, kept, from_secure);
    }

    fn retrieve(&mut self, context: &CookieContext) -> Option<HeaderValue> {
        self.calls += 1;
        let key = BucketKey::of(context)?;
        let bucket = self.partitions.get(&key.partition)?.0.get_mut(&key.domain)?;
        let mut chosen: Vec<_> = bucket
            .iter_mut()
            .filter(|kept| !kept.expires.is_expired() && kept.is_for(context))
            .collect();
        chosen.sort_by_key(|kept| (Reverse(kept.path.len()), kept.created));
        let mut pairs = Vec::with_capacity(chosen.len());
        for kept in chosen {
            kept.used = self.calls;
            pairs.push(format!("{}={}", kept.name, kept.value));
        }
        if pairs.is_empty() {
            return None;
        }
        // What came from a header value is valid in one. If it were not, no cookies would be sent.
        HeaderValue::from_bytes(pairs.join("; ").as_bytes()).ok()
    }
}

impl Buckets {
    fn insert(&mut self, domain: &str, mut kept: Kept, from_secure: bool) {
        let bucket = self.0.entry(domain.to_owned()).or_default();
        bucket.retain(|old| !old.expires.is_expired());
        let shadows = !kept.secure
            && !from_secure
            && bucket.iter().any(|secure| secure.is_shadowed_by(&kept));
        if !shadows {
            // A cookie that is set again keeps its creation time. An expired cookie is a deletion.
            if let Some(at) = bucket.iter().position(|old| old.has_identity_of(&kept)) {
                kept.created = bucket.swap_remove(at).created;
            }
            if !kept.expires.is_expired() {
                bucket.push(kept);
            }
        }
        if bucket.len() > MAX_OF_DOMAIN {
            remove_least(bucket, |old| (old.secure, old.used));
        }
        if bucket.is_empty() {
            self.0.remove(domain);
        }
        self.limit_size();
    }

    fn limit_size(&mut self) {
        if self.size() <= MAX_OF_PARTITION {
            return;
        }
        self.0.retain(|_, bucket| {
            bucket.retain(|old| !old.expires.is_expired());
            !bucket.is_empty()
        });
        let oldest = |bucket: &Vec<Kept>| bucket.iter().map(|old| old.used).min();
        while self.size() > MAX_OF_PARTITION
            && let Some((domain, bucket)) =
                self.0.iter_mut().min_by_key(|(_, bucket)| oldest(bucket))
        {
            remove_least(bucket, |old| old.used);
            if bucket.is_empty() {
                let domain = domain.clone();
                self.0.remove(&domain);
            }
        }
    }

    fn size(&self) -> usize {
        self.0.values().flatten().map(Kept::size).sum()
    }
}

fn remove_least<K: Ord>(bucket: &mut Vec<Kept>, rank: impl Fn(&Kept) -> K) {
    let least = bucket.iter().enumerate().min_by_key(|(_, kept)| rank(kept)).map(|(at, _)| at);
    if let Some(at) = least {
        bucket.swap_remove(at);
    }
}

#[cfg(test)]
mod tests;
