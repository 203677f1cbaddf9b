//! All possible events in any order: the oracle of the world (`world/oracle.rs`), the store and the
//! data path check each step, and in the end a healthy world brings every fetch to its end.

use bgfetch_model::connectivity::{Connectivity, Reachable};
use bgfetch_model::delivery::NotHandledReason;
use bgfetch_model::ids::{CallId, FetchKey, RegistrationKey};
use bgfetch_model::input::FetchOptions;
use bgfetch_model::input::{BodyError, Permission};
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_model::request::Request;
use bgfetch_model::response::FailureReason;
use proptest::prelude::*;

use crate::misbehaviour::{plan, resource};
use crate::world::origin::{Plan, Resource};
use crate::world::{World, get, post, registration, with_integrity};

/// One event. Numbers select among the fetches, records and so on that exist at that time.
#[derive(Clone, Debug)]
enum Happening {
    Step(usize),
    Jump,
    Fetch(FetchArguments),
    Abort(usize),
    Pause(usize, bool),
    Click(usize),
    Dismiss(usize),
    SetTitle(usize),
    DropCall(usize),
    Connectivity(Connectivity),
    Network(bool),
    /// The resource changes, and so does its behaviour.
    Change(usize, Plan),
    Permission(Permission),
    LocalNetwork(bool),
    BodyError(Option<BodyError>),
    UnhandledEvents(u32),
    UnreadableBodies(u32),
    NoWorker(Option<NotHandledReason>),
    DeliverPending(usize),
    ActiveWorker(usize, bool),
    Unregister(usize),
    Clear(usize),
    RevokePermission(usize),
    Crash {
        kept: usize,
        cut: u64,
    },
}

#[derive(Clone, Debug)]
struct FetchArguments {
    registration: usize,
    id: bool,
    /// For each record, its resource, whether it uploads something, and whether it asks for the
    /// integrity of the bytes at the time of the call.
    records: Vec<(usize, bool, bool)>,
    download_total: u64,
    /// Whether a page calls, instead of the user.
    of_page: bool,
}

const RESOURCES: usize = 3;

fn path(resource: usize) -> String {
    format!("/{}", resource % RESOURCES)
}

/// Two registrations that share a quota.
fn registrations() -> [RegistrationKey; 2] {
    let other =
        RegistrationKey { scope: "https://a.test/other/".parse().unwrap(), ..registration() };
    [registration(), other]
}

prop_compose! {
    fn fetch_arguments()(
        registration in 0..2usize,
        id: bool,
        records in prop::collection::vec(
            (0..RESOURCES, prop::bool::weighted(0.2), prop::bool::weighted(0.3)),
            1..5,
        ),
        download_total in prop_oneof![2 => Just(0), 1 => 1..200u64],
        of_page: bool,
    ) -> FetchArguments {
        FetchArguments { registration, id, records, download_total, of_page }
    }
}

fn connectivity() -> impl Strategy<Value = Connectivity> {
    let loopback = Reachable::default().with(|it| it.loopback = true);
    prop::sample::select(vec![
        Connectivity::Online,
        Connectivity::Metered,
        Connectivity::CaptivePortal,
        Connectivity::Offline(Reachable::default()),
        Connectivity::Offline(loopback),
    ])
}

fn happening() -> impl Strategy<Value = Happening> {
    let any = || any::<usize>();
    let permission =
        vec![Permission::Granted, Permission::Granted, Permission::StartPaused, Permission::Denied];
    let body_error = vec![None, None, Some(BodyError::Unreadable), Some(BodyError::QuotaExceeded)];
    let no_worker =
        vec![None, None, Some(NotHandledReason::NoActiveWorker), Some(NotHandledReason::NotYet)];
    prop_oneof![
        120 => any().prop_map(Happening::Step),
        8 => Just(Happening::Jump),
        4 => fetch_arguments().prop_map(Happening::Fetch),
        2 => any().prop_map(Happening::Abort),
        4 => (any(), prop::bool::ANY).prop_map(|(fetch, paused)| Happening::Pause(fetch, paused)),
        1 => any().prop_map(Happening::Click),
        1 => any().prop_map(Happening::Dismiss),
        1 => any().prop_map(Happening::SetTitle),
        1 => any().prop_map(Happening::DropCall),
        3 => connectivity().prop_map(Happening::Connectivity),
        2 => prop::bool::ANY.prop_map(Happening::Network),
        2 => (any(), plan()).prop_map(|(resource, plan)| Happening::Change(resource, plan)),
        1 => prop::sample::select(permission).prop_map(Happening::Permission),
        1 => prop::bool::ANY.prop_map(Happening::LocalNetwork),
        1 => prop::sample::select(body_error).prop_map(Happening::BodyError),
        1 => (0..4u32).prop_map(Happening::UnhandledEvents),
        1 => (0..4u32).prop_map(Happening::UnreadableBodies),
        1 => (0..2usize, prop::bool::ANY).prop_map(|(key, active)| Happening::ActiveWorker(key, active)),
        1 => prop::sample::select(no_worker).prop_map(Happening::NoWorker),
        1 => (0..2usize).prop_map(Happening::DeliverPending),
        1 => (0..2usize).prop_map(Happening::Unregister),
        1 => (0..2usize).prop_map(Happening::Clear),
        1 => (0..2usize).prop_map(Happening::RevokePermission),
        2 => (0..4usize, prop_oneof![Just(u64::MAX), 0..60u64])
            .prop_map(|(kept, cut)| Happening::Crash { kept, cut }),
    ]
}

