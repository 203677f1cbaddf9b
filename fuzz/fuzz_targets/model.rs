//! Sequences of everything that can happen to the model, in the simulated world of its tests. The
//! world's oracle, store and data path check every step. At the end, everything works again, and
//! each fetch must settle.
//!
//! The first three bytes are flags of the world, its chunk size and its quota. Each byte after them
//! is the letter of an event in [`happen`], followed by its arguments. Any other byte takes one of
//! the possible steps.
#![no_main]

#[path = "../../crates/bgfetch-model/tests/model/world/mod.rs"]
#[expect(dead_code, reason = "the model's own tests use all of it")]
mod world;

use bgfetch_fuzz::text;
use bgfetch_model::algorithms::extract_content_range_values::extract_content_range_values;
use bgfetch_model::connectivity::{Connectivity, Reachable};
use bgfetch_model::header_list::HeaderList;
use bgfetch_model::ids::{FetchKey, RegistrationKey};
use bgfetch_model::input::FetchOptions;
use bgfetch_model::input::{BodyError, Permission};
use bgfetch_model::request::Request;
use libfuzzer_sys::fuzz_target;
use world::origin::{Plan, Ranges, Resource};
use world::{World, get, post, registration};

const RESOURCES: u8 = 3;

/// The rest of the input, followed by zeros.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        first
    }

    fn flag(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// A small number, or sometimes a huge one.
    fn number(&mut self) -> u64 {
        match self.next() {
            b'~' => u64::MAX,
            b'^' => u64::MAX / 2,
            byte => u64::from(byte & 63),
        }
    }

    fn line(&mut self) -> String {
        let end = self.0.iter().position(|&byte| byte == b'\n').unwrap_or(self.0.len());
        let (line, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        text(line)
    }
}

fn path(number: u8) -> String {
    format!("/{}", number % RESOURCES)
}

/// Two registrations that share their quota.
fn registration_of(number: u8) -> RegistrationKey {
    match number & 1 {
        0 => registration(),
        _ => {
            let scope = "https://a.test/other/".parse().unwrap();
            RegistrationKey { scope, ..registration() }
        }
    }
}

/// One of the fetches, or one that never existed.
fn some_fetch(world: &World, number: u8) -> FetchKey {
    let mut keys: Vec<_> = world.model.fetches().map(|fetch| fetch.key()).collect();
    keys.push(FetchKey(1_000));
    keys[usize::from(number) % keys.len()]
}

fn resource(bytes: &mut Bytes<'_>) -> Resource {
    let flags = bytes.next();
    let ranges = match flags >> 4 & 7 {
        0 | 1 => Ranges::Honoured,
        2 => Ranges::Ignored,
        3 => Ranges::Unconditional,
        4 => Ranges::WrongStart,
        5 => Ranges::Parts { most: 7, star: false },
        6 => Ranges::Parts { most: 11, star: true },
        _ => Ranges::Parts { most: 1, star: true },
    };
    Resource {
        length: u64::from(bytes.next() & 63),
        etag: flags & 1 == 0,
        content_length: flags & 2 == 0,
        coded: flags & 4 != 0,
        restless: flags & 8 != 0,
        ranges,
        ..Resource::default()
    }
}

/// An arbitrary response head: `Name:value|Name:value`, and the body it belongs to.
fn raw(bytes: &mut Bytes<'_>) -> Plan {
    const NAMES: [(char, &str); 6] = [
        ('e', "ETag"),
        ('m', "Last-Modified"),
        ('d', "Date"),
        ('r', "Content-Range"),
        ('l', "Content-Length"),
        ('c', "Content-Encoding"),
    ];
    const STATUSES: [u16; 8] = [200, 206, 416, 204, 304, 503, 200, 206];
    let status = STATUSES[usize::from(bytes.next() & 7)];
    let length = u64::from(bytes.next() & 63);
    let line = bytes.line();
    let headers: Vec<(&'static str, String)> = line
        .split('|')
        .filter_map(|header| {
            let initial = header.chars().next()?;
            let (_, name) = NAMES.iter().find(|(letter, _)| *letter == initial)?;
            Some((*name, header[initial.len_utf8()..].to_owned()))
        })
        .collect();
    // No client could detect a part whose bytes are not those that it announces.
    let list: HeaderList = headers.iter().cloned().collect();
    let first = match status {
        206 => extract_content_range_values(&list).map_or(0, |range| range.first),
        _ => 0,
    };
    if first > 1 << 40 { Plan::Serve } else { Plan::Raw(status, headers, first, length) }
}

fn plan(bytes: &mut Bytes<'_>, raw_heads: bool) -> Plan {
    match bytes.next() {
        b'c' => Plan::Cut(bytes.number()),
        b's' => Plan::Stall(bytes.number()),
        b'l' => Plan::LoseHead,
        b'u' => Plan::Unreachable,
        b'r' => Plan::Reset,
        b'p' => Plan::Permanent,
        b'd' => Plan::DiskFull(bytes.number()),
        b'S' => {
            const STATUSES: [u16; 8] = [200, 204, 302, 404, 416, 429, 500, 503];
            let status = STATUSES[usize::from(bytes.next() & 7)];
            let retry_after = bytes.number();
            let delay = std::time::Duration::from_secs(retry_after);
            Plan::Status(status, (retry_after > 0).then_some(delay))
        }
        b'H' if raw_heads => raw(bytes),
        _ => Plan::Serve,
    }
}

fn call_fetch(world: &mut World, bytes: &mut Bytes<'_>) {
    let flags = bytes.next();
    let download_total = if flags & 1 == 1 { bytes.number() } else { 0 };
    let requests: Vec<Request> = (0..1 + (flags >> 1 & 3))
        .map(|_| {
            let choice = bytes.next();
            let path = path(choice & 15);
            let mut request = if choice & 16 != 0 { post(&path, 25) } else { get(&path) };
            if choice & 128 != 0 {
                request.headers.append("Range", "bytes=2-5");
            }
            request
        })
        .collect();
    let id = if flags & 8 == 0 { "x" } else { "y" };
    let options = FetchOptions::default().with(|it| it.download_total = download_total);
    world.call_fetch_of(registration_of(flags >> 4), id, requests, options);
}

fn happen(world: &mut World, bytes: &mut Bytes<'_>, raw_heads: bool) {
    match bytes.next() {
        b'J' => {
            world.jump();
        }
        b'N' => world.run_now(),
        b'F' => call_fetch(world, bytes),
        b'A' => {
            let fetch = some_fetch(world, bytes.next());
            world.abort(fetch);
        }
        b'P' => {
            let fetch = some_fetch(world, bytes.next());
            world.set_paused(fetch, bytes.flag());
        }
        b'C' => {
            let fetch = some_fetch(world, bytes.next());
            world.click(fetch);
        }
        b'D' => {
            let fetch = some_fetch(world, bytes.next());
            world.dismiss(fetch);
        }
        b'T' => {
            let fetch = some_fetch(world, bytes.next());
            world.set_title(fetch, "title");
        }
        b'X' => {
            let calls = world.oracle.open_calls();
            let number = usize::from(bytes.next());
            if let Some(call) = number.checked_rem(calls.len()).map(|index| calls[index]) {
                world.drop_call(call);
            }
        }
        b'O' => world.set_connectivity(match bytes.next() & 7 {
            0 | 1 => Connectivity::Online,
            2 => Connectivity::Metered,
            3 => Connectivity::CaptivePortal,
            4 => Connectivity::Offline(Reachable::default().with(|it| it.loopback = true)),
            _ => Connectivity::Offline(Reachable::default()),
        }),
        b'W' => world.network = bytes.flag(),
        b'R' => {
            let number = bytes.next();
            let plan = plan(bytes, raw_heads);
            let resource = world.resource(&path(number));
            resource.plans.push_back(plan);
            if !raw_heads && number & 16 != 0 {
                resource.representation += 1;
                resource.length += 1;
            }
        }
        b'G' => {
            world.permission = match bytes.next() & 3 {
                0 => Permission::StartPaused,
                1 => Permission::Denied,
                _ => Permission::Granted,
            };
        }
        b'B' => {
            world.body_error = match bytes.next() & 3 {
                0 => Some(BodyError::Unreadable),
                1 => Some(BodyError::QuotaExceeded),
                _ => None,
            };
        }
        b'E' => world.unhandled_events = u32::from(bytes.next() & 3),
        b'V' => {
            let number = bytes.next();
            world.register(registration_of(number), number & 2 == 0);
        }
        b'U' => {
            world.unregister(registration_of(bytes.next()));
        }
        b'L' => world.lose_one_held_back(),
        b'K' => {
            let kept = usize::from(bytes.next() & 3).min(world.store.queue.len());
            let cut = bytes.number();
            world.crash(kept, |length| length.min(cut));
        }
        number => {
            let steps = world.steps();
            if let Some(index) = usize::from(number).checked_rem(steps.len()) {
                world.step(steps[index]);
            }
        }
    }
}

/// From here on, everything works, both registrations have an active worker, and nothing is paused.
fn heal(world: &mut World) {
    world.unhandled_events = 0;
    for number in 0..2 {
        world.register(registration_of(number), true);
    }
    for resource in world.origin.0.values_mut() {
        resource.plans.clear();
        resource.restless = false;
    }
    // The data path would time out on a stalled connection, but has no clock here.
    world.go_offline();
    world.run_now();
    world.go_online();
    world.run_now();
    let keys: Vec<_> = world.model.fetches().map(|fetch| fetch.key()).collect();
    for key in keys {
        world.set_paused(key, false);
    }
}

fuzz_target!(|input: &[u8]| {
    let bytes = &mut Bytes(input);
    let mut world = World::new();
    let flags = bytes.next();
    // Arbitrary heads may be wrong about the representation that they belong to, so there is only
    // one of them.
    let raw_heads = flags & 1 == 1;
    world.slots = 1 + usize::from(flags >> 1 & 3);
    world.chunk = 1 + u64::from(bytes.next() & 15);
    world.set_quota(match bytes.next() {
        b'~' => u64::MAX,
        byte => u64::from(byte),
    });
    for number in 0..RESOURCES {
        let mut resource = resource(bytes);
        resource.restless &= !raw_heads;
        world.serve(&path(number), resource);
        world.register(registration_of(number), true);
    }
    world.run_now();

    while !bytes.0.is_empty() {
        happen(&mut world, bytes, raw_heads);
    }

    heal(&mut world);
    world.run();
    for fetch in world.model.fetches() {
        assert!(fetch.result().is_some(), "{:?} never settled", fetch.key());
        assert!(!fetch.records_available(), "{:?} was not delivered", fetch.key());
    }
    world.assert_at_rest();
    for number in 0..2 {
        assert!(world.model.get_ids(&registration_of(number)).is_empty());
    }
});
