//! A simulated attempt with one mailbox for commands and one for reports, so that tests can try
//! every way in which the two cross.

use std::collections::VecDeque;
use std::sync::Arc;

use bgfetch_model::attempt::{AttemptCommand, AttemptEnd, AttemptEvent, AttemptSpec, FaultKind};
use bgfetch_model::ids::{BodyKey, HostKey, RecordKey};
use bgfetch_model::ip_address_space::IpAddressSpace;
use bgfetch_model::request::Request;

use super::origin::{Answer, BodyEnd, Name, Origin, fault};
use super::store::Store;

#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) record: RecordKey,
    pub(crate) request: Arc<Request>,
    pub(crate) spec: AttemptSpec,
    pub(crate) commands: VecDeque<AttemptCommand>,
    pub(crate) reports: VecDeque<AttemptEvent>,
    /// How many bytes are written at a time.
    pub(crate) chunk: u64,
    /// Whether a byte of the request may have been sent.
    pub(crate) sent: bool,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    LookingUp(Option<Name>),
    AwaitingSlot,
    Connecting { uploaded: u64 },
    Judged(Answer),
    Receiving(Receiving),
    Over,
}

#[derive(Debug)]
struct Receiving {
    answer: Answer,
    body: BodyKey,
    /// How many bytes of this response were written.
    taken: u64,
    stored: u64,
    grant: u64,
    /// Whether a grant was requested and has not arrived.
    held_back: bool,
}

