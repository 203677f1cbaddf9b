//! The spec's [background fetch
//! record](https://wicg.github.io/background-fetch/#background-fetch-record-concept) and its states
//! while it is completed.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::net::IpAddr;
use core::time::Duration;

use crate::action::PauseReason;
use crate::algorithms::extract_content_range_values::ContentRange;
use crate::attempt::{AttemptEnd, Resume};
use crate::complete::process_response::RestartReason;
use crate::complete::retry::Retry;
use crate::ids::AttemptId;
use crate::ip_address_space::IpAddressSpace;
use crate::metadata;
use crate::request::Request;
use crate::response::{RecordResult, ResponseData, ResponseHead};
use crate::source::Source;
use crate::store_op::StoredRecord;
use crate::time::Instant;
use crate::validator::strong_validator;
use crate::vary::HashKey;

/// A background fetch record.
#[derive(Debug)]
pub struct Record {
    pub(crate) request: Arc<Request>,
    pub(crate) data: ResponseData,
    /// The head of the response; only while an attempt is running, and only if it needs it.
    pub(crate) head: Option<Arc<ResponseHead>>,
    pub(crate) uploaded: u64,
    pub(crate) state: RecordState,
    pub(crate) retry: Retry,
    /// How often it started again from byte 0.
    pub(crate) restarts: u32,
    /// The most bytes that were ever stored. Only bytes beyond it are progress; otherwise a server
    /// could keep a restarting record alive for ever.
    pub(crate) high_water: u64,
    /// The stored bytes cannot be continued; they stay readable until another response arrives.
    pub(crate) from_scratch: bool,
    /// The store is opening a representation whose head has this size; until that is done, the
    /// stored bytes are those of the old one.
    pub(crate) opening: Option<u64>,
    /// The text of the request's row in the store.
    request_size: u64,
    /// The last attempt found no route to the server, and there has been no default route since.
    /// Until the server answers, the record is reported as waiting for the network.
    pub(crate) no_route: bool,
    /// Every byte was received: the remaining work needs no request.
    pub(crate) whole: bool,
    /// A content coding once prevented a resume, so coded responses are no longer requested (D4).
    pub(crate) identity: bool,
}

/// What a record waits for.
#[derive(Debug)]
pub(crate) enum RecordState {
    /// The caller of `fetch()` to be ready (D13).
    Held,
    /// The reason to pause to go away.
    Waiting(PauseReason),
    /// The timer of the back-off.
    BackingOff,
    /// A slot from the scheduler, since this instant.
    Queued(Instant),
    /// The store, before a request that must not be sent twice is sent. Holds a slot.
    BeginningUpload,
    /// The store, to read the head of the response that the next attempt is to continue. Holds a
    /// slot.
    LoadingHead,
    /// An attempt. Usually holds a slot.
    Attempting(Attempt),
    /// The store, to open the representation for an attempt that has ended since. Until then
    /// nothing is known about the stored bytes. Holds a slot, so that few heads wait for the store.
    Ended(Attempt, AttemptEnd),
    /// The shell, to compare the whole body with the request's integrity metadata.
    Verifying,
    /// Nothing: the record ended.
    Settled(RecordResult),
}

/// An attempt.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) id: AttemptId,
    pub(crate) resume: Option<Resume>,
    /// Whether the response may be an answer to a range of ours. It is not if the request to its
    /// URL was sent without one.
    pub(crate) asked_for_part: bool,
    /// The address that its response comes from, if that is known.
    pub(crate) address: Option<IpAddr>,
    pub(crate) phase: Phase,
    /// The range of the response, if it is a part.
    pub(crate) part: Option<ContentRange>,
    /// The offset up to which it may store.
    pub(crate) grant: u64,
}

/// What an attempt waits for.
#[derive(Debug)]
pub(crate) enum Phase {
    /// The response's head. Holds a slot, as every phase does unless it says otherwise.
    Head,
    /// The name of a host, which is being looked up. Holds no slot.
    LookUp,
    /// The embedder, to say whether the page may access a network of this space, since this instant.
    /// Holds no slot.
    Permission(IpAddressSpace, Instant),
    /// The scheduler, to give it a slot again, since this instant. Holds no slot.
    Slot(Instant),
    /// Its turn to set aside what its head takes in the store.
    HeadQuota(Box<ResponseHead>),
    /// The store, to open the representation.
    Generation,
    /// The body.
    Body,
    /// The embedder, to report the site's quota.
    Quota,
    /// Its turn for a grant: the site's other attempts return what they do not use.
    Grant,
    /// Its own end, after it was cancelled; with what follows then.
    Stop(Then),
}

/// What follows the end of a cancelled attempt.
#[derive(Debug)]
pub(crate) enum Then {
    /// Wait until the reason to pause is gone.
    Wait,
    /// Try again after a delay.
    Retry(Duration, String),
    /// Try again from byte 0.
    Restart(RestartReason),
    /// Continue as with a complete body.
    Complete,
    /// End with this result.
    Settle(RecordResult, Option<String>),
}