fn choose<T: Copy>(among: &[T], number: usize) -> Option<T> {
    among.get(number.checked_rem(among.len())?).copied()
}

fn some_fetch(world: &World, number: usize) -> Option<FetchKey> {
    let keys: Vec<_> = world.model.fetches().map(|fetch| fetch.key()).collect();
    // Including a fetch that never existed, or is gone.
    choose(&[keys, vec![FetchKey(0)]].concat(), number)
}

fn some_call(world: &World, number: usize) -> Option<CallId> {
    choose(&world.oracle.open_calls(), number)
}

fn call_fetch(world: &mut World, arguments: FetchArguments) {
    let mut request = |(resource, uploads, integrity): (usize, bool, bool)| -> Request {
        let path = path(resource);
        let request = if uploads { post(&path, 25) } else { get(&path) };
        let Resource { representation, length, .. } = *world.resource(&path);
        if integrity { with_integrity(request, representation, length) } else { request }
    };
    let id = if arguments.id { "x" } else { "y" };
    let requests = arguments.records.into_iter().map(&mut request).collect();
    let options = FetchOptions::default().with(|it| it.download_total = arguments.download_total);
    let [a, b] = registrations();
    let registration = if arguments.registration == 0 { a } else { b };
    world.principal = match arguments.of_page {
        true => Principal::Page(PolicySnapshot::of(&registration.scope)),
        false => Principal::User,
    };
    world.call_fetch_of(registration, id, requests, options);
}

fn happen(world: &mut World, happening: Happening) {
    let registration = |number: usize| registrations()[number % 2].clone();
    match happening {
        Happening::Step(number) => {
            if let Some(step) = choose(&world.steps(), number) {
                world.step(step);
            }
        }
        Happening::Jump => {
            world.jump();
        }
        Happening::Fetch(arguments) => call_fetch(world, arguments),
        Happening::Abort(number) => {
            if let Some(fetch) = some_fetch(world, number) {
                world.abort(fetch);
            }
        }
        Happening::Pause(number, paused) => {
            if let Some(fetch) = some_fetch(world, number) {
                world.set_paused(fetch, paused);
            }
        }
        Happening::Click(number) => {
            if let Some(fetch) = some_fetch(world, number) {
                world.click(fetch);
            }
        }
        Happening::Dismiss(number) => {
            if let Some(fetch) = some_fetch(world, number) {
                world.dismiss(fetch);
            }
        }
        Happening::SetTitle(number) => {
            if let Some(fetch) = some_fetch(world, number) {
                world.set_title(fetch, "title");
            }
        }
        Happening::DropCall(number) => {
            if let Some(call) = some_call(world, number) {
                world.drop_call(call);
            }
        }
        Happening::Connectivity(connectivity) => world.set_connectivity(connectivity),
        Happening::Network(up) => world.network = up,
        Happening::Change(number, plan) => {
            let resource = world.resource(&path(number));
            resource.representation += 1;
            resource.length += 1;
            resource.plans.push_back(plan);
        }
        Happening::Permission(permission) => world.permission = permission,
        Happening::LocalNetwork(granted) => world.local_network = granted,
        Happening::BodyError(error) => world.body_error = error,
        Happening::UnhandledEvents(count) => world.unhandled_events = count,
        Happening::UnreadableBodies(count) => world.unreadable_bodies = count,
        Happening::NoWorker(reason) => world.no_worker = reason,
        Happening::DeliverPending(number) => {
            world.deliver_pending(registration(number));
        }
        Happening::ActiveWorker(number, active) => {
            world.register(registration(number), active);
        }
        Happening::Unregister(number) => {
            world.unregister(registration(number));
        }
        Happening::Clear(number) => {
            world.clear(registration(number).storage_key);
        }
        Happening::RevokePermission(number) => {
            world.revoke_permission(registration(number).storage_key);
        }
        Happening::Crash { kept, cut } => {
            let kept = kept.min(world.store.queue.len());
            world.crash(kept, |length| length.min(cut));
        }
    }
}

