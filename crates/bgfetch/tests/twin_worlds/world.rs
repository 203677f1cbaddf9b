//! Sites that share one model and one scheduler, in virtual time. Everything around those two is
//! each site's own: the delays of its network, its clients and its worker depend on nothing else.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bgfetch::Limits;
use bgfetch_model::action::{Action, Reply};
use bgfetch_model::attempt::{AttemptCommand, AttemptEvent};
use bgfetch_model::config::Config;
use bgfetch_model::connectivity::Connectivity;
use bgfetch_model::delivery::{NotHandledReason, Outcome};
use bgfetch_model::fetch_info::FetchInfo;
use bgfetch_model::ids::{AttemptId, CallId, FetchKey, RecordKey};
use bgfetch_model::input::{FetchCall, FetchOptions, Input, Permission};
use bgfetch_model::model::Model;
use bgfetch_model::request::Request;
use bgfetch_model::time::{Instant, Now, UnixTime};
use bgfetch_net::partition::Partition;
use bgfetch_net::scheduler::{Candidate, Priority, Scheduler};

use super::attempt::{self, Attempt};
use super::site::{Deed, Habits, Site};

/// How long a run takes.
const END: Duration = Duration::from_secs(20);

/// How long the store takes for each transaction.
const COMMIT: Duration = Duration::from_millis(1);

/// The site whose observations are compared.
const OBSERVED: usize = 0;

#[derive(Debug)]
enum Event {
    Input(Input),
    Deed(usize, Deed),
    Work(AttemptId),
}

pub(crate) struct World {
    seed: u64,
    model: Model,
    scheduler: Scheduler,
    now: Duration,
    /// What happens next: by time, then what concerns all sites before what concerns one, then in
    /// the order of that site's own events.
    events: BTreeMap<(Duration, usize, u64), Event>,
    next_event: u64,
    sites: Vec<Site>,
    /// What the observed site saw, and when.
    log: Vec<(Duration, String)>,
    site_of: HashMap<FetchKey, usize>,
    attempts: HashMap<AttemptId, Attempt>,
}

impl World {
    /// What the observed site saw, beside others with these habits.
    pub(crate) fn run(seed: u64, limits: Limits, others: &[Habits]) -> Vec<(Duration, String)> {
        let habits = std::iter::once(Habits::Greedy).chain(others.iter().copied());
        let sites = habits.enumerate().map(|(number, habits)| Site::new(number, seed, habits));
        let now = Now { wall: UnixTime(1_700_000_000_000), ..Now::default() };
        let mut world = Self {
            seed,
            model: Model::open(
                Config::default().with(|it| it.seed = seed),
                Default::default(),
                now,
            ),
            scheduler: Scheduler::new(limits),
            now: Duration::ZERO,
            events: BTreeMap::new(),
            next_event: 0,
            sites: sites.collect(),
            log: Vec::new(),
            site_of: HashMap::new(),
            attempts: HashMap::new(),
        };
        world.script();
        while let Some((at, event)) = world.next() {
            world.now = at;
            world.happen(event);
        }
        world.log
    }

    fn script(&mut self) {
        for site in 0..self.sites.len() {
            self.plan(site, Duration::ZERO, Event::Deed(site, Deed::Register));
            for (at, deed) in self.sites[site].deeds() {
                self.plan(site, at, Event::Deed(site, deed));
            }
        }
        // The network is the same for all.
        let mut rng = fastrand::Rng::with_seed(self.seed);
        for _ in 0..rng.u32(0..3) {
            let at = Duration::from_nanos(rng.u64(0..10_000_000_000));
            let state = match rng.u8(0..3) {
                0 => Connectivity::Offline(Default::default()),
                1 => Connectivity::CaptivePortal,
                _ => Connectivity::Online,
            };
            self.plan_for_all(at, Input::Connectivity(state));
            let back = Input::Connectivity(Connectivity::Online);
            self.plan_for_all(at + Duration::from_secs(1), back);
        }
    }

    fn plan(&mut self, site: usize, after: Duration, event: Event) {
        self.next_event += 1;
        self.events.insert((self.now + after, 1 + site, self.next_event), event);
    }

    fn plan_for_all(&mut self, after: Duration, input: Input) {
        self.next_event += 1;
        self.events.insert((self.now + after, 0, self.next_event), Event::Input(input));
    }

    /// The answer to something that the model asked for a site, after a delay of the site's own.
    fn answer(&mut self, site: usize, input: Input) {
        let delay = Duration::from_nanos(self.sites[site].rng.u64(1_000_000..100_000_000));
        self.plan(site, delay, Event::Input(input));
    }

