//! [Complete a record](https://wicg.github.io/background-fetch/#complete-a-record-algorithm): from
//! waiting for a slot to the end, with as many attempts as necessary.
//!
//! The spec's algorithm waits in the middle of its steps. Here each wait is a `RecordState` or a
//! `Phase`, and each function below is what happens between two waits. Steps 11.2.2 to 11.2.4
//! (judging a response) are in `complete/process_response.rs`, the steps after the end of an
//! attempt in `complete/attempt_ended.rs`, the grants of bytes in `complete/grants.rs`, and what
//! happens to records that must not be fetched now in `complete/pauses.rs`.
//!
//! The spec's step 11 has two lists of steps without numbers of their own. Here the one of process
//! request body is 11.1, and that of process response 11.2.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::time::Duration;

use crate::action::{Action, What};
use crate::attempt::{AttemptCommand, AttemptEvent, AttemptSpec};
use crate::background_fetch::BackgroundFetch;
use crate::budget::Claimant;
use crate::complete::attempt_ended::too_many_restarts;
use crate::complete::process_response::{
    RestartReason, Verdict, process_response, reason_to_replace,
};
use crate::connectivity::Connectivity;
use crate::context::{Context, Effect};
use crate::ids::{AttemptId, BodyKey, Generation, HostKey, RecordIndex};
use crate::metadata;
use crate::record::{Attempt, Phase, Record, RecordState, Then};
use crate::response::{FailureReason, HeadSummary, RecordResult, ResponseHead};
use crate::store_op::{StoreOp, Sync};
use crate::timers::Timer;
use crate::vary::SelectingHeaders;

impl BackgroundFetch {
    /// The start of the algorithm, also where it calls itself: the record waits for a slot.
    pub(crate) fn complete_a_record(&mut self, ctx: &mut Context, index: RecordIndex) {
        ctx.timers.clear(Timer::Retry(self.record_key(index)));
        if !matches!(ctx.connectivity, Connectivity::Offline(_)) {
            self.change(index, |record| record.no_route = false);
        }
        // Step 3, wait for the paused flag to be unset, and for the network to be available.
        if let Some(reason) = self.reason_to_wait(ctx, index) {
            self.wait(index, reason);
            return;
        }
        // D8: a download that already has every byte needs no request.
        if self.record(index).is_some_and(Record::has_everything) {
            return self.body_stored(ctx, index);
        }
        self.set_state(index, RecordState::Queued(ctx.now.monotonic));
        self.enqueue(ctx, index);
    }

    /// Asks the scheduler for a slot.
    pub(crate) fn enqueue(&self, ctx: &mut Context, index: RecordIndex) {
        let Some(host) = self.record(index).map(|record| HostKey::of(&record.request.url)) else {
            return;
        };
        let (record, fetch) = (self.record_key(index), Arc::clone(&self.info));
        ctx.act(Action::Enqueue { record, fetch, host });
    }

    /// Step 14.2, the record ends with this result, whatever it was waiting for. Does nothing if it
    /// has ended.
    pub(crate) fn end_record(
        &mut self,
        ctx: &mut Context,
        index: RecordIndex,
        result: RecordResult,
        message: Option<&str>,
    ) {
        let (key, message) = (self.record_key(index), message.map(String::from));
        match self.record(index).map(|record| &record.state) {
            None | Some(RecordState::Settled(_)) => return,
            // Step 14.4, terminate the ongoing fetch; its end settles the record.
            Some(RecordState::Attempting(_) | RecordState::Ended(..)) => {
                self.stop_attempt(ctx, index, Then::Settle(result, message));
                return;
            }
            Some(RecordState::Queued(_)) => ctx.act(Action::Withdraw(key)),
            Some(RecordState::BeginningUpload | RecordState::LoadingHead) => {
                ctx.act(Action::ReleaseSlot(key));
            }
            Some(
                RecordState::Held
                | RecordState::Waiting(_)
                | RecordState::BackingOff
                | RecordState::Verifying,
            ) => {}
        }
        ctx.timers.clear(Timer::Retry(key));
        self.settle_record(ctx, index, result, message);
    }

