//! The outcomes of the fetches that were active while the program ran: its summary.

use std::collections::{BTreeMap, VecDeque};

use bgfetch::{Event, FailureReason, FetchKey, FetchResult, ImageResource, Job, What};
use indicatif::HumanBytes;
use serde::Serialize;
use url::Url;

use super::lines::shown;
use crate::failure::{FileFailure, why};

/// How many fetches that are over the summary has at most: those that ended last. A page may make
/// any number while the program runs.
const MOST_OVER: usize = 1000;

/// The fetches, in order of registration.
#[derive(Debug, Default)]
pub(super) struct History {
    fetches: BTreeMap<FetchKey, Fetch>,
    /// Those that are over, in the order in which they ended.
    over: VecDeque<FetchKey>,
    /// How many that ended before them are left out.
    left_out: usize,
}

#[derive(Debug, Default)]
struct Fetch {
    id: String,
    title: String,
    icons: Vec<ImageResource>,
    origin: String,
    result: Option<FetchResult>,
    told: bool,
    over: bool,
    records: BTreeMap<u32, Record>,
}

#[derive(Clone, Debug, Serialize)]
struct Record {
    url: Url,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<FailureReason>,
    /// The error, for the user. Unknown for failures in an earlier run.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// A fetch as a JSON object.
#[derive(Debug, Serialize)]
pub(super) struct Summary<'a> {
    event: &'static str,
    id: &'a str,
    title: &'a str,
    /// With their labels.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    icons: &'a [ImageResource],
    origin: &'a str,
    /// `None` if it has not settled, or if its registration was gone before it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<FailureReason>,
    /// The event that its service worker handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    handled: Option<&'static str>,
    /// The records that have ended.
    records: Vec<Record>,
}

impl History {
    pub(super) fn is_empty(&self) -> bool {
        self.fetches.is_empty()
    }

    /// Whether something happened to the fetch while the program ran.
    pub(super) fn has(&self, job: &Job) -> bool {
        self.fetches.contains_key(&job.key)
    }

    /// How the fetch settled.
    pub(super) fn result(&self, fetch: FetchKey) -> Option<FetchResult> {
        self.fetches.get(&fetch)?.result
    }

    pub(super) fn event(&mut self, event: &Event) {
        match event.what {
            What::Removed => return self.over(event.fetch),
            // They may follow the end, and change nothing that is listed.
            What::UiUpdated { .. } | What::ClickEnded { .. } | What::Dismissed => return,
            _ => {}
        }
        let fetch = self.fetches.entry(event.fetch).or_default();
        event.id.as_ref().clone_into(&mut fetch.id);
        match &event.what {
            What::RecordSettled { record, url, result, status, stored, message } => {
                let record_of_it = Record {
                    url: url.clone(),
                    status: *status,
                    bytes: *stored,
                    failure_reason: result.failure(),
                    message: message.clone(),
                };
                fetch.records.insert(record.index.0, record_of_it);
            }
            What::Settled(result) => fetch.result = Some(*result),
            What::EventEnded { handled, .. } => {
                fetch.told = *handled;
                self.over(event.fetch);
            }
            _ => {}
        }
    }

    /// The fetch is over, if it was not before. It is listed until enough others are over.
    fn over(&mut self, key: FetchKey) {
        let Some(fetch) = self.fetches.get_mut(&key).filter(|fetch| !fetch.over) else {
            return;
        };
        fetch.over = true;
        self.over.push_back(key);
        if self.over.len() > MOST_OVER
            && let Some(oldest) = self.over.pop_front()
        {
            self.fetches.remove(&oldest);
            self.left_out += 1;
        }
    }

    /// Adds what events do not contain, and what happened before the first event.
    pub(super) fn learn(&mut self, jobs: &[Job]) {
        for job in jobs {
            if job.display.over && !self.has(job) {
                // It was over before the program started.
                continue;
            }
            let fetch = self.fetches.entry(job.key).or_default();
            job.id.clone_into(&mut fetch.id);
            job.display.title.clone_into(&mut fetch.title);
            job.display.icons.clone_into(&mut fetch.icons);
            fetch.origin = job.display.origin.serialize();
            fetch.result = job.display.result;
            for (index, record) in (0..).zip(&job.records) {
                if let Some(result) = record.result {
                    fetch.records.entry(index).or_insert_with(|| Record {
                        url: record.url.clone(),
                        status: record.status,
                        bytes: record.stored,
                        failure_reason: result.failure(),
                        message: None,
                    });
                }
            }
        }
    }

