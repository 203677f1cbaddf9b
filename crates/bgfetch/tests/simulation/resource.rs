//! What servers have: resources whose bytes follow from their number and version.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bgfetch::UnixTime;
use fastrand::Rng;
use sha2::{Digest as _, Sha256};

use super::plan::Wanted;

/// How many people log in to servers.
pub(crate) const USERS: u8 = 3;

/// What identifies the bytes of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validator {
    Strong,
    Weak,
    /// Only a date, which is not always a strong validator.
    Date,
    None,
}

/// A resource of all servers; what does not change about it.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) length: u64,
    pub(crate) validator: Validator,
    /// Responses do not announce their length.
    pub(crate) chunked: bool,
    /// Responses are content-coded unless the request refuses that.
    pub(crate) coded: bool,
    /// There is nothing.
    pub(crate) missing: bool,
    /// Each user gets other bytes, with the same validators.
    pub(crate) personal: bool,
    /// Its server's certificate is not trusted.
    pub(crate) untrusted: bool,
    /// Requests are redirected, sometimes to a URL with other bytes.
    pub(crate) moves: bool,
    /// Answers to ranges are sometimes wrong.
    pub(crate) lies: bool,
    /// Bodies pass the checks of the default network stack. Other stacks may tell nothing of a body
    /// that ended early.
    pub(crate) framed: bool,
    /// How far the clock of `Date` is ahead of that of `Last-Modified`, in milliseconds.
    pub(crate) ahead: u64,
}

impl Resource {
    pub(crate) fn drawn(rng: &mut Rng) -> Self {
        let rarely = |rng: &mut Rng| rng.u8(0..16) == 0;
        let often = |rng: &mut Rng| rng.u8(0..4) == 0;
        Self {
            length: match rng.u8(0..8) {
                0 => 0,
                1 => rng.u64(1..8),
                2..6 => rng.u64(8..20_000),
                _ => rng.u64(20_000..100_000),
            },
            validator: match rng.u8(0..8) {
                0 => Validator::None,
                1 => Validator::Weak,
                2..4 => Validator::Date,
                _ => Validator::Strong,
            },
            chunked: often(rng),
            coded: rarely(rng),
            missing: rarely(rng),
            personal: rarely(rng),
            untrusted: rarely(rng),
            moves: often(rng),
            lies: often(rng),
            framed: rng.bool(),
            ahead: if rng.bool() { 0 } else { rng.u64(0..58_000) },
        }
    }
}

/// One of the byte strings that a resource has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Representation {
    pub(crate) resource: usize,
    pub(crate) version: u64,
    /// That of the URL to which requests are redirected. Its validators are the same.
    pub(crate) moved: bool,
    /// Whose it is, if it is personal.
    pub(crate) user: u8,
}

/// The resources with their present versions.
#[derive(Debug)]
pub(crate) struct Resources {
    resources: Vec<Resource>,
    /// The present version of each, and since when it has it.
    versions: Vec<(u64, UnixTime)>,
    bytes: BTreeMap<Representation, Arc<[u8]>>,
}

impl Resources {
    pub(crate) fn new(resources: Vec<Resource>, now: UnixTime) -> Self {
        let long_ago = UnixTime(now.0 - 3_600_000);
        let versions = vec![(0, long_ago); resources.len()];
        Self { resources, versions, bytes: BTreeMap::new() }
    }

    pub(crate) fn change(&mut self, resource: usize, now: UnixTime) {
        let (version, since) = &mut self.versions[resource];
        *version += 1;
        *since = now;
    }

    pub(crate) fn present(&self, resource: usize, moved: bool, user: u8) -> Representation {
        let user = if self.resources[resource].personal { user } else { 0 };
        Representation { resource, version: self.versions[resource].0, moved, user }
    }

    /// The value that identifies the present representation, and its header.
    pub(crate) fn validator(&self, resource: usize) -> Option<(&'static str, String)> {
        let (version, since) = self.versions[resource];
        match self.resources[resource].validator {
            // Other resources have the same tags.
            Validator::Strong => Some(("etag", format!("\"v{version}\""))),
            // The tag stays the same for two versions.
            Validator::Weak => Some(("etag", format!("W/\"v{}\"", version / 2))),
            Validator::Date => Some(("last-modified", http_date(since))),
            Validator::None => None,
        }
    }

    pub(crate) fn bytes(&mut self, representation: Representation) -> Arc<[u8]> {
        let Representation { resource, version, moved, user } = representation;
        let length = self.resources[resource].length;
        let make = || {
            let seed = (resource as u64) << 40 | version << 8 | u64::from(user) << 1;
            let seed = seed | u64::from(moved);
            let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            // Every other version has the same length.
            let length = if version % 2 == 0 { length } else { length + rng.u64(0..2) * 1000 };
            let mut bytes = vec![0; usize::try_from(length).unwrap()];
            rng.fill(&mut bytes);
            bytes.into()
        };
        Arc::clone(self.bytes.entry(representation).or_insert_with(make))
    }

    /// Whether there has been a representation that begins with these bytes, or whose part that was
    /// `wanted` does; with them alone, if they have to be `whole`.
    pub(crate) fn find(&mut self, wanted: &Wanted, found: &[u8], whole: bool) -> bool {
        let resource = wanted.resource();
        let users = if self.resources[resource].personal { USERS } else { 1 };
        let mut all = Vec::new();
        for version in 0..=self.versions[resource].0 {
            for (moved, user) in
                [false, true].into_iter().flat_map(|it| (0..users).map(move |user| (it, user)))
            {
                all.push(Representation { resource, version, moved, user });
            }
        }
        all.into_iter().any(|it| {
            let bytes = self.bytes(it);
            // Servers may ignore the range that a page asks for.
            [&*bytes, wanted.part(&bytes)].into_iter().any(|bytes| match whole {
                true => bytes == found,
                false => bytes.starts_with(found),
            })
        })
    }

    /// The integrity metadata of the first version.
    pub(crate) fn integrity(&mut self, resource: usize) -> String {
        let bytes = self.bytes(Representation { resource, version: 0, moved: false, user: 0 });
        format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(&bytes)))
    }
}

/// A date as in HTTP's headers.
pub(crate) fn http_date(UnixTime(milliseconds): UnixTime) -> String {
    let seconds = milliseconds / 1000;
    let (days, time) = (seconds / 86400, seconds % 86400);
    // All runs take place in December 2023 and January 2024.
    let day = days - 19_692;
    let (day, month, year) =
        if day < 31 { (day + 1, "Dec", 2023) } else { (day - 30, "Jan", 2024) };
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("Mon, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}
