//! A site: what its pages do and when.

use std::time::Duration;

use bgfetch_model::ids::{FetchKey, RecordIndex, RecordKey, RegistrationKey, StorageKey};
use bgfetch_model::policy::{PolicySnapshot, Principal};
use fastrand::Rng;

/// How a site behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habits {
    /// Many fetches of many records, from the same hosts as others.
    Greedy,
    /// One record in all.
    Modest,
    /// As `Greedy`, and none of its responses ever ends.
    Endless,
}

/// Something that a page or the user does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed {
    Fetch { records: u32, download_total: u64 },
    Abort,
    Pause(bool),
    Unregister,
    Register,
    Quota(u64),
}

#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) habits: Habits,
    pub(crate) registration: RegistrationKey,
    pub(crate) principal: Principal,
    /// Only used for what concerns this site, so that others cannot change what it draws.
    pub(crate) rng: Rng,
    /// Its fetches in the order of their registration.
    pub(crate) fetches: Vec<FetchKey>,
    /// Its records in the queue, with a slot, and looking up a name.
    pub(crate) queued: Vec<RecordKey>,
    pub(crate) running: Vec<RecordKey>,
    pub(crate) looking_up: Vec<RecordKey>,
    pub(crate) calls: u64,
}

impl Site {
    pub(crate) fn new(number: usize, seed: u64, habits: Habits) -> Self {
        let mut rng =
            Rng::with_seed(seed ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let origin = format!("https://site{number}.test/");
        let scope: url::Url = origin.parse().unwrap();
        // All fetches for the user are one site.
        let is_user = number == 1 && rng.u8(..) < 64;
        Self {
            habits,
            principal: match is_user {
                true => Principal::User,
                false => Principal::Page(PolicySnapshot::of(&scope)),
            },
            registration: RegistrationKey { storage_key: StorageKey(origin), scope },
            rng,
            fetches: Vec::new(),
            queued: Vec::new(),
            running: Vec::new(),
            looking_up: Vec::new(),
            calls: 0,
        }
    }

    /// What it is going to do.
    pub(crate) fn deeds(&mut self) -> Vec<(Duration, Deed)> {
        let rng = &mut self.rng;
        let at = |rng: &mut Rng| Duration::from_nanos(rng.u64(0..8_000_000_000));
        let fetch = |rng: &mut Rng, most| Deed::Fetch {
            records: rng.u32(1..=most),
            download_total: [0, 0, 3_000, 1 << 20][rng.usize(0..4)],
        };
        if self.habits == Habits::Modest {
            return vec![(at(rng), Deed::Fetch { records: 1, download_total: 0 })];
        }
        let mut deeds = Vec::new();
        for _ in 0..rng.u32(2..6) {
            let most = if self.habits == Habits::Endless { 12 } else { 5 };
            deeds.push((at(rng), fetch(rng, most)));
        }
        for _ in 0..rng.u32(0..5) {
            let deed = match rng.u8(0..8) {
                0 => Deed::Unregister,
                1 => Deed::Register,
                2 => Deed::Quota(rng.u64(0..50_000)),
                3..5 => Deed::Abort,
                _ => Deed::Pause(rng.bool()),
            };
            deeds.push((at(rng), deed));
        }
        deeds
    }

    /// One of its fetches.
    pub(crate) fn any_fetch(&mut self) -> Option<FetchKey> {
        if self.fetches.is_empty() {
            return None;
        }
        Some(self.fetches[self.rng.usize(0..self.fetches.len())])
    }

    /// A record as the site knows it, without numbers that belong to the engine.
    pub(crate) fn name_of(
        &self,
        RecordKey { fetch, index: RecordIndex(index) }: RecordKey,
    ) -> String {
        format!("{} record {index}", self.name_of_fetch(fetch))
    }

    pub(crate) fn name_of_fetch(&self, fetch: FetchKey) -> String {
        let place = self.fetches.iter().position(|other| *other == fetch);
        format!("fetch {}", place.map_or("new".into(), |place| place.to_string()))
    }

    /// Fails if a record waits for something that is not the site's own.
    pub(crate) fn assert_waits_for_no_other(&self, seed: u64) {
        let waits = self.running.is_empty() && self.looking_up.is_empty();
        assert!(
            !waits || self.queued.is_empty(),
            "TWIN_WORLD_SEED={seed}: {} waits for others",
            self.registration.storage_key.0,
        );
    }
}
