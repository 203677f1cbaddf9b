//! What a seed decides before a run begins: the sites and their pages, the servers, the user, and
//! when the process crashes or the power is lost.

use std::time::Duration;

use bgfetch::{RegistrationKey, StorageKey};
use fastrand::Rng;

use super::resource::Resource;

/// How long pages and users are active.
pub(crate) const ACTIVE: Duration = Duration::from_secs(300);

/// What goes wrong in a run. Runs with few kinds of faults reach states that others do not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    pub(crate) look_ups: bool,
    pub(crate) unreachable: bool,
    pub(crate) stalls: bool,
    pub(crate) cuts: bool,
    /// Bodies end without an error before the announced length, or later.
    pub(crate) lengths: bool,
    pub(crate) statuses: bool,
    pub(crate) changes: bool,
    pub(crate) offline: bool,
    pub(crate) disk: bool,
    pub(crate) workers: bool,
    pub(crate) clock: bool,
    pub(crate) crashes: bool,
    pub(crate) slow_store: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) registration: RegistrationKey,
    pub(crate) quota: u64,
    /// The most bytes that its fetches can take together.
    pub(crate) needs: u64,
    /// Its fetches are made for the user.
    pub(crate) for_user: bool,
    /// How often its worker is started for an event in vain.
    pub(crate) failures: u32,
    /// How often its worker is not to be started yet.
    pub(crate) not_yets: u32,
    /// It saves what it fetched.
    pub(crate) saves: bool,
}

/// A call of `fetch()`.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) site: usize,
    pub(crate) id: String,
    pub(crate) records: Vec<Wanted>,
    pub(crate) download_total: u64,
    /// The page is closed after this time, if the promise was not resolved by then.
    pub(crate) patience: Option<Duration>,
    /// The page reads bodies while they arrive.
    pub(crate) reads: bool,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    Download {
        resource: usize,
        integrity: Integrity,
    },
    /// The answer to an upload is a resource too.
    Upload {
        resource: usize,
        length: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Integrity {
    None,
    /// That of the first version.
    Right,
    Wrong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Online,
    Offline,
    /// Nothing can be reached, but nobody says so.
    Dead,
    CaptivePortal,
    Metered,
}

/// Something that somebody does.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Fetch(Call),
    Abort(usize),
    UserAborts(usize),
    Pause(usize),
    Resume(usize),
    Click(usize),
    Dismiss(usize),
    Unregister(usize),
    OpenPage(usize, Duration),
    /// Whether the site has an active worker.
    Worker(usize, bool),
    Line(Line),
    DiskFull(bool),
    ServerChanges(usize),
    ClockJumps(i64),
}

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) at: Duration,
    /// How many operations on files there are after that time.
    pub(crate) operations: u64,
    pub(crate) how: How,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Shutdown,
    Crash,
    /// Which share of what was not synced is left, in 256ths.
    PowerLoss {
        kept: u16,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) faults: Faults,
    pub(crate) sites: Vec<Site>,
    pub(crate) resources: Vec<Resource>,
    pub(crate) deeds: Vec<(Duration, Deed)>,
    /// The ends of all lives but the last.
    pub(crate) ends: Vec<End>,
    /// The connections beyond the first of each site.
    pub(crate) connections: u32,
}

