//! Judges what the engine tells and does by the documents: docs/reliability.md, docs/security.md
//! and the spec. It knows nothing of the engine's state.

use std::collections::BTreeMap;
use std::time::Duration;

use bgfetch::{
    FailureReason, FetchKey, Job, NotHandledReason, PauseReason, RecordResult, Redelivery, What,
};

use super::facts::{Facts, FetchResult, Record, Seen};
use super::plan::{Call, Plan};

/// After how many bytes bodies are synced. A power loss may cost as many of all that were stored
/// before the last commits, and a few that were not counted yet.
pub(crate) const SYNC_EVERY: u64 = 4096;
const LOST: u64 = 2 * SYNC_EVERY;

/// How long a response takes at most to replace what is stored.
const SETTLED_DOWN: Duration = Duration::from_secs(30);

/// How long a process takes at most to commit.
const COMMITTED: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(crate) struct Oracle {
    plan: Plan,
    fetches: Vec<Facts>,
    by_key: BTreeMap<FetchKey, usize>,
    pub(crate) life: usize,
    /// How many bytes were stored in this life, and how many before crashes that were not synced.
    grown: u64,
    unsynced: u64,
    /// When the last life ended.
    ended_at: Duration,
    /// Since when nothing can be reached, and the engine knows.
    pub(crate) offline_since: Option<Duration>,
    pub(crate) violation: Option<String>,
    pub(crate) told: u64,
    pub(crate) told_again: u64,
}

impl Oracle {
    pub(crate) fn new(plan: Plan) -> Self {
        Self {
            plan,
            fetches: Vec::new(),
            by_key: BTreeMap::new(),
            life: 0,
            grown: 0,
            unsynced: 0,
            ended_at: Duration::ZERO,
            offline_since: None,
            violation: None,
            told: 0,
            told_again: 0,
        }
    }