    fn next(&mut self) -> Option<(Duration, Event)> {
        let timer = self.model.poll_timeout().map(|Instant(at)| at.max(self.now));
        let event = self.events.keys().next().map(|(at, ..)| *at);
        match (timer, event) {
            (Some(timer), event) if timer <= END && event.is_none_or(|at| timer <= at) => {
                Some((timer, Event::Input(Input::Tick)))
            }
            (_, Some(at)) if at <= END => self.events.pop_first().map(|(_, event)| (at, event)),
            _ => None,
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Input(input) => self.input(input),
            Event::Deed(site, deed) => self.perform(site, deed),
            Event::Work(id) => {
                let Some(attempt) = self.attempts.get_mut(&id) else { return };
                let (reports, again) = attempt.work();
                let site = attempt.site;
                if let Some(after) = again {
                    self.plan(site, after, Event::Work(id));
                }
                self.report(id, reports);
            }
        }
        for site in &self.sites {
            site.assert_waits_for_no_other(self.seed);
        }
    }

    fn perform(&mut self, number: usize, deed: Deed) {
        let site = &mut self.sites[number];
        site.calls += 1;
        // Each site has numbers of its own for its calls.
        let call = CallId(site.calls << 8 | number as u64);
        let registration = site.registration.clone();
        let input = match deed {
            Deed::Register => Input::Register { call, registration, active_worker: true },
            Deed::Unregister => Input::Unregister { call, registration },
            Deed::Quota(limit) => Input::Quota(registration.storage_key, limit),
            Deed::Abort | Deed::Pause(_) => match (site.any_fetch(), deed) {
                (Some(fetch), Deed::Pause(paused)) => Input::SetPaused { call, fetch, paused },
                (Some(fetch), _) => Input::Abort { call, fetch },
                (None, _) => return,
            },
            Deed::Fetch { records, download_total } => Input::Fetch(Box::new(FetchCall {
                call,
                registration,
                principal: Arc::new(site.principal.clone()),
                id: format!("id{}", site.calls),
                requests: (0..records).map(|_| Request::get(attempt::url(&mut site.rng))).collect(),
                options: FetchOptions::default().with(|it| it.download_total = download_total),
                sees_active_worker: true,
            })),
        };
        self.input(input);
    }

    /// The drain rule of the engine's event loop.
    fn input(&mut self, input: Input) {
        self.model.handle(self.now(), input);
        loop {
            while let Some(action) = self.model.poll_action() {
                self.execute(action);
            }
            let Some(record) = self.scheduler.next() else { return };
            let site = &mut self.sites[self.site_of[&record.fetch]];
            site.queued.retain(|other| *other != record);
            site.running.push(record);
            self.model.handle(self.now(), Input::SlotGranted(record));
        }
    }

    fn now(&self) -> Now {
        let wall = UnixTime(1_700_000_000_000).after(self.now);
        Now { monotonic: Instant(self.now), wall }
    }

    fn report(&mut self, id: AttemptId, reports: Vec<AttemptEvent>) {
        for report in reports {
            if matches!(report, AttemptEvent::Ended { .. }) {
                self.attempts.remove(&id);
            }
            self.input(Input::Attempt(id, report));
        }
    }

    fn site_of(&mut self, fetch: &FetchInfo) -> usize {
        let is_of = |site: &Site| site.registration == fetch.registration;
        let site = self.sites.iter().position(is_of).unwrap();
        if self.site_of.insert(fetch.key, site).is_none() {
            self.sites[site].fetches.push(fetch.key);
        }
        site
    }

    /// Notes what a site observes. The others' observations are not needed.
    fn see(&mut self, site: usize, what: impl FnOnce(&Site) -> String) {
        if site == OBSERVED {
            let what = what(&self.sites[site]);
            self.log.push((self.now, what));
        }
    }

    /// What happens to a record's place in the queue.
    fn lose_slot(&mut self, record: RecordKey) -> &mut Site {
        let site = &mut self.sites[self.site_of[&record.fetch]];
        for list in [&mut site.queued, &mut site.running, &mut site.looking_up] {
            list.retain(|other| *other != record);
        }
        site
    }