impl Plan {
    pub(crate) fn drawn(rng: &mut Rng) -> Self {
        let faults = Faults::drawn(rng);
        let resources: Vec<_> = (0..rng.usize(2..6)).map(|_| Resource::drawn(rng)).collect();
        let mut sites: Vec<_> =
            (0..rng.usize(1..4)).map(|number| Site::drawn(number, rng)).collect();
        let mut deeds = Vec::new();
        for site in 0..sites.len() {
            let calls = rng.usize(1..4);
            for number in 0..calls {
                let call = Call::drawn(site, number, &resources, rng);
                deeds.push((at(rng, ACTIVE / 3), Deed::Fetch(call)));
            }
            for _ in 0..rng.usize(0..4) {
                let after = Duration::from_millis(rng.u64(100..100_000));
                deeds.push((at(rng, ACTIVE / 2), Deed::OpenPage(site, after)));
            }
            for _ in 0..rng.usize(0..4) {
                deeds.push((at(rng, ACTIVE), drawn_deed(site, rng)));
            }
            if faults.workers && rng.bool() {
                let gone = at(rng, ACTIVE);
                deeds.push((gone, Deed::Worker(site, false)));
                deeds.push((gone + at(rng, ACTIVE), Deed::Worker(site, true)));
            }
        }
        // A quota that suffices just so leaves nothing to grants that are not returned.
        for (number, site) in sites.iter_mut().enumerate() {
            site.needs = deeds.iter().map(|(_, deed)| needs(deed, number, &resources)).sum();
            site.quota = match rng.u8(0..3) {
                0 => rng.u64(10_000..150_000),
                1 => site.needs + rng.u64(0..20_000),
                _ => 1 << 40,
            };
        }
        disturb(&mut deeds, faults, resources.len(), rng);
        deeds.sort_by_key(|(at, _)| *at);
        let mut ends = Vec::new();
        if faults.crashes {
            ends.extend((0..rng.usize(1..5)).map(|_| End::drawn(rng)));
            // Some time after something else happened, while its effects last.
            let after = rng.usize(0..deeds.len());
            let at = deeds[after].0 + Duration::from_millis(rng.u64(4000..20_000));
            ends.push(End { at, operations: 0, ..End::drawn(rng) });
            ends.sort_by_key(|end| end.at);
        }
        Self { faults, sites, resources, deeds, ends, connections: rng.u32(0..4) }
    }
}

fn at(rng: &mut Rng, before: Duration) -> Duration {
    Duration::from_millis(rng.u64(0..u64::try_from(before.as_millis()).unwrap()))
}

fn drawn_deed(site: usize, rng: &mut Rng) -> Deed {
    match rng.u8(0..16) {
        0..3 => Deed::Abort(site),
        3 => Deed::UserAborts(site),
        4..8 => Deed::Pause(site),
        8..11 => Deed::Resume(site),
        11..13 => Deed::Click(site),
        13..15 => Deed::Dismiss(site),
        _ => Deed::Unregister(site),
    }
}

/// The most bytes of a site's quota that a deed can take. What is not a body counts little.
fn needs(deed: &Deed, number: usize, resources: &[Resource]) -> u64 {
    let Deed::Fetch(Call { site, records, download_total, .. }) = deed else { return 0 };
    if *site != number {
        return 0;
    }
    let mut bodies = 0;
    let mut uploads = 0;
    for record in records {
        let resource = match record {
            Wanted::Download { resource, .. } => *resource,
            Wanted::Upload { resource, length } => {
                uploads += *length as u64;
                *resource
            }
        };
        bodies += resources[resource].length + 2000;
    }
    bodies.max(*download_total) + uploads + metadata(records.len())
}

/// At least what a fetch with so many records takes besides bodies.
pub(crate) fn metadata(records: usize) -> u64 {
    16_384 * (records as u64 + 1)
}

/// What happens to the network, the disk, the servers and the clock.
fn disturb(deeds: &mut Vec<(Duration, Deed)>, faults: Faults, resources: usize, rng: &mut Rng) {
    if faults.offline {
        for _ in 0..rng.usize(1..5) {
            let line = match rng.u8(0..8) {
                0 => Line::Metered,
                1 => Line::CaptivePortal,
                2..4 => Line::Dead,
                _ => Line::Offline,
            };
            let from = at(rng, ACTIVE);
            deeds.push((from, Deed::Line(line)));
            deeds.push((from + at(rng, ACTIVE / 4), Deed::Line(Line::Online)));
        }
    }
    if faults.disk {
        for _ in 0..rng.usize(1..3) {
            let from = at(rng, ACTIVE);
            deeds.push((from, Deed::DiskFull(true)));
            deeds.push((from + at(rng, ACTIVE / 3), Deed::DiskFull(false)));
        }
    }
    if faults.changes {
        for _ in 0..rng.usize(1..8) {
            deeds.push((at(rng, ACTIVE), Deed::ServerChanges(rng.usize(0..resources))));
        }
    }
    if faults.clock {
        for _ in 0..rng.usize(1..4) {
            let day = 24 * 3600 * 1000;
            deeds.push((at(rng, ACTIVE), Deed::ClockJumps(rng.i64(-day..day))));
        }
    }
}

