//! How a seed decides on the plan of a run.

use std::time::Duration;

use bgfetch::{RegistrationKey, StorageKey};
use fastrand::Rng;

use super::plan::{ACTIVE, Call, Deed, End, Faults, How, Integrity, Line, Plan, Site, Wanted};
use super::resource::Resource;

impl Plan {
    pub(crate) fn drawn(rng: &mut Rng) -> Self {
        let faults = Faults::drawn(rng);
        let resources: Vec<_> = (0..rng.usize(2..6)).map(|_| Resource::drawn(rng)).collect();
        let mut sites: Vec<_> =
            (0..rng.usize(1..4)).map(|number| Site::drawn(number, rng)).collect();
        let mut deeds = Vec::new();
        for (site, Site { holds, .. }) in sites.iter().enumerate() {
            let calls = rng.usize(1..4);
            let mut before: Option<(Duration, Call)> = None;
            for number in 0..calls {
                let mut call = Call::drawn(site, number, &resources, rng);
                let mut at = at(rng, ACTIVE / 3);
                if let Some((then, before)) = before.filter(|_| *holds) {
                    // The user asks for the same again.
                    call.records = before.records;
                    at = then + Duration::from_millis(rng.u64(5000..60_000));
                }
                before = Some((at, call.clone()));
                deeds.push((at, Deed::Fetch(call)));
            }
            for _ in 0..rng.usize(0..4) {
                let after = Duration::from_millis(rng.u64(100..100_000));
                deeds.push((at(rng, ACTIVE / 2), Deed::OpenPage(site, after)));
            }
            for _ in 0..rng.usize(0..5) {
                deeds.push((some_time(&deeds, rng), drawn_deed(site, rng)));
            }
            for _ in 0..rng.usize(0..3) {
                deeds.push((some_time(&deeds, rng), Deed::UserChanges(site)));
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
            // Right after somebody is answered.
            let asked = deeds.iter().filter(|(_, deed)| deed.is_asked());
            let asked: Vec<_> = asked.map(|(at, _)| *at).collect();
            for _ in 0..rng.usize(1..4) {
                let (at, operations) = (asked[rng.usize(0..asked.len())], rng.u64(1..3));
                let kept = [0, 0, 128][rng.usize(0..3)];
                ends.push(End { at, operations, answers: true, how: How::PowerLoss { kept } });
            }
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

/// A random time; often shortly after a call, when most happens.
fn some_time(deeds: &[(Duration, Deed)], rng: &mut Rng) -> Duration {
    let is_call = |(_, deed): &&(Duration, Deed)| matches!(deed, Deed::Fetch(_));
    let calls: Vec<_> = deeds.iter().filter(is_call).map(|(at, _)| *at).collect();
    match rng.bool() {
        true => calls[rng.usize(0..calls.len())] + Duration::from_millis(rng.u64(0..4000)),
        false => at(rng, ACTIVE),
    }
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
            let from = some_time(deeds, rng);
            deeds.push((from, Deed::Line(line)));
            deeds.push((from + at(rng, ACTIVE / 4), Deed::Line(Line::Online)));
        }
    }
    if faults.disk {
        for _ in 0..rng.usize(1..3) {
            let from = some_time(deeds, rng);
            deeds.push((from, Deed::DiskFull(true)));
            deeds.push((from + at(rng, ACTIVE / 3), Deed::DiskFull(false)));
        }
        for _ in 0..rng.usize(0..3) {
            deeds.push((some_time(deeds, rng), Deed::SyncFails));
        }
    }
    if faults.changes {
        for _ in 0..rng.usize(1..8) {
            deeds.push((some_time(deeds, rng), Deed::ServerChanges(rng.usize(0..resources))));
        }
    }
    if faults.clock {
        for _ in 0..rng.usize(1..4) {
            let day = 24 * 3600 * 1000;
            deeds.push((some_time(deeds, rng), Deed::ClockJumps(rng.i64(-day..day))));
        }
    }
}

impl Faults {
    fn drawn(rng: &mut Rng) -> Self {
        let mut some = || rng.u8(0..5) < 2;
        Self {
            look_ups: some(),
            unreachable: some(),
            refusals: some(),
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
        let for_user = rng.u8(0..3) == 0;
        Self {
            registration: RegistrationKey { storage_key: StorageKey(origin), scope },
            quota: u64::MAX,
            needs: 0,
            for_user,
            failures: rng.u32(0..6),
            not_yets: if rng.u8(0..4) == 0 { rng.u32(8..16) } else { rng.u32(0..3) },
            saves: rng.u8(0..3) == 0,
            holds: for_user && rng.bool(),
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
            let (mut integrity, mut range) = (Integrity::None, None);
            match rng.u8(0..16) {
                0 => integrity = Integrity::Wrong,
                1..3 => integrity = Integrity::Right,
                3..5 => {
                    let first = rng.u64(0..=resources[resource].length);
                    range = Some((first, first + rng.u64(0..20_000)));
                }
                _ => {}
            }
            Wanted::Download { resource, integrity, range }
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
            gives_up: rng.u8(0..4) == 0,
        }
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
        Self { at: at(rng, before), operations, answers: false, how }
    }
}

/// At least what a fetch with so many records takes besides bodies.
pub(crate) fn metadata(records: usize) -> u64 {
    16_384 * (records as u64 + 1)
}
