//! What the world knows of a fetch: what was asked for, what servers did, and what the engine told.

use std::collections::BTreeMap;
use std::time::Duration;

use bgfetch::{FailureReason, FetchKey, RecordResult};

use super::plan::{Call, Integrity, Plan, Wanted};

/// How a fetch settled.
pub(crate) type FetchResult = Result<(), FailureReason>;

/// A fetch, from the call on.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) call: Call,
    pub(crate) key: Option<FetchKey>,
    /// The promise of `fetch()` was resolved, or somebody saw the fetch.
    pub(crate) promised: bool,
    /// Somebody may have aborted it.
    pub(crate) abort_asked: bool,
    /// `abort()` was true.
    pub(crate) aborted: bool,
    /// What the user was told last of the pause, and when.
    pub(crate) paused: Option<(bool, Duration)>,
    pub(crate) result: Option<FetchResult>,
    /// The title that the UI shows, unless it is being updated.
    pub(crate) title: Option<String>,
    /// The life in which the worker asked to hold the records, and whether they are held.
    pub(crate) holds: Option<usize>,
    pub(crate) is_held: bool,
    /// Its end was asked for by dismissing it or unregistering, and may have been told.
    pub(crate) may_be_gone: bool,
    pub(crate) gone: bool,
    /// In which lives its event was handled.
    pub(crate) handled: Vec<usize>,
    /// The end of its event was told.
    pub(crate) over: bool,
    /// The progress that was told, and when, in this life.
    pub(crate) progress: Vec<(Duration, u64)>,
    pub(crate) records: Vec<Record>,
    /// How often a record's bytes were replaced by those of another response, and when the last
    /// time.
    pub(crate) replacements: u32,
    pub(crate) replaced_at: Option<Duration>,
    pub(crate) viewers: BTreeMap<String, Seen>,
    /// The records that were exported, and those of them that were told to be saved.
    pub(crate) exported: Vec<usize>,
    pub(crate) saved: Vec<usize>,
}

/// What a viewer saw last of the progress, in this life.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) downloaded: u64,
    pub(crate) uploaded: u64,
    /// How often the downloaded bytes became fewer.
    pub(crate) drops: u32,
    pub(crate) result: Option<FetchResult>,
}

/// What servers did to a record, and what was told of it.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) attempts: u32,
    pub(crate) in_flight: u32,
    /// When the last attempt ended.
    pub(crate) landed_at: Duration,
    /// Failures that may pass, and responses that say so.
    pub(crate) failures: u32,
    pub(crate) busy: u32,
    /// A failure that does not pass.
    pub(crate) permanent: bool,
    /// A status that is not ok, and that stands.
    pub(crate) bad_status: bool,
    /// Responses that began a representation, and answers to a range that were not usable.
    pub(crate) heads: u32,
    pub(crate) refusals: u32,
    /// More bytes than announced.
    pub(crate) too_long: bool,
    /// Bytes of a body were sent, or may have been adopted.
    pub(crate) served: bool,
    /// How often an upload has left.
    pub(crate) left: u32,
    /// An upload was on its way when the process ended, or may have been.
    pub(crate) cut_off: bool,
    /// While it surely waits for a retry, an upload is not on its way.
    pub(crate) quiet: Option<(Duration, Duration)>,
    pub(crate) result: Option<RecordResult>,
    /// How long the body is that is held, and whether another fetch may have adopted it.
    pub(crate) length: u64,
    pub(crate) given_away: bool,
}

impl Facts {
    pub(crate) fn new(call: Call) -> Self {
        let records = call.records.iter().map(|_| Record::default()).collect();
        Self {
            call,
            key: None,
            promised: false,
            abort_asked: false,
            aborted: false,
            paused: None,
            result: None,
            title: Some(String::new()),
            holds: None,
            is_held: false,
            may_be_gone: false,
            gone: false,
            handled: Vec::new(),
            over: false,
            progress: Vec::new(),
            records,
            replacements: 0,
            replaced_at: None,
            viewers: BTreeMap::new(),
            exported: Vec::new(),
            saved: Vec::new(),
        }
    }

    /// The downloaded bytes that were told by then.
    pub(crate) fn downloaded_by(&self, then: Duration) -> u64 {
        let told = self.progress.iter().rev().find(|(at, _)| *at <= then);
        told.map_or(0, |(_, downloaded)| *downloaded)
    }