/// From here on everything works, and nothing is paused.
fn heal(world: &mut World) {
    (world.unhandled_events, world.unreadable_bodies, world.no_worker) = (0, 0, None);
    for resource in world.origin.0.values_mut() {
        resource.plans.clear();
        (resource.always, resource.restless) = (Plan::Serve, false);
    }
    world.go_online();
    world.run_now();
    let keys: Vec<_> = world.model.fetches().map(|fetch| fetch.key()).collect();
    for key in keys {
        world.set_paused(key, false);
    }
    let registrations: Vec<_> = world.model.registrations().cloned().collect();
    for registration in registrations {
        world.register(registration, true);
    }
}

fn world_of(resources: Vec<Resource>, quota: u64, chunk: u64, slots: usize) -> World {
    let mut world = World::new();
    (world.chunk, world.slots) = (chunk, slots);
    world.set_quota(quota);
    for (number, resource) in resources.into_iter().enumerate() {
        world.serve(&path(number), resource);
    }
    for registration in registrations() {
        world.register(registration, true);
    }
    world.run_now();
    world
}

proptest! {
    #[test]
    fn whatever_happens_no_rule_is_broken_and_every_fetch_ends(
        resources in prop::collection::vec(resource(), RESOURCES),
        quota in prop_oneof![3 => Just(u64::MAX), 1 => 0..400u64],
        chunk in 1..20u64,
        slots in 1..5usize,
        first in fetch_arguments(),
        happenings in prop::collection::vec(happening(), 0..250),
    ) {
        let mut world = world_of(resources, quota, chunk, slots);
        call_fetch(&mut world, first);
        for happening in happenings {
            happen(&mut world, happening);
        }
        heal(&mut world);
        world.run();
        for fetch in world.model.fetches() {
            prop_assert!(fetch.result().is_some(), "{:?} never settled", fetch.key());
            prop_assert!(!fetch.records_available(), "{:?} was not delivered", fetch.key());
        }
        world.assert_at_rest();
        for registration in registrations() {
            prop_assert!(world.model.get_ids(&registration).is_empty());
            prop_assert_eq!(world.model.usage(&registration.storage_key).total, 0);
        }
    }

    /// Fetches that fit into the promised total or the quota succeed, however their records race;
    /// fetches that lack a byte or more fail.
    #[test]
    fn what_fits_succeeds_and_what_does_not_fit_fails(
        resources in prop::collection::vec(
            (1..60u64, any::<bool>(), any::<bool>(), prop::option::of(0..60u64)),
            1..7,
        ),
        by_quota: bool,
        chunk in 1..20u64,
        slots in 1..7usize,
        order in prop::collection::vec(any::<usize>(), 0..300),
        lacking in prop_oneof![Just(0), Just(1), any::<u64>()],
        // Small bodies need one grant each, large ones several.
        unit in prop_oneof![Just(1), Just(1 << 20)],
    ) {
        let mut world = World::new();
        (world.chunk, world.slots) = (chunk * unit, slots);
        let sum: u64 = resources.iter().map(|(length, ..)| length * unit).sum();
        let lacking = lacking % sum;
        let limit = sum - lacking;
        let requests: Vec<_> = resources
            .into_iter()
            .enumerate()
            .map(|(number, (length, content_length, etag, cut))| {
                let (length, cut) = (length * unit, cut.map(|cut| cut * unit));
                let plans = cut.map(Plan::Cut).into_iter().collect();
                let resource = Resource { length, content_length, etag, plans, ..Resource::default() };
                world.serve(&format!("/{number}"), resource)
            })
            .collect();
        let (download_total, reason) = if by_quota {
            world.set_quota(limit);
            (0, FailureReason::QuotaExceeded)
        } else {
            (limit, FailureReason::DownloadTotalExceeded)
        };
        world.hold(crate::world::Hold::Caller);
        let fetch = world.fetch_total(requests, download_total);
        world.let_go(crate::world::Hold::Caller);
        for number in order {
            if number % 16 == 0 {
                world.lose_one_held_back();
            }
            if let Some(step) = choose(&world.steps(), number) {
                world.step(step);
            }
        }
        world.run();
        let expected = if lacking == 0 { Ok(()) } else { Err(reason) };
        prop_assert_eq!(world.result(fetch), Some(expected));
    }
}