    fn execute(&mut self, action: Action) {
        match action {
            Action::QueryPermission { call, request } => {
                let site = self.sites.iter().position(|it| it.registration == request.registration);
                let (permission, quota) = (Permission::Granted, Some(100_000));
                self.answer(site.unwrap(), Input::Permission { call, permission, quota });
            }
            Action::Commit(commit, _) => self.plan_for_all(COMMIT, Input::Committed(commit)),
            Action::Reply(call, reply) => {
                let site = (call.0 & 0xff) as usize;
                if let Ok(Reply::Fetch(fetch)) = &reply {
                    self.site_of(&fetch.info);
                    self.answer(site, Input::CallerReady(fetch.info.key));
                }
                self.see(site, |_| match reply {
                    Ok(Reply::Fetch(fetch)) => format!("{} is {:?}", fetch.info.id, fetch.update),
                    other => format!("call {} gives {other:?}", call.0),
                });
            }
            Action::Enqueue { record, fetch, host } => {
                self.site_of(&fetch);
                self.lose_slot(record).queued.push(record);
                self.scheduler.enqueue(Candidate {
                    record,
                    partition: &Partition::of(&fetch.principal, &fetch.registration.storage_key),
                    registration: &fetch.registration,
                    priority: Priority::Normal,
                    host: &host,
                });
            }
            Action::Withdraw(record) => {
                self.lose_slot(record);
                self.scheduler.withdraw(record);
            }
            Action::LeaveSlot(record, host) => {
                self.lose_slot(record).looking_up.push(record);
                self.scheduler.leave(record, &host);
            }
            Action::ReleaseSlot(record) => {
                self.lose_slot(record);
                self.scheduler.release(record);
            }
            Action::LoadHead(record) => {
                let site = self.site_of[&record.fetch];
                self.answer(site, Input::HeadLoaded(record, None));
            }
            Action::StartAttempt { attempt, record, fetch, request, spec } => {
                let site = self.site_of(&fetch);
                let (url, of) = (request.url.clone(), &mut self.sites[site]);
                let (rng, habits) = (of.rng.fork(), of.habits);
                self.attempts.insert(attempt, Attempt::new(site, record, url, rng, habits));
                self.see(site, |site| {
                    format!("{} requests {} {spec:?}", site.name_of(record), request.url)
                });
                self.plan(site, Duration::from_millis(1), Event::Work(attempt));
            }
            Action::HostAnswered { fetch, host, multiplexes } => {
                let of = Partition::of(&fetch.principal, &fetch.registration.storage_key);
                self.scheduler.host_answered(&of, &host, multiplexes);
            }
            Action::Command(id, command) => {
                let Some(attempt) = self.attempts.get_mut(&id) else { return };
                let (site, record) = (attempt.site, attempt.record);
                let (reports, again) = attempt.obey(command);
                self.see(site, |site| match command {
                    AttemptCommand::Receive { offset, grant, .. } => {
                        format!("{} receives from {offset} to {grant}", site.name_of(record))
                    }
                    other => format!("{} is told {other:?}", site.name_of(record)),
                });
                if let Some(after) = again {
                    self.plan(site, after, Event::Work(id));
                }
                for report in reports {
                    self.plan(
                        site,
                        Duration::from_micros(1),
                        Event::Input(Input::Attempt(id, report)),
                    );
                }
            }
            Action::RecordChanged(record, data) => {
                let site = self.site_of[&record.fetch];
                self.see(site, |site| format!("{} is {data:?}", site.name_of(record)));
            }
            Action::UpdateClients { fetch, update, settled } => {
                let site = self.site_of(&fetch);
                self.see(site, |_| format!("{} is {update:?}", fetch.id));
                if settled {
                    self.answer(site, Input::ClientsApplied(fetch.key));
                }
            }
            Action::FireSettledEvent(fetch, result) => {
                let site = self.site_of(&fetch);
                self.see(site, |_| format!("{} fires {result:?}", fetch.id));
                let outcome = match self.sites[site].rng.u8(0..4) {
                    0 => Outcome::NotHandled(NotHandledReason::TimedOut),
                    _ => Outcome::Handled { rejection: None },
                };
                self.answer(site, Input::EventEnded { fetch: fetch.key, outcome });
            }
            Action::Observe(observation) => {
                let site = self.site_of(&observation.fetch);
                self.see(site, |site| {
                    let key = observation.fetch.key;
                    let what = format!("{:?}", observation.what);
                    let what = what.replace(&format!("FetchKey({})", key.0), "its key");
                    format!("{}: {what}", site.name_of_fetch(key))
                });
            }
            // No request has a body or integrity metadata, and nobody clicks.
            _ => {}
        }
    }
}