    pub(crate) fn violate(&mut self, what: impl Into<String>) {
        self.violation.get_or_insert(what.into());
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn fetches(&self) -> &[Facts] {
        &self.fetches
    }

    /// A page is about to call `fetch()`.
    pub(crate) fn called(&mut self, call: Call) -> usize {
        self.fetches.push(Facts::new(call));
        self.fetches.len() - 1
    }

    pub(crate) fn number(&self, id: &str) -> Option<usize> {
        self.fetches.iter().position(|fetch| fetch.call.id == id)
    }

    pub(crate) fn fetch(&mut self, number: usize) -> &mut Facts {
        &mut self.fetches[number]
    }

    pub(crate) fn number_of(&self, key: FetchKey) -> Option<usize> {
        self.by_key.get(&key).copied()
    }

    /// The records with a tag, or the last of them if their fetches have settled.
    pub(crate) fn tagged(&self, tag: &str) -> Vec<(usize, usize)> {
        let tagged = |(number, fetch): (usize, &Facts)| {
            let records = (0..fetch.records.len()).map(move |index| (number, index));
            records
                .filter(|(_, index)| fetch.call.tag(&self.plan, *index) == tag)
                .collect::<Vec<_>>()
        };
        let all: Vec<_> = self.fetches.iter().enumerate().flat_map(tagged).collect();
        let open = |it: &&(usize, usize)| self.fetches[it.0].result.is_none();
        let open: Vec<_> = all.iter().filter(open).copied().collect();
        if open.is_empty() { all.last().copied().into_iter().collect() } else { open }
    }

    /// Somebody was told that the fetch exists.
    pub(crate) fn exists(&mut self, number: usize, key: FetchKey) {
        self.by_key.insert(key, number);
        let fetch = &mut self.fetches[number];
        fetch.promised = true;
        fetch.key = Some(key);
    }

    /// `fetch()` was refused.
    pub(crate) fn refused(&mut self, number: usize, error: &bgfetch::Error) {
        let fetch = &self.fetches[number];
        let site = &self.plan.sites[fetch.call.site];
        let uploads = fetch.call.records.iter().any(super::plan::Wanted::is_upload);
        let full = self.plan.faults.disk && uploads;
        if error.call_error() == Some(bgfetch::CallError::QuotaExceeded)
            && site.quota >= site.needs
            && !full
        {
            self.violate(format!("{} was refused, but would have fit", fetch.call.id));
        }
    }

    /// An event of an observer.
    pub(crate) fn observed(&mut self, now: Duration, event: &bgfetch::Event) {
        let Some(number) = self.number(&event.id) else {
            return self.violate(format!("{} was never asked for", event.id));
        };
        self.exists(number, event.fetch);
        self.progress(number, "observer", event.downloaded, event.uploaded);
        let plan = &self.plan;
        let fetch = &mut self.fetches[number];
        let told = fetch.downloaded_by(now);
        // What a fetch adopts is on disk already.
        if !matches!(event.what, What::Registered) {
            self.grown += event.downloaded.saturating_sub(told);
        }
        fetch.progress.push((now, event.downloaded));
        match &event.what {
            What::Retry { record, delay, .. } => {
                let record = &mut fetch.records[record.index.0 as usize];
                record.quiet = Some((now + COMMITTED, now + *delay));
            }
            What::RecordSettled { record, result, .. } => {
                let index = record.index.0 as usize;
                if let Err(wrong) = fetch.may_end(plan, index, *result) {
                    let id = fetch.call.id.clone();
                    return self.violate(format!("{id} record {index} ended wrongly: {wrong}"));
                }
                fetch.records[index].result = Some(*result);
            }
            What::Settled(result) => {
                self.settled(number, *result);
                self.check_totals(number, event.downloaded, event.uploaded);
            }
            What::EventNotHandled { reason, next } => {
                let nobody_listened =
                    matches!(reason, NotHandledReason::NoActiveWorker | NotHandledReason::NotYet);
                if nobody_listened && *next != Redelivery::WhenAsked {
                    self.violate(format!("the event of {} does not wait: {next:?}", event.id));
                }
            }
            What::EventEnded { handled, .. } => self.event_ended(number, *handled),
            _ => {}
        }
    }

    /// Somebody was told how the fetch settled.
    pub(crate) fn settled(&mut self, number: usize, result: FetchResult) {
        let fetch = &mut self.fetches[number];
        let id = &fetch.call.id;
        if let Some(before) = fetch.result {
            if before != result {
                let text = format!("{id} settled as {before:?} and then as {result:?}");
                self.violate(text);
            }
            return;
        }
        let wrong = match result {
            _ if fetch.aborted && result != Err(FailureReason::Aborted) => {
                Some(String::from("abort() had said true"))
            }
            Err(reason) if reason != FailureReason::Aborted => {
                let gave = |record: &Record| {
                    record.result.is_none_or(|it| it == RecordResult::Failure(reason))
                };
                let none = !fetch.records.iter().any(gave);
                none.then(|| format!("no record failed with {reason:?}"))
            }
            _ => None,
        };
        let wrong = wrong.or_else(|| fetch.may_settle(&self.plan, result).err());
        if let Some(wrong) = wrong {
            let text = format!("{id} settled as {result:?}: {wrong}");
            return self.violate(text);
        }
        fetch.result = Some(result);
    }

    /// `abort()` is true.
    pub(crate) fn aborted(&mut self, number: usize) {
        let fetch = &mut self.fetches[number];
        let settled = fetch.result.is_some_and(|result| result != Err(FailureReason::Aborted));
        if fetch.aborted || settled {
            let text = format!("{} was aborted after its end", fetch.call.id);
            return self.violate(text);
        }
        fetch.aborted = true;
    }

    fn check_totals(&mut self, number: usize, downloaded: u64, uploaded: u64) {
        let fetch = &self.fetches[number];
        let (id, total) = (&fetch.call.id, fetch.call.download_total);
        if total > 0 && downloaded > total {
            self.violate(format!("{id} stored {downloaded} of {total} bytes"));
        } else if fetch.result == Some(Ok(())) {
            let bodies = fetch.call.records.iter().filter_map(|wanted| wanted.body());
            let bytes: usize = bodies.map(|body| body.len()).sum();
            if bytes as u64 != uploaded {
                self.violate(format!("{id} succeeded with {uploaded} of {bytes} bytes sent"));
            }
        }
    }

    /// A viewer sees progress.
    pub(crate) fn progress(&mut self, number: usize, viewer: &str, downloaded: u64, uploaded: u64) {
        let fetch = &mut self.fetches[number];
        let seen = fetch.viewers.entry(viewer.into()).or_default();
        let before = *seen;
        seen.drops += u32::from(downloaded < before.downloaded);
        (seen.downloaded, seen.uploaded) = (downloaded, uploaded);
        if seen.drops > fetch.replacements || uploaded < before.uploaded {
            let text = format!(
                "{} went back from {}/{} to {downloaded}/{uploaded} before {viewer}",
                fetch.call.id, before.downloaded, before.uploaded
            );
            self.violate(text);
        }
    }

    /// An update that a page applies.
    pub(crate) fn updated(&mut self, viewer: &str, update: &bgfetch::ClientUpdate) {
        // The page may be told before the observer is.
        let Some(number) = self.number_of(update.fetch) else { return };
        let now = update.update;
        self.progress(number, viewer, now.downloaded, now.uploaded);
        if let Some(result) = now.result {
            self.settled(number, result);
            let seen = self.fetches[number].viewers.entry(viewer.into()).or_default();
            seen.result = Some(result);
        }
    }

    /// A page is closed.
    pub(crate) fn forget_viewer(&mut self, viewer: &str) {
        for fetch in &mut self.fetches {
            fetch.viewers.remove(viewer);
        }
    }

    /// A settling event is dispatched to the worker.
    pub(crate) fn dispatched(&mut self, number: usize, result: FetchResult, promptly: &[String]) {
        self.settled(number, result);
        let life = self.life;
        let fetch = &self.fetches[number];
        let id = fetch.call.id.clone();
        let again = fetch.handled.last().is_some_and(|handled| *handled == life);
        if again || fetch.over {
            return self.violate(format!("the event of {id} came again without need"));
        }
        if fetch.gone {
            return self.violate(format!("the event of {id} came although it was dismissed"));
        }
        for page in promptly {
            let seen = |seen: &Seen| seen.result.is_some();
            let fetch = &self.fetches[number];
            if fetch.viewers.get(page).is_some_and(|it| !seen(it)) {
                return self.violate(format!("the worker learned before {page} how {id} settled"));
            }
        }
    }

    /// The worker handled the settling event.
    pub(crate) fn handled(&mut self, number: usize) {
        let life = self.life;
        let fetch = &mut self.fetches[number];
        self.told += 1;
        self.told_again += u64::from(!fetch.handled.is_empty());
        fetch.handled.push(life);
    }

    fn event_ended(&mut self, number: usize, handled: bool) {
        let life = self.life;
        let fetch = &mut self.fetches[number];
        fetch.over = true;
        fetch.is_held = handled && fetch.holds == Some(life);
        // The store may delete its own names now.
        fetch.saved.append(&mut fetch.exported);
        let id = &fetch.call.id;
        let wrong = match (handled, fetch.handled.is_empty()) {
            (true, true) => format!("the event of {id} counts as handled, but nobody did"),
            // No worker of this world fails often enough.
            (false, _) if !fetch.may_be_gone => format!("the event of {id} was given up"),
            _ => return,
        };
        self.violate(wrong);
    }

    /// The process ended: what was on its way is lost.
    pub(crate) fn ended(&mut self, now: Duration) {
        let is_past = |then: Duration| then + COMMITTED < now;
        let offline = self.offline_since.is_some_and(is_past);
        for fetch in &mut self.fetches {
            let paused = fetch.paused.is_some_and(|(paused, since)| paused && is_past(since));
            for (wanted, record) in fetch.call.records.iter().zip(&mut fetch.records) {
                let waits = record.quiet.is_some_and(|(from, to)| (from..to).contains(&now));
                let landed = record.in_flight == 0 && is_past(record.landed_at);
                let idle = landed && (offline || paused || waits);
                record.cut_off |= wanted.is_upload() && record.result.is_none() && !idle;
                record.in_flight = 0;
                record.quiet = None;
            }
            fetch.viewers.clear();
        }
        // Keys may be given again after a power loss.
        self.by_key.clear();
        self.ended_at = now;
        self.life += 1;
    }

    /// The next process shows this.
    pub(crate) fn restarted(&mut self, now: Duration, power_lost: bool, jobs: &[Job]) {
        let (mut lost, mut unsynced, ended) = (0, 0, self.ended_at);
        let committed = ended.saturating_sub(COMMITTED);
        let stored_by = if power_lost { committed } else { ended };
        for number in 0..self.fetches.len() {
            let fetch = &mut self.fetches[number];
            let id = fetch.call.id.clone();
            let job = jobs.iter().find(|job| job.id == id);
            let Some(job) = job else {
                if fetch.promised && !fetch.may_be_gone {
                    return self.violate(format!("{id} is lost"));
                }
                fetch.gone |= fetch.may_be_gone;
                continue;
            };
            if fetch.gone {
                return self.violate(format!("{id} is back"));
            }
            let stored = job.display.downloaded;
            let wrong = fetch.is_kept(job, power_lost);
            // What was told before a response replaced what is stored counts what is gone.
            let is_told = |at| fetch.progress.iter().any(|(told, _)| *told > at + SETTLED_DOWN);
            if fetch.replaced_at.is_none_or(is_told) && fetch.result.is_none() {
                lost += fetch.downloaded_by(stored_by).saturating_sub(stored);
            }
            if fetch.result.is_none() {
                unsynced += stored.saturating_sub(fetch.downloaded_by(committed));
            }
            (fetch.progress, fetch.replaced_at) = (vec![(now, stored)], None);
            for (record, now) in fetch.records.iter_mut().zip(&job.records) {
                record.result = now.result;
            }
            self.exists(number, job.key);
            self.fetches[number].title = Some(job.display.title.clone());
            if let Err(wrong) = wrong {
                return self.violate(format!("{id} after a restart: {wrong}"));
            }
        }
        // What was stored shortly before crashes is synced with what is stored later.
        if self.grown > 2 * SYNC_EVERY {
            self.unsynced = 0;
        }
        let may_be_lost = if power_lost { LOST + self.unsynced } else { 0 };
        self.unsynced = if power_lost { 0 } else { self.unsynced + unsynced };
        self.grown = 0;
        if lost > may_be_lost {
            self.violate(format!("{lost} bytes were lost"));
        }
        for job in jobs {
            if self.number(&job.id).is_none() {
                self.violate(format!("{} was never asked for", job.id));
            }
        }
    }

    /// In the end, nothing is left open.
    pub(crate) fn finished(&mut self) {
        for number in 0..self.fetches.len() {
            let fetch = &self.fetches[number];
            let id = fetch.call.id.clone();
            // Whoever unregistered the site while the fetch was being promised does not know whether it
            // was removed.
            if fetch.gone || fetch.may_be_gone || !fetch.promised {
                continue;
            }
            if fetch.result.is_none() {
                self.violate(format!("{id} never settled"));
            } else if fetch.handled.is_empty() {
                self.violate(format!("nobody was told of the end of {id}"));
            }
        }
    }
}

impl Facts {
    /// Whether what was told of the fetch is still true.
    fn is_kept(&self, job: &Job, power_lost: bool) -> Result<(), String> {
        let display = &job.display;
        if let Some(result) = self.result
            && display.result != Some(result)
        {
            return Err(format!("it had settled as {result:?}: {display:?}"));
        }
        if self.aborted && display.result.is_some_and(|it| it != Err(FailureReason::Aborted)) {
            return Err(format!("it had been aborted: {display:?}"));
        }
        if self.over && !display.over {
            return Err(String::from("its event had ended"));
        }
        if let Some(title) = &self.title
            && (self.over || !power_lost)
            && display.title != *title
        {
            return Err(format!("its title was {title:?}: {display:?}"));
        }
        let paused = display.pause_reason == Some(PauseReason::User);
        if let Some((told, _)) = self.paused
            && told != paused
            && display.result.is_none()
            && !self.abort_asked
        {
            return Err(format!("its pause was {told}: {display:?}"));
        }
        for ((wanted, told), now) in self.call.records.iter().zip(&self.records).zip(&job.records) {
            // What was downloaded may be lost with the power and is downloaded again.
            let kept = wanted.is_upload() || !power_lost;
            if kept && told.result.is_some() && now.result != told.result {
                return Err(format!("a record had ended with {:?}: {now:?}", told.result));
            }
        }
        Ok(())
    }
}