    /// The scheduler grants the record a slot: it starts, or its attempt continues.
    pub(crate) fn slot_granted(&mut self, ctx: &mut Context, index: RecordIndex) {
        let (key, now) = (self.record_key(index), ctx.now.monotonic);
        match self.record(index).map(|record| &record.state) {
            Some(&RecordState::Queued(since)) => {
                let is_get = self.change(index, |record| {
                    record.retry.queued(now.since(since));
                    record.request.is_get()
                });
                if is_get == Some(true) {
                    self.load_head(ctx, index);
                } else {
                    // D25: after a crash this mark says that the request may have left.
                    self.set_state(index, RecordState::BeginningUpload);
                    ctx.store(StoreOp::BeginUpload(key));
                    ctx.after_commit(Effect::UploadBegun(key));
                }
            }
            Some(RecordState::Attempting(attempt)) => {
                // An attempt that was told to stop gives the slot back when it ends.
                if let Phase::Slot(since) = attempt.phase {
                    self.change(index, |record| record.retry.queued(now.since(since)));
                    self.with_attempt(index, |attempt| attempt.phase = Phase::Head);
                    self.command(ctx, index, AttemptCommand::TakeSlot);
                }
            }
            _ => ctx.act(Action::ReleaseSlot(key)),
        }
    }

    /// The mark of an upload is durable.
    pub(crate) fn upload_begun(&mut self, ctx: &mut Context, index: RecordIndex) {
        if !matches!(
            self.record(index).map(|record| &record.state),
            Some(RecordState::BeginningUpload)
        ) {
            return;
        }
        if self.reason_to_wait(ctx, index).is_some() {
            // D16: a reason to pause that came up meanwhile holds back the start.
            ctx.act(Action::ReleaseSlot(self.record_key(index)));
            self.nothing_was_sent(ctx, index);
            self.complete_a_record(ctx, index);
        } else {
            self.load_head(ctx, index);
        }
    }

    /// Reads the head of the response that the attempt is to continue, if there is one.
    fn load_head(&mut self, ctx: &mut Context, index: RecordIndex) {
        if self.record(index).is_some_and(Record::needs_head) {
            self.set_state(index, RecordState::LoadingHead);
            ctx.act(Action::LoadHead(self.record_key(index)));
        } else {
            self.start_attempt(ctx, index, None);
        }
    }

    /// The store read the head.
    pub(crate) fn head_loaded(
        &mut self,
        ctx: &mut Context,
        index: RecordIndex,
        head: Option<Arc<ResponseHead>>,
    ) {
        if !matches!(self.record(index).map(|record| &record.state), Some(RecordState::LoadingHead))
        {
            return;
        }
        if self.reason_to_wait(ctx, index).is_some() {
            // As for uploads, a reason to pause that came up meanwhile holds back the start.
            ctx.act(Action::ReleaseSlot(self.record_key(index)));
            self.nothing_was_sent(ctx, index);
            self.complete_a_record(ctx, index);
        } else {
            self.start_attempt(ctx, index, head);
        }
    }

    /// An upload that was about to be sent waits again. If its mark were left, the upload would be
    /// taken for one that may have arrived, after a crash.
    pub(crate) fn nothing_was_sent(&self, ctx: &mut Context, index: RecordIndex) {
        if self.record(index).is_some_and(|record| !record.request.is_get()) {
            ctx.store(StoreOp::UndoBeginUpload(self.record_key(index)));
        }
    }

    /// Steps 4 to 10, fetch a copy of the request, starting at the range start.
    fn start_attempt(
        &mut self,
        ctx: &mut Context,
        index: RecordIndex,
        head: Option<Arc<ResponseHead>>,
    ) {
        let key = self.record_key(index);
        let (id, hash_key) = (ctx.new_attempt(key), ctx.hash_key);
        let started = self.change(index, |record| {
            record.head = head;
            // D4: coded bytes can't be continued, so ask for the next ones uncoded.
            record.identity |= record.head.as_deref().is_some_and(|head| head.is_content_coded());
            // Steps 7-8, ask only for the missing bytes where that is safe.
            let spec = AttemptSpec { resume: record.resume(hash_key), identity: record.identity };
            record.state = RecordState::Attempting(Attempt {
                id,
                resume: spec.resume.clone(),
                asked_for_part: spec.resume.is_some(),
                address: None,
                phase: Phase::Head,
                part: None,
                grant: 0,
            });
            (Arc::clone(&record.request), spec)
        });
        if let Some((request, spec)) = started {
            let fetch = Arc::clone(&self.info);
            ctx.act(Action::StartAttempt { attempt: id, record: key, fetch, request, spec });
        }
    }