impl Record {
    /// A record in its initial state.
    pub(crate) fn new(request: Arc<Request>) -> Self {
        let has_integrity = !request.integrity.is_empty();
        Self {
            request_size: metadata::of_request(&request),
            request,
            data: ResponseData { has_integrity, ..ResponseData::default() },
            head: None,
            uploaded: 0,
            state: RecordState::Held,
            retry: Retry::default(),
            restarts: 0,
            high_water: 0,
            from_scratch: false,
            opening: None,
            no_route: false,
            whole: false,
            identity: false,
        }
    }

    /// A record as the store has it.
    pub(crate) fn restored(stored: StoredRecord) -> Self {
        let mut record = Self::new(stored.request);
        record.data = ResponseData {
            generation: stored.generation,
            response: stored.response,
            stored: stored.stored,
            result: stored.result,
            ..record.data
        };
        record.uploaded = stored.uploaded;
        record.high_water = stored.stored;
        record.retry.head_seen = record.data.response.is_some();
        if let Some(result) = stored.result {
            record.state = RecordState::Settled(result);
        }
        record
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &Arc<Request> {
        &self.request
    }

    /// The response data.
    #[must_use]
    pub fn response_data(&self) -> &ResponseData {
        &self.data
    }

    /// How many bytes of the request body were sent.
    #[must_use]
    pub fn uploaded(&self) -> u64 {
        self.uploaded
    }

    /// Whether an attempt is running.
    #[must_use]
    pub fn is_in_flight(&self) -> bool {
        self.attempt().is_some()
    }

    /// Whether an attempt is running that neither waits for a slot nor was told to stop.
    pub(crate) fn is_running(&self) -> bool {
        match &self.state {
            RecordState::Attempting(attempt) => {
                !matches!(attempt.phase, Phase::Slot(_) | Phase::Stop(_))
            }
            _ => false,
        }
    }

    /// Why the record makes no progress, as reported to users and observers.
    pub(crate) fn pause_reason(&self) -> Option<PauseReason> {
        match self.state {
            RecordState::Waiting(reason) => Some(reason),
            RecordState::Settled(_) => None,
            _ => self.no_route.then_some(PauseReason::Offline),
        }
    }

    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.state, RecordState::Settled(_))
    }

    pub(crate) fn attempt(&self) -> Option<&Attempt> {
        match &self.state {
            RecordState::Attempting(attempt) | RecordState::Ended(attempt, _) => Some(attempt),
            _ => None,
        }
    }

    pub(crate) fn attempt_mut(&mut self) -> Option<&mut Attempt> {
        match &mut self.state {
            RecordState::Attempting(attempt) | RecordState::Ended(attempt, _) => Some(attempt),
            _ => None,
        }
    }

    /// The bytes that the fetch's budget counts for the record.
    pub(crate) fn claim(&self) -> u64 {
        self.attempt().map_or(0, |attempt| attempt.grant).max(self.data.stored)
    }

    /// What its row takes in the store. While a head is being stored, the larger one counts.
    pub(crate) fn metadata(&self) -> u64 {
        let stored = self.data.response.map_or(0, |head| head.size);
        self.metadata_with(stored.max(self.opening.unwrap_or(0)))
    }

    /// What its row takes in the store with a head of this size.
    pub(crate) fn metadata_with(&self, head: u64) -> u64 {
        metadata::row(self.request_size) + head
    }

    /// What its request takes in memory.
    pub(crate) fn memory(&self) -> u64 {
        metadata::memory(self.request_size)
    }

    /// How to request only the missing bytes, or none if the whole must be requested (D4, D6, D9).
    /// `key` is that of the stored hashes.
    pub(crate) fn resume(&self, key: HashKey) -> Option<Resume> {
        let head = self.head.as_ref().filter(|_| self.is_resumable())?;
        let source = Source::new(Arc::clone(head), key);
        Some(Resume { start: self.data.stored, if_range: strong_validator(head)?, source })
    }

    /// Whether only the missing bytes can be requested.
    pub(crate) fn is_resumable(&self) -> bool {
        self.data.stored > 0
            && self.request.is_get()
            && !self.request.has_own_range()
            && !self.from_scratch
            && self.data.response.is_some_and(|head| head.is_ok() && head.resumable)
    }

    /// Whether the next attempt needs the head of the stored response.
    pub(crate) fn needs_head(&self) -> bool {
        self.data.response.is_some_and(|head| head.is_ok()) && self.data.stored > 0
    }

    /// Whether every byte is stored, as found by an attempt or known from the response's head (D8).
    pub(crate) fn has_everything(&self) -> bool {
        let announced = self.request.is_get()
            && !self.from_scratch
            && self
                .data
                .response
                .is_some_and(|head| head.is_ok() && head.announced == Some(self.data.stored));
        announced || self.whole
    }

    /// The final length of the stored body, if the response's head says it.
    #[must_use]
    pub fn announced_length(&self) -> Option<u64> {
        self.data.response?.announced
    }
}
