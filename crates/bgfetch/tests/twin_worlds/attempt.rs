//! An attempt, and the server at its other end.

use std::time::Duration;

use bgfetch_model::attempt::{AttemptCommand, AttemptEnd, AttemptEvent, Fault, FaultKind};
use bgfetch_model::ids::{HostKey, RecordKey};
use bgfetch_model::response::{ResponseHead, ResponseType};
use fastrand::Rng;
use url::Url;

use super::site::Habits;

/// How many hosts there are; all sites use the same ones.
const HOSTS: u32 = 4;

/// The URL of a record.
pub(crate) fn url(rng: &mut Rng) -> Url {
    format!("https://host{}.test/{}", rng.u32(0..HOSTS), rng.u32(0..4)).parse().unwrap()
}

/// What an attempt does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Start,
    LookingUp,
    AwaitingSlot,
    Requesting,
    Judged,
    Receiving { stored: u64, end: u64, grant: u64 },
    HeldBack { stored: u64, end: u64 },
    Over,
}

#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) site: usize,
    pub(crate) record: RecordKey,
    url: Url,
    rng: Rng,
    endless: bool,
    phase: Phase,
}

impl Attempt {
    pub(crate) fn new(site: usize, record: RecordKey, url: Url, rng: Rng, habits: Habits) -> Self {
        let endless = habits == Habits::Endless;
        Self { site, record, url, rng, endless, phase: Phase::Start }
    }

    /// Continues by itself: what it reports, and after which time it continues again.
    pub(crate) fn work(&mut self) -> (Vec<AttemptEvent>, Option<Duration>) {
        let soon = Duration::from_nanos(self.rng.u64(1_000_000..200_000_000));
        match self.phase {
            Phase::Start if self.rng.u8(..) < 64 => {
                self.phase = Phase::LookingUp;
                let dead = self.rng.u8(..) < 32;
                let takes = if dead { Duration::from_secs(10) } else { soon };
                (vec![AttemptEvent::LookUp(HostKey::of(&self.url))], Some(takes))
            }
            Phase::LookingUp if self.rng.u8(..) < 32 => self.fail(FaultKind::Unreachable),
            Phase::LookingUp => {
                self.phase = Phase::AwaitingSlot;
                (vec![AttemptEvent::NeedSlot], None)
            }
            Phase::Start => {
                self.phase = Phase::Requesting;
                (Vec::new(), Some(soon))
            }
            Phase::Requesting => match self.rng.u8(..) {
                0..16 if !self.endless => self.fail(FaultKind::Unreachable),
                16..32 if !self.endless => self.fail(FaultKind::Blocked),
                _ => {
                    self.phase = Phase::Judged;
                    (vec![self.head()], None)
                }
            },
            Phase::Receiving { stored, end, grant } => self.receive(stored, end, grant, soon),
            Phase::AwaitingSlot | Phase::Judged | Phase::HeldBack { .. } | Phase::Over => {
                (Vec::new(), None)
            }
        }
    }

    fn receive(
        &mut self,
        stored: u64,
        end: u64,
        grant: u64,
        soon: Duration,
    ) -> (Vec<AttemptEvent>, Option<Duration>) {
        if stored == end {
            self.phase = Phase::Over;
            let stored = Some(stored);
            return (vec![AttemptEvent::Ended { stored, end: AttemptEnd::Complete }], None);
        }
        if self.rng.u8(..) < 8 {
            return self.fail(FaultKind::Interrupted);
        }
        if stored == grant {
            self.phase = Phase::HeldBack { stored, end };
            return (vec![AttemptEvent::NeedGrant(stored)], None);
        }
        let drips = self.endless || end == u64::MAX;
        let bytes = if drips { 1 } else { self.rng.u64(1..3_000) };
        let stored = (stored + bytes).min(end).min(grant);
        self.phase = Phase::Receiving { stored, end, grant };
        let next = if drips { Duration::from_secs(5) + soon } else { soon };
        (vec![AttemptEvent::Progress(stored)], Some(next))
    }

    fn head(&mut self) -> AttemptEvent {
        let status = match self.rng.u8(..) {
            0..16 if !self.endless => 404,
            16..40 if !self.endless => 503,
            _ => 200,
        };
        let retry_after = (status == 503).then(|| Duration::from_secs(self.rng.u64(0..3)));
        // A fact about the host, and now and then another one.
        let multiplexes =
            self.url.host_str().is_some_and(|host| host < "host2") ^ (self.rng.u8(..) < 8);
        let head = ResponseHead::new(status, vec![self.url.clone()])
            .with(|it| it.response_type = ResponseType::Cors);
        AttemptEvent::Head { head, request_headers: None, address: None, retry_after, multiplexes }
    }

    fn fail(&mut self, kind: FaultKind) -> (Vec<AttemptEvent>, Option<Duration>) {
        let stored = self.stored();
        self.phase = Phase::Over;
        let fault = Fault { kind, sent: stored.is_some(), message: format!("{kind:?}") };
        (vec![AttemptEvent::Ended { stored, end: AttemptEnd::Failed(fault) }], None)
    }

    /// Obeys a command: what it reports, and after which time it continues.
    pub(crate) fn obey(
        &mut self,
        command: AttemptCommand,
    ) -> (Vec<AttemptEvent>, Option<Duration>) {
        let soon = Some(Duration::from_nanos(self.rng.u64(1_000_000..50_000_000)));
        match (command, self.phase) {
            (_, Phase::Over) => (Vec::new(), None),
            (AttemptCommand::Cancel, _) => {
                let stored = self.stored();
                self.phase = Phase::Over;
                (vec![AttemptEvent::Ended { stored, end: AttemptEnd::Cancelled }], None)
            }
            (AttemptCommand::TakeSlot, Phase::AwaitingSlot) => {
                self.phase = Phase::Requesting;
                (Vec::new(), soon)
            }
            (AttemptCommand::Receive { offset, grant, .. }, Phase::Judged) => {
                let drips = self.endless || self.rng.u8(..) < 32;
                let end = if drips { u64::MAX } else { offset + self.rng.u64(0..10_000) };
                self.phase = Phase::Receiving { stored: offset, end, grant };
                (Vec::new(), soon)
            }
            (AttemptCommand::Grant(grant), Phase::HeldBack { stored, end }) => {
                self.phase = Phase::Receiving { stored, end, grant };
                (Vec::new(), soon)
            }
            (AttemptCommand::Grant(to), Phase::Receiving { stored, end, grant }) => {
                self.phase = Phase::Receiving { stored, end, grant: grant.max(to) };
                (Vec::new(), None)
            }
            (AttemptCommand::RecallGrant, Phase::Receiving { stored, end, .. }) => {
                self.phase = Phase::Receiving { stored, end, grant: stored };
                (vec![AttemptEvent::GrantReturned(stored)], None)
            }
            (AttemptCommand::RecallGrant, Phase::HeldBack { stored, .. }) => {
                (vec![AttemptEvent::GrantReturned(stored)], None)
            }
            (command, phase) => panic!("{command:?} in {phase:?}"),
        }
    }

    fn stored(&self) -> Option<u64> {
        match self.phase {
            Phase::Receiving { stored, .. } | Phase::HeldBack { stored, .. } => Some(stored),
            _ => None,
        }
    }
}