impl Attempt {
    pub(crate) fn new(
        record: RecordKey,
        request: Arc<Request>,
        spec: AttemptSpec,
        chunk: u64,
    ) -> Self {
        Self {
            record,
            request,
            spec,
            commands: VecDeque::new(),
            reports: VecDeque::new(),
            chunk,
            sent: false,
            phase: Phase::LookingUp(None),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    pub(crate) fn is_held_back(&self) -> bool {
        matches!(&self.phase, Phase::Receiving(receiving) if receiving.held_back)
    }

    pub(crate) fn has_reports(&self) -> bool {
        !self.reports.is_empty()
    }

    /// Whether it can do something now.
    pub(crate) fn can_work(&self, network: bool) -> bool {
        let by_itself = match &self.phase {
            Phase::LookingUp(name) => !network || *name != Some(Name::Dead),
            Phase::AwaitingSlot => !network,
            Phase::Connecting { .. } => true,
            Phase::Judged(answer) => answer.end == BodyEnd::LoseHead,
            Phase::Receiving(receiving) => {
                !network || !(receiving.held_back || receiving.is_stalled())
            }
            Phase::Over => false,
        };
        !self.is_over() && (by_itself || !self.commands.is_empty())
    }

    /// Obeys the next command, or continues by itself if there is none.
    pub(crate) fn work(&mut self, origin: &mut Origin, store: &mut Store, network: bool) {
        if !store.fetches.contains_key(&self.record.fetch) {
            // Its files were deleted while it was running.
            return self.end(AttemptEnd::Failed(fault(FaultKind::Storage, self.sent)));
        }
        if let Some(command) = self.commands.pop_front() {
            return self.obey(command, store);
        }
        let is_known = origin.name(&self.request) == Name::Known;
        if matches!(self.phase, Phase::LookingUp(None)) && network && is_known {
            self.phase = Phase::Connecting { uploaded: 0 };
        }
        match &mut self.phase {
            Phase::Over => {}
            _ if !network => {
                let kind = match self.phase {
                    Phase::LookingUp(_) => FaultKind::NoRoute,
                    Phase::AwaitingSlot | Phase::Connecting { uploaded: 0 } => {
                        FaultKind::Unreachable
                    }
                    _ => FaultKind::Interrupted,
                };
                self.end(AttemptEnd::Failed(fault(kind, self.sent)));
            }
            Phase::LookingUp(None) if origin.name(&self.request) == Name::Nearby => {
                let (url, space) = (self.request.url.clone(), IpAddressSpace::Local);
                self.reports.push_back(AttemptEvent::NeedPermission { url, space });
                self.phase = Phase::AwaitingSlot;
            }
            Phase::LookingUp(looked_up @ None) => {
                *looked_up = Some(origin.name(&self.request));
                self.reports.push_back(AttemptEvent::LookUp(HostKey::of(&self.request.url)));
            }
            Phase::LookingUp(Some(_)) => {
                self.reports.push_back(AttemptEvent::NeedSlot);
                self.phase = Phase::AwaitingSlot;
            }
            Phase::AwaitingSlot => {}
            Phase::Connecting { uploaded } => {
                let length = self.request.body_length.unwrap_or(0);
                if *uploaded < length {
                    *uploaded += (length - *uploaded).min(self.chunk);
                    self.sent = true;
                    self.reports.push_back(AttemptEvent::Uploaded(*uploaded));
                    return;
                }
                match origin.respond(&self.request, &self.spec) {
                    Ok(answer) => {
                        self.sent = true;
                        let (head, retry_after) = (answer.head.clone(), answer.retry_after);
                        let request_headers = answer.request_headers.clone();
                        let multiplexes = false;
                        self.reports.push_back(AttemptEvent::Head {
                            head,
                            request_headers,
                            address: answer.address,
                            retry_after,
                            multiplexes,
                        });
                        self.phase = Phase::Judged(answer);
                    }
                    Err(mut fault) => {
                        fault.sent |= self.sent;
                        self.sent = fault.sent;
                        self.end(AttemptEnd::Failed(fault));
                    }
                }
            }
            Phase::Judged(_) => self.end(AttemptEnd::Failed(fault(FaultKind::Interrupted, true))),
            Phase::Receiving(_) => self.receive(store),
        }
    }

    fn obey(&mut self, command: AttemptCommand, store: &mut Store) {
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        self.phase = match (command, phase) {
            (AttemptCommand::Receive { body, offset, grant }, Phase::Judged(answer)) => {
                let generation = store.record(self.record).generation;
                assert_eq!(body, BodyKey { record: self.record, generation });
                assert_eq!(store.length(self.record), offset, "bytes would be lost or repeated");
                Phase::Receiving(Receiving {
                    answer,
                    body,
                    taken: 0,
                    stored: offset,
                    grant,
                    held_back: false,
                })
            }
            (AttemptCommand::TakeSlot, Phase::AwaitingSlot) => Phase::Connecting { uploaded: 0 },
            (AttemptCommand::TakeSlot, phase) => panic!("given a slot in {phase:?}"),
            (AttemptCommand::Receive { .. }, phase) => panic!("told to receive in {phase:?}"),
            (AttemptCommand::Cancel, phase) => {
                self.phase = phase;
                return self.end(AttemptEnd::Cancelled);
            }
            (AttemptCommand::Grant(to), Phase::Receiving(mut receiving)) => {
                receiving.grant = receiving.grant.max(to);
                receiving.held_back &= receiving.grant == receiving.stored;
                self.phase = Phase::Receiving(receiving);
                // Waiting bytes are written before the next command is read.
                if self.can_work(true) {
                    self.receive(store);
                }
                return;
            }
            (AttemptCommand::RecallGrant, Phase::Receiving(mut receiving)) => {
                receiving.grant = receiving.stored;
                self.reports.push_back(AttemptEvent::GrantReturned(receiving.stored));
                Phase::Receiving(receiving)
            }
            (AttemptCommand::Grant(_) | AttemptCommand::RecallGrant, phase) => {
                panic!("{command:?} in {phase:?}")
            }
        };
    }

    fn receive(&mut self, store: &mut Store) {
        let Phase::Receiving(receiving) = &mut self.phase else {
            return;
        };
        let available = receiving.available();
        if available == 0 {
            let end = match receiving.answer.end {
                BodyEnd::Complete => AttemptEnd::Complete,
                BodyEnd::DiskFull(_) => AttemptEnd::Failed(fault(FaultKind::Storage, true)),
                _ => AttemptEnd::Failed(fault(FaultKind::Interrupted, true)),
            };
            return self.end(end);
        }
        let count = available.min(self.chunk).min(receiving.grant - receiving.stored);
        if count == 0 {
            receiving.held_back = true;
            self.reports.push_back(AttemptEvent::NeedGrant(receiving.stored));
            return;
        }
        let first = receiving.answer.first + receiving.taken;
        store.write(receiving.body, receiving.answer.representation, first, count);
        receiving.taken += count;
        receiving.stored += count;
        self.reports.push_back(AttemptEvent::Progress(receiving.stored));
    }

    fn end(&mut self, end: AttemptEnd) {
        let stored = match &self.phase {
            Phase::Receiving(receiving) => Some(receiving.stored),
            _ => None,
        };
        self.reports.push_back(AttemptEvent::Ended { stored, end });
        self.phase = Phase::Over;
    }
}

impl Receiving {
    /// How many more bytes arrive before the body ends, for whatever reason.
    fn available(&self) -> u64 {
        let end = match self.answer.end {
            BodyEnd::Cut(after) | BodyEnd::Stall(after) | BodyEnd::DiskFull(after) => {
                after.min(self.answer.length)
            }
            BodyEnd::Complete | BodyEnd::LoseHead => self.answer.length,
        };
        end.saturating_sub(self.taken)
    }

    fn is_stalled(&self) -> bool {
        matches!(self.answer.end, BodyEnd::Stall(_)) && self.available() == 0
    }
}