    /// Step 11, a running attempt reports something.
    pub(crate) fn attempt_event(
        &mut self,
        ctx: &mut Context,
        index: RecordIndex,
        id: AttemptId,
        event: AttemptEvent,
    ) {
        if self.record(index).and_then(|record| record.attempt()).is_none_or(|a| a.id != id) {
            return;
        }
        match event {
            // Step 11.1, process request body: each byte counts once (D26).
            AttemptEvent::Uploaded(bytes) => {
                self.change(index, |record| record.uploaded = record.uploaded.max(bytes));
                self.update_instances(ctx);
            }
            AttemptEvent::LookUp(host) => {
                if self.leave_phase(index, |phase| matches!(phase, Phase::Head), Phase::LookUp) {
                    ctx.act(Action::LeaveSlot(self.record_key(index), host));
                }
            }
            AttemptEvent::NeedSlot => {
                let slot = Phase::Slot(ctx.now.monotonic);
                if self.leave_phase(index, |phase| matches!(phase, Phase::LookUp), slot) {
                    self.enqueue(ctx, index);
                }
            }
            AttemptEvent::NeedPermission { url, space } => {
                self.need_permission(ctx, index, id, url, space);
            }
            AttemptEvent::Head { mut head, request_headers, address, retry_after, multiplexes } => {
                self.with_attempt(index, |it| it.address = address);
                if let Some(url) = head.url() {
                    let (fetch, host) = (Arc::clone(&self.info), HostKey::of(url));
                    ctx.act(Action::HostAnswered { fetch, host, multiplexes });
                }
                if let Some(sent) = request_headers {
                    let selecting = SelectingHeaders::of(&ctx.hash_key, &sent, &head.headers);
                    head.selecting_headers = Some(selecting);
                    self.with_attempt(index, |it| it.asked_for_part &= sent.contains("range"));
                }
                self.process_head(ctx, index, head, retry_after);
            }
            // Step 11.2.6, bytes were stored.
            AttemptEvent::Progress(stored) => self.bytes_stored(ctx, index, stored),
            AttemptEvent::NeedGrant(stored) => {
                self.bytes_stored(ctx, index, stored);
                self.need_grant(ctx, index);
            }
            AttemptEvent::GrantReturned(stored) => {
                self.bytes_stored(ctx, index, stored);
                self.grant_returned(ctx, index);
            }
            AttemptEvent::Ended { stored, end } => {
                if let Some(stored) = stored {
                    self.bytes_stored(ctx, index, stored);
                }
                self.attempt_ended(ctx, index, end);
            }
        }
    }

    /// Moves the record's attempt to the next phase. Returns false if the attempt is in another
    /// phase, because it was told to stop.
    pub(crate) fn leave_phase(
        &mut self,
        index: RecordIndex,
        is_in: impl FnOnce(&Phase) -> bool,
        next: Phase,
    ) -> bool {
        let moved = self.with_attempt(index, |attempt| {
            let moves = is_in(&attempt.phase);
            if moves {
                attempt.phase = next;
            }
            moves
        });
        moved == Some(true)
    }

    fn bytes_stored(&mut self, ctx: &mut Context, index: RecordIndex, stored: u64) {
        let changed = self.change(index, |record| {
            let changed = stored != record.data.stored;
            record.data.stored = stored;
            if stored > record.high_water {
                record.high_water = stored;
                record.retry.succeeded();
            }
            changed
        });
        if changed == Some(true) {
            self.record_changed(ctx, index);
            self.update_instances(ctx);
        }
    }

    /// Step 11.2, process response: the head is judged before any byte of the body counts.
    fn process_head(
        &mut self,
        ctx: &mut Context,
        index: RecordIndex,
        head: ResponseHead,
        retry_after: Option<Duration>,
    ) {
        self.change(index, |record| {
            record.retry.head_seen = true;
            record.no_route = false;
        });
        let Some(verdict) = self.judge(index, &head, true) else {
            return;
        };
        if verdict != Verdict::ServerError {
            return self.obey(ctx, index, head, verdict);
        }
        let policy = &ctx.config.retry;
        let asked = retry_after.map(|asked| asked.min(policy.retry_after_cap));
        let (backoff, now) = (policy.server_error, ctx.now.monotonic);
        let mut rng = ctx.rng(&self.info, index.0);
        let delay = self.change(index, |record| record.retry.next(&backoff, asked, now, &mut rng));
        if let Some(delay) = delay.flatten() {
            let message = format!("the server answered {}", head.status);
            self.stop_attempt(ctx, index, Then::Retry(delay, message));
        } else if let Some(verdict) = self.judge(index, &head, false) {
            // D7: the record used up its retries, so this response stands.
            self.obey(ctx, index, head, verdict);
        }
    }