    /// Each fetch as a JSON object.
    pub(super) fn summaries(&self) -> impl Iterator<Item = Summary<'_>> {
        self.fetches.values().map(|fetch| Summary {
            event: "summary",
            id: &fetch.id,
            title: &fetch.title,
            icons: &fetch.icons,
            origin: &fetch.origin,
            result: fetch.result.map(|result| if result.is_ok() { "success" } else { "failure" }),
            failure_reason: fetch.result.and_then(Result::err),
            handled: fetch.handled(),
            records: fetch.records.values().cloned().collect(),
        })
    }

    /// Each fetch, for the user.
    pub(super) fn lines(&self) -> Vec<String> {
        if self.fetches.is_empty() {
            return vec!["there were no background fetches".into()];
        }
        let mut lines = Vec::new();
        if self.left_out > 0 {
            lines.push(format!("{} earlier background fetches are not listed", self.left_out));
        }
        for fetch in self.fetches.values() {
            let Fetch { id, origin, .. } = fetch;
            let result = match fetch.result {
                None if fetch.over => "removed before it was over".into(),
                None => "not over yet".into(),
                Some(Ok(())) => "success".into(),
                Some(Err(reason)) => format!("{} ({})", why(reason), reason.as_str()),
            };
            lines.push(match shown(&fetch.title, &fetch.icons).as_str() {
                "" => format!("{id} from {origin}: {result}"),
                title => format!("{title} ({id} from {origin}): {result}"),
            });
            lines.extend(fetch.records.values().map(Record::line));
            if let Some(event) = fetch.handled() {
                lines.push(format!("  the service worker handled {event}"));
            }
        }
        lines
    }
}

impl Fetch {
    fn handled(&self) -> Option<&'static str> {
        let result = self.result.filter(|_| self.told)?;
        Some(event_of(result))
    }
}

impl Record {
    fn line(&self) -> String {
        let Self { url, status, .. } = self;
        let bytes = HumanBytes(self.bytes);
        let shown = status.map_or_else(|| "-".into(), |status| status.to_string());
        let why = self.failure_reason.map(|reason| {
            let (status, message) = (*status, self.message.as_deref());
            format!(
                ": {} ({})",
                FileFailure { url, reason, status, message }.why(),
                reason.as_str()
            )
        });
        format!("  {shown}  {bytes}  {url}{}", why.unwrap_or_default())
    }
}

/// The event that notifies a service worker of a result.
pub(super) fn event_of(result: FetchResult) -> &'static str {
    match result {
        Ok(()) => "backgroundfetchsuccess",
        Err(FailureReason::Aborted) => "backgroundfetchabort",
        Err(_) => "backgroundfetchfail",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bgfetch::{Display, JobRecord, Origin, RecordResult, RegistrationKey, StorageKey};

    fn event(key: u64, what: What) -> Event {
        let (storage_key, scope) = (StorageKey("a".into()), "http://a.test/".parse().unwrap());
        let registration = RegistrationKey { storage_key, scope };
        Event::new(FetchKey(key), registration, format!("id-{key}"), what)
    }

    #[test]
    fn the_summary_has_the_alternative_text_of_the_icon_and_why_a_record_failed() {
        let mut history = History::default();
        let url: Url = "http://a.test/".parse().unwrap();
        let registered = event(1, What::Registered);
        let display = Display::new(Origin::of(&url)).with(|it| {
            it.title = "A film".into();
            let icon = ImageResource::new(url.clone());
            it.icons = vec![icon.clone(), icon.with(|it| it.label = "A camera".into())];
            it.result = Some(Err(FailureReason::BadStatus));
        });
        let mut job = Job::new(FetchKey(1), registered.registration.clone(), "id-1", display);
        let mut gone = JobRecord::new("GET", url);
        gone.result = Some(RecordResult::Failure(FailureReason::BadStatus));
        gone.status = Some(404);
        job.records = vec![gone];
        history.event(&registered);
        history.learn(&[job]);
        let expected = [
            "[A camera] A film (id-1 from http://a.test): the server refused a file (bad-status)",
            "  404  0 B  http://a.test/: 404, no such file (bad-status)",
        ];
        assert_eq!(history.lines(), expected);
        let summary = serde_json::to_value(history.summaries().next().unwrap()).unwrap();
        assert_eq!(summary["icons"][1]["label"], "A camera");
    }

    #[test]
    fn the_summary_of_a_long_run_has_the_newest_fetches_and_those_that_are_not_over() {
        let mut history = History::default();
        history.event(&event(0, What::Registered));
        for key in 1..=1500 {
            history.event(&event(key, What::Registered));
            history.event(&event(key, What::Settled(Ok(()))));
            history.event(&event(key, What::EventEnded { handled: true, rejection: None }));
        }
        let ids: Vec<&str> = history.summaries().map(|summary| summary.id).collect();
        assert_eq!((ids.len(), ids[0], ids[1], ids[1000]), (1001, "id-0", "id-501", "id-1500"));
        assert_eq!(history.lines()[0], "500 earlier background fetches are not listed");
    }

    #[test]
    fn the_summary_of_a_long_run_does_not_list_all_that_was_removed() {
        let mut history = History::default();
        for key in 0..1500 {
            history.event(&event(key, What::Registered));
            // Those with an even key are gone with their registration, the others once they are old.
            if key % 2 == 1 {
                history.event(&event(key, What::Settled(Ok(()))));
                history.event(&event(key, What::EventEnded { handled: true, rejection: None }));
            }
        }
        for key in 0..1500 {
            history.event(&event(key, What::Removed));
        }
        assert_eq!((history.summaries().count(), history.left_out), (1000, 500));
        assert_eq!(history.over.len(), 1000);
        let lines = history.lines();
        assert_eq!(lines[1], "id-0 from : removed before it was over");
    }
}