    /// Whether the fetch may have settled in this way, after what happened.
    pub(crate) fn may_settle(&self, plan: &Plan, result: FetchResult) -> Result<(), String> {
        let right = match result {
            Ok(()) => {
                let hopeless = |(wanted, record): (&Wanted, &Record)| {
                    record.may_succeed(plan, wanted).is_err()
                };
                !self.call.records.iter().zip(&self.records).any(hopeless)
            }
            Err(FailureReason::Aborted) => self.abort_asked,
            Err(FailureReason::QuotaExceeded) => {
                let site = &plan.sites[self.call.site];
                site.quota < site.needs
            }
            Err(FailureReason::DownloadTotalExceeded) => {
                let total = self.call.download_total;
                total > 0 && total < self.most(plan)
            }
            Err(reason) => {
                let fails = |(index, wanted): (usize, &Wanted)| {
                    self.records[index].may_fail(plan, self.call.site, wanted, reason)
                };
                self.call.records.iter().enumerate().any(fails)
            }
        };
        if right { Ok(()) } else { Err(format!("nothing that happened gives {result:?}")) }
    }

    fn most(&self, plan: &Plan) -> u64 {
        let most = |wanted: &Wanted| plan.resources[wanted.resource()].length + 2000;
        self.call.records.iter().map(most).sum()
    }

    /// Whether the record may have ended in this way, after what happened.
    pub(crate) fn may_end(
        &self,
        plan: &Plan,
        index: usize,
        result: RecordResult,
    ) -> Result<(), String> {
        let (wanted, record) = (&self.call.records[index], &self.records[index]);
        let reason = match result {
            RecordResult::Success => return record.may_succeed(plan, wanted),
            RecordResult::Failure(reason) => reason,
        };
        let right = match reason {
            // Also because a limit of the whole fetch was reached.
            FailureReason::Aborted => {
                let limits = [FailureReason::QuotaExceeded, FailureReason::DownloadTotalExceeded];
                self.abort_asked
                    || limits.into_iter().any(|limit| self.may_settle(plan, Err(limit)).is_ok())
            }
            FailureReason::BadStatus | FailureReason::FetchError => {
                record.may_fail(plan, self.call.site, wanted, reason)
            }
            limit => return self.may_settle(plan, Err(limit)),
        };
        if right {
            Ok(())
        } else {
            Err(format!("nothing that happened gives {reason:?}: {record:?}"))
        }
    }
}

impl Record {
    fn may_succeed(&self, plan: &Plan, wanted: &Wanted) -> Result<(), String> {
        let resource = &plan.resources[wanted.resource()];
        let never = match wanted {
            Wanted::Upload { .. } => self.left == 0,
            Wanted::Download { integrity, .. } => {
                resource.missing || resource.untrusted || *integrity == Integrity::Wrong
            }
        };
        if never { Err(format!("a record cannot have succeeded: {self:?}")) } else { Ok(()) }
    }

    /// The response stands after one retry at least, which may be the last of too many in a row. Three
    /// servers that are silent for a minute each, and a long `Retry-After`, use up the time for more.
    fn is_too_busy(&self) -> bool {
        self.busy >= 2 || self.busy == 1 && self.failures >= 3
    }

    fn may_fail(&self, plan: &Plan, site: usize, wanted: &Wanted, reason: FailureReason) -> bool {
        // One failure that may pass is always followed by another try.
        let worn_out = self.failures >= 2;
        match (reason, wanted) {
            (FailureReason::BadStatus, Wanted::Upload { .. }) => self.bad_status,
            (FailureReason::BadStatus, _) => self.bad_status || self.is_too_busy(),
            (_, Wanted::Upload { .. }) => {
                self.left > 0 || self.cut_off || self.permanent || worn_out
            }
            (_, Wanted::Download { resource, integrity, .. }) => {
                let resource = &plan.resources[*resource];
                let changed = plan.faults.changes || resource.moves || resource.personal;
                let mismatch = match integrity {
                    Integrity::None => false,
                    Integrity::Right => changed || self.heads > 1 || self.bad_status,
                    Integrity::Wrong => true,
                };
                // Bytes that a user has are not replaced by an error.
                let kept = plan.sites[site].for_user && (self.bad_status || self.is_too_busy());
                self.permanent
                    || worn_out
                    || self.heads + self.refusals > 8
                    || self.too_long
                    || mismatch
                    || kept
            }
        }
    }
}