    /// What the head means for the record, unless its attempt was already told to stop.
    fn judge(&self, index: RecordIndex, head: &ResponseHead, may_retry: bool) -> Option<Verdict> {
        let record = self.record(index)?;
        let attempt = record.attempt().filter(|it| matches!(it.phase, Phase::Head))?;
        let resume = attempt.resume.as_ref().filter(|_| attempt.asked_for_part);
        let held = record.head.as_deref();
        Some(process_response(&record.request, self.principal(), resume, held, head, may_retry))
    }

    fn obey(
        &mut self,
        ctx: &mut Context,
        index: RecordIndex,
        head: ResponseHead,
        verdict: Verdict,
    ) {
        match verdict {
            // Already handled above.
            Verdict::ServerError => {}
            Verdict::Append(part) => {
                let offset = part.first;
                self.with_attempt(index, |attempt| attempt.part = Some(part));
                self.receive(ctx, index, offset);
            }
            Verdict::Replace(part) => {
                self.with_attempt(index, |attempt| attempt.part = part);
                let reason = self.record(index).and_then(|record| {
                    let resume = record.attempt()?.resume.as_ref()?;
                    reason_to_replace(resume, record.head.as_deref(), &head)
                });
                let restarts = self.change(index, |record| {
                    record.restarts += u32::from(reason.is_some());
                    record.restarts
                });
                match reason {
                    // D2: the record starts again if the representation changed, but not without
                    // limit.
                    Some(reason) if restarts.unwrap_or_default() > ctx.config.max_restarts => {
                        self.stop_attempt(ctx, index, too_many_restarts(reason));
                    }
                    _ => self.charge_head(ctx, index, head),
                }
            }
            Verdict::Complete => self.stop_attempt(ctx, index, Then::Complete),
            Verdict::Restart(reason) => self.stop_attempt(ctx, index, Then::Restart(reason)),
            Verdict::Unusable(message) => {
                const FETCH_ERROR: RecordResult = RecordResult::Failure(FailureReason::FetchError);
                self.stop_attempt(ctx, index, Then::Settle(FETCH_ERROR, Some(message)));
            }
        }
    }

    /// The head counts to the quota before it is stored (D12).
    fn charge_head(&mut self, ctx: &mut Context, index: RecordIndex, head: ResponseHead) {
        let size = metadata::of_head(&head);
        let free = !ctx.config.count_metadata;
        if free || self.account(ctx).has_no_queue() && self.has_room_for_head(ctx, index, size) {
            self.open_generation(ctx, index, head);
        } else {
            self.with_attempt(index, |attempt| attempt.phase = Phase::HeadQuota(Box::new(head)));
            let claimant = Claimant::Attempt(self.record_key(index));
            self.account(ctx).wait(claimant);
            self.review_grants(ctx);
        }
    }

    pub(crate) fn has_room_for_head(
        &mut self,
        ctx: &mut Context,
        index: RecordIndex,
        size: u64,
    ) -> bool {
        self.records.has_room_for_head(
            index,
            size,
            ctx.account(&self.info.registration.storage_key),
        )
    }

    /// Steps 11.2.3 and 11.2.4, the response stands for itself: its head is stored before its bytes
    /// are accepted.
    pub(crate) fn open_generation(
        &mut self,
        ctx: &mut Context,
        index: RecordIndex,
        head: ResponseHead,
    ) {
        let Some(record) = self.record(index) else {
            return;
        };
        let Some(id) = record.attempt().map(|attempt| attempt.id) else {
            return;
        };
        // Only a damaged store can run out of numbers.
        let Some(number) = record.data.generation.0.checked_add(1) else {
            return self.stop_attempt(ctx, index, too_many_restarts(RestartReason::Changed));
        };
        let generation = Generation(number);
        let body = BodyKey { record: self.record_key(index), generation };
        // DEVIATION(D27): Fetch verifies the body of an error page as well and would fail the
        // record; here a bad status is reported as such, and unverified bytes are not received.
        let keeps_bad_status =
            ctx.config.keep_bad_status_bodies && record.request.integrity.is_empty();
        let (is_ok, head) = (head.is_ok(), Arc::new(head));
        let size = metadata::of_head(&head);
        self.change(index, |record| record.opening = Some(size));
        self.count(ctx);
        ctx.store(StoreOp::OpenGeneration(body, Arc::clone(&head)));
        ctx.after_commit(Effect::GenerationOpened(id, body, head));
        if is_ok || keeps_bad_status {
            self.with_attempt(index, |attempt| attempt.phase = Phase::Generation);
        } else {
            // D10: the body of a bad status is not kept, so it need not be read.
            const BAD_STATUS: RecordResult = RecordResult::Failure(FailureReason::BadStatus);
            self.stop_attempt(ctx, index, Then::Settle(BAD_STATUS, None));
        }
    }