impl Faults {
    fn drawn(rng: &mut Rng) -> Self {
        let mut some = || rng.u8(0..5) < 2;
        Self {
            look_ups: some(),
            unreachable: some(),
            stalls: some(),
            cuts: some(),
            lengths: some(),
            statuses: some(),
            changes: some(),
            offline: some(),
            disk: some(),
            workers: some(),
            clock: some(),
            crashes: rng.bool(),
            slow_store: rng.u8(0..4) == 0,
        }
    }
}

impl Site {
    fn drawn(number: usize, rng: &mut Rng) -> Self {
        let origin = format!("https://site{number}.test/");
        let scope = origin.parse().unwrap();
        Self {
            registration: RegistrationKey { storage_key: StorageKey(origin), scope },
            quota: u64::MAX,
            needs: 0,
            for_user: rng.u8(0..4) == 0,
            failures: rng.u32(0..6),
            not_yets: if rng.u8(0..4) == 0 { rng.u32(8..16) } else { rng.u32(0..3) },
            saves: rng.u8(0..3) == 0,
        }
    }
}

impl Call {
    fn drawn(site: usize, number: usize, resources: &[Resource], rng: &mut Rng) -> Self {
        let uploads = rng.u8(0..3) == 0;
        let record = |rng: &mut Rng| {
            let resource = rng.usize(0..resources.len());
            if uploads && rng.bool() {
                let length = if rng.bool() { rng.usize(0..2000) } else { rng.usize(0..60_000) };
                return Wanted::Upload { resource, length };
            }
            let integrity = match rng.u8(0..16) {
                0 => Integrity::Wrong,
                1..3 => Integrity::Right,
                _ => Integrity::None,
            };
            Wanted::Download { resource, integrity }
        };
        let records: Vec<_> = (0..rng.usize(1..5)).map(|_| record(rng)).collect();
        let bodies: u64 = records.iter().map(|record| record.length(resources)).sum();
        Self {
            site,
            id: format!("{site}-{number}"),
            records,
            download_total: match rng.u8(0..8) {
                0 => bodies + 2000 * rng.u64(0..5),
                1 => bodies,
                2 => rng.u64(1..=bodies.max(1)),
                _ => 0,
            },
            patience: (rng.u8(0..8) == 0).then(|| Duration::from_millis(rng.u64(0..500))),
            reads: rng.u8(0..3) == 0,
        }
    }
}

impl Wanted {
    pub(crate) fn resource(&self) -> usize {
        match self {
            Self::Download { resource, .. } | Self::Upload { resource, .. } => *resource,
        }
    }

    fn length(&self, resources: &[Resource]) -> u64 {
        resources[self.resource()].length
    }

    pub(crate) fn is_upload(&self) -> bool {
        matches!(self, Self::Upload { .. })
    }

    /// The bytes of the request's body.
    pub(crate) fn body(&self) -> Option<Vec<u8>> {
        let Self::Upload { resource, length } = self else { return None };
        let mut bytes = vec![0; *length];
        Rng::with_seed((*length as u64) << 8 | *resource as u64).fill(&mut bytes);
        Some(bytes)
    }
}

impl End {
    fn drawn(rng: &mut Rng) -> Self {
        let before = if rng.bool() { ACTIVE } else { ACTIVE / 3 };
        let how = match rng.u8(0..8) {
            0 => How::Shutdown,
            1..5 => How::Crash,
            _ => How::PowerLoss { kept: [0, 0, 128, 250, 256][rng.usize(0..5)] },
        };
        // Where something happens, there are operations on files.
        let operations = if rng.u8(0..3) == 0 { 0 } else { rng.u64(1..60) };
        Self { at: at(rng, before), operations, how }
    }
}
