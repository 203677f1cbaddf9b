//! One JSON object per line, for programs.

use std::path::Path;

use bgfetch::control::Report;
use bgfetch::{Event, FetchResult, Job, PauseReason, What};
use serde::Serialize;

use super::Stdout;
use super::marks::HighWaterMark;
use super::per_fetch::PerFetch;
use crate::failure::FileFailure;
use crate::saving::directory_of;

/// Prints events.
#[derive(Debug, Default)]
pub(crate) struct Json {
    stdout: Stdout,
    told: PerFetch<Told>,
}

/// What was told of a fetch.
#[derive(Debug, Default)]
struct Told {
    /// Why it is currently paused.
    paused: Option<PauseReason>,
    /// The most bytes that it has had.
    mark: HighWaterMark,
}

/// An event. Fields that do not apply are left out.
#[derive(Debug, Default, Serialize)]
struct Line<'a> {
    event: &'static str,
    id: &'a str,
    /// The stored bytes of all records.
    downloaded: u64,
    /// How many there were before, while some are fetched again.
    #[serde(skip_serializing_if = "Option::is_none")]
    downloaded_before: Option<u64>,
    /// The sent bytes of all records.
    uploaded: u64,
    /// The `downloadTotal`; 0 if none was given.
    download_total: u64,
    /// The record's position.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// `success` or `failure`, of the record or of the fetch.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<&'static str>,
    /// The number of consecutive retries.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
    /// Why the fetch was paused; for `resumed`, the reason that has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The error, for the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    /// What the user can do about a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
    /// The file that a body was saved to.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
}

/// The last event of a command that ended before its fetch did.
#[derive(Debug, Serialize)]
struct Stopped<'a> {
    event: &'static str,
    /// `None` if the arguments were refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    reason: &'static str,
    message: &'a str,
}

/// The process works on for other fetches.
#[derive(Debug, Serialize)]
struct Staying<'a> {
    event: &'static str,
    id: &'a str,
    /// The number of other fetches.
    others: usize,
}

/// A detached process has begun.
#[derive(Debug, Serialize)]
struct Detached<'a> {
    event: &'static str,
    id: &'a str,
    process: u32,
    log: &'a str,
}

impl Json {
    pub(crate) fn restarted(&mut self, job: &Job) {
        if let Some(told) = self.told.of_job(job) {
            told.mark = HighWaterMark::of(job);
        }
        self.print(&Line { reason: Some("restart"), ..line_of_job("resumed", job) });
    }

    pub(crate) fn held_back(&mut self, job: &Job, reason: PauseReason) {
        if let Some(told) = self.told.of_job(job) {
            told.paused = Some(reason);
        }
        self.print(&Line { reason: Some(reason.as_str()), ..line_of_job("paused", job) });
    }

    pub(crate) fn event(&mut self, event: &Event) {
        let line = |name| line_of_event(name, event);
        let Some(told) = self.told.of(event) else {
            return;
        };
        let downloaded_before = told.mark.pass(event);
        match &event.what {
            What::Registered => self.print(&line("registered")),
            What::Progress => self.print(&Line { downloaded_before, ..line("progress") }),
            What::Paused(reason) => {
                told.paused = Some(*reason);
                self.print(&Line { reason: Some(reason.as_str()), ..line("paused") });
            }
            What::Resumed => {
                let reason = told.paused.take().map(PauseReason::as_str);
                self.print(&Line { reason, ..line("resumed") });
            }
            What::Retry { record, url, attempt, delay, message } => self.print(&Line {
                record: Some(record.index.0),
                url: Some(url.as_str()),
                attempt: Some(*attempt),
                delay_ms: Some(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
                message: Some(message),
                ..line("retry")
            }),
            What::RecordSettled { record, url, result, status, message, .. } => {
                let failure = FileFailure::of(event);
                self.print(&Line {
                    record: Some(record.index.0),
                    url: Some(url.as_str()),
                    status: *status,
                    message: message.as_deref(),
                    advice: failure.and_then(|failure| failure.advice()),
                    ..with_result(line("record-settled"), result.failure().map_or(Ok(()), Err))
                });
            }
            // See `settled`.
            _ => {}
        }
    }

    /// The files are written; `settled` follows.
    pub(crate) fn saved(&mut self, event: &Event, report: &Report) {
        let out = directory_of(&report.scope).unwrap_or_default();
        for saved in &report.saved {
            let path = out.join(&saved.name);
            let path = path.to_string_lossy();
            self.print(&Line {
                url: Some(saved.url.as_str()),
                path: Some(&path),
                ..line_of_event("saved", event)
            });
        }
    }

    /// A detached process works on the fetch or waits for it.
    pub(crate) fn detached(&mut self, id: &str, process: u32, log: &Path) {
        let log = log.to_string_lossy();
        self.print(&Detached { event: "detached", id, process, log: &log });
    }

    /// The fetch is over, but the process works on others.
    pub(crate) fn stays(&mut self, id: &str, others: usize) {
        self.print(&Staying { event: "staying", id, others });
    }

    /// The fetch is watched from now on.
    pub(crate) fn watched(&mut self, job: &Job) {
        self.print(&line_of_job("watching", job));
    }

    /// The fetch has ended before.
    pub(crate) fn ended_before(&mut self, job: &Job, message: &str) {
        let result = job.display.result.unwrap_or(Ok(()));
        let line = with_result(line_of_job("settled", job), result);
        self.print(&Line { message: Some(message), ..line });
    }

    /// The command ends, although the fetch has not.
    pub(crate) fn stopped(&mut self, id: Option<&str>, reason: &'static str, message: &str) {
        self.print(&Stopped { event: "stopped", id, reason, message });
    }

    pub(crate) fn settled(&mut self, event: &Event, result: FetchResult) {
        self.told.end(event.fetch);
        self.print(&with_result(line_of_event("settled", event), result));
    }

    pub(crate) fn print(&mut self, line: &impl Serialize) {
        self.stdout.json(line);
    }
}

fn line_of_event<'a>(name: &'static str, event: &'a Event) -> Line<'a> {
    Line {
        event: name,
        id: &event.id,
        downloaded: event.downloaded,
        uploaded: event.uploaded,
        download_total: event.download_total,
        ..Line::default()
    }
}

fn line_of_job<'a>(name: &'static str, job: &'a Job) -> Line<'a> {
    Line {
        event: name,
        id: &job.id,
        downloaded: job.display.downloaded,
        uploaded: job.display.uploaded,
        download_total: job.display.download_total,
        ..Line::default()
    }
}

fn with_result(line: Line<'_>, result: FetchResult) -> Line<'_> {
    Line {
        result: Some(if result.is_ok() { "success" } else { "failure" }),
        failure_reason: result.err().map(bgfetch::FailureReason::as_str),
        ..line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::per_fetch::tests::events_of_ended_fetches;

    #[test]
    fn nothing_is_kept_of_fetches_that_are_over() {
        let mut json = Json::default();
        for event in events_of_ended_fetches() {
            match event.what {
                What::Settled(result) => json.settled(&event, result),
                _ => json.event(&event),
            }
        }
        assert!(json.told.is_empty(), "{json:?}");
    }
}