    /// The head of a new representation is durable.
    pub(crate) fn generation_opened(
        &mut self,
        ctx: &mut Context,
        index: RecordIndex,
        id: AttemptId,
        generation: Generation,
        head: Arc<ResponseHead>,
    ) {
        let receives = self.change(index, |record| {
            // Step 11.2.3, what was stored before is redundant from here on.
            record.data.generation = generation;
            record.data.response = Some(HeadSummary::of(&record.request, &head));
            record.head = Some(head);
            record.data.stored = 0;
            record.opening = None;
            record.from_scratch = false;
            match &record.state {
                RecordState::Attempting(attempt) => {
                    attempt.id == id && matches!(attempt.phase, Phase::Generation)
                }
                _ => false,
            }
        });
        self.record_changed(ctx, index);
        self.update_instances(ctx);
        if receives == Some(true) {
            self.receive(ctx, index, 0);
        }
        self.resume_ended_attempt(ctx, index);
    }

    /// A record ends with this result once the result is durable.
    pub(crate) fn settle_record(
        &mut self,
        ctx: &mut Context,
        index: RecordIndex,
        result: RecordResult,
        message: Option<String>,
    ) {
        let key = self.record_key(index);
        let ended = self.change(index, |record| {
            record.state = RecordState::Settled(result);
            (record.data.stored, record.uploaded, record.request.is_get())
        });
        let Some((stored, uploaded, repeatable)) = ended else {
            return;
        };
        ctx.store(StoreOp::SettleRecord { record: key, result, stored, uploaded });
        if !repeatable {
            // The request is never sent again, so a power loss must not take its result.
            ctx.sync(Sync::ResponseBody(key));
        }
        ctx.after_commit(Effect::RecordSettled(key, message));
        self.record_settled(ctx, result);
    }

    /// The record's end is durable, so script may see it.
    pub(crate) fn record_settle_committed(
        &mut self,
        ctx: &mut Context,
        index: RecordIndex,
        message: Option<String>,
    ) {
        self.change(index, |record| {
            if let RecordState::Settled(result) = record.state {
                record.data.result = Some(result);
            }
        });
        self.record_changed(ctx, index);
        if let Some(record) = self.record(index)
            && let Some(result) = record.data.result
        {
            let (url, stored) = (record.request.url.clone(), record.data.stored);
            let status = record.data.response.map(|head| head.status);
            let record = self.record_key(index);
            self.observe(ctx, What::RecordSettled { record, url, result, status, stored, message });
        }
    }

    /// Notifies the record's readers.
    fn record_changed(&self, ctx: &mut Context, index: RecordIndex) {
        if let Some(record) = self.record(index) {
            ctx.act(Action::RecordChanged(self.record_key(index), record.data));
        }
    }

    /// Tells the record's attempt to stop, and notes what follows.
    pub(crate) fn stop_attempt(&mut self, ctx: &mut Context, index: RecordIndex, then: Then) {
        let first = self.with_attempt(index, |attempt| {
            let first = !matches!(attempt.phase, Phase::Stop(_));
            // An abort overrides whatever was to follow; a pause overrides nothing.
            if first || matches!(then, Then::Settle(..)) {
                attempt.phase = Phase::Stop(then);
            }
            first
        });
        let key = self.record_key(index);
        ctx.timers.clear(Timer::LocalNetwork(key));
        self.account(ctx).leave_queue(Claimant::Attempt(key));
        if first == Some(true) {
            self.command(ctx, index, AttemptCommand::Cancel);
        }
    }

    /// Sends the record's attempt a command, unless it has ended and only waits for the store.
    pub(crate) fn command(&self, ctx: &mut Context, index: RecordIndex, command: AttemptCommand) {
        if let Some(RecordState::Attempting(attempt)) = self.record(index).map(|it| &it.state) {
            ctx.act(Action::Command(attempt.id, command));
        }
    }

    pub(crate) fn with_attempt<T>(
        &mut self,
        index: RecordIndex,
        change: impl FnOnce(&mut Attempt) -> T,
    ) -> Option<T> {
        self.change(index, |record| record.attempt_mut().map(change)).flatten()
    }

    pub(crate) fn set_state(&mut self, index: RecordIndex, state: RecordState) {
        self.change(index, |record| record.state = state);
    }
}
