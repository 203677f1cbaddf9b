//! Lines for logs and pipes: one per event, and progress at most once a second.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bgfetch::{Event, FailureReason, Job, PauseReason, RecordResult, What};
use indicatif::HumanBytes;
use url::Url;

use super::{Stdout, pause_text};
use crate::worker::Report;

/// The shortest time between two lines of progress.
const INTERVAL: Duration = Duration::from_secs(1);

/// Prints lines.
#[derive(Debug)]
pub(crate) struct Plain {
    stdout: Stdout,
    /// Where the files are saved.
    path: PathBuf,
    pace: Pace,
    verbose: bool,
}

/// Formats the events of a fetch, limiting how often progress is shown.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// When progress was last shown, and the bytes at that time.
    last: Option<(Instant, u64)>,
}

impl Pace {
    /// The line for an event of an active fetch, if there is one.
    pub(crate) fn line_of(&mut self, event: &Event) -> Option<String> {
        match &event.what {
            What::Progress => self.progress(event),
            What::Paused(reason) => Some(paused(*reason)),
            What::Resumed => Some("resumed".into()),
            What::Retry { url, attempt, delay, message, .. } => {
                let delay = delay.as_secs_f64();
                Some(format!("retry {attempt} in {delay:.1} s: {url}: {message}"))
            }
            What::RecordSettled { url, result: RecordResult::Success, stored, .. } => {
                Some(format!("done {url}, {}", HumanBytes(*stored)))
            }
            What::RecordSettled {
                url,
                result: RecordResult::Failure(reason),
                status,
                message,
                ..
            } => Some(format!("failed {}", failure(url, *reason, *status, message.as_deref()))),
            _ => None,
        }
    }

    fn progress(&mut self, event: &Event) -> Option<String> {
        let now = Instant::now();
        // A rate needs two points in time. The line "registered" or "resumed" is shown at the first
        // one.
        let (last, before) = *self.last.get_or_insert((now, event.downloaded));
        let elapsed = now.duration_since(last);
        if elapsed < INTERVAL {
            return None;
        }
        self.last = Some((now, event.downloaded));
        let rate = event.downloaded.saturating_sub(before) as f64 / elapsed.as_secs_f64();
        let (there, rate) = (HumanBytes(event.downloaded), HumanBytes(rate as u64));
        let of = match event.download_total {
            0 => String::new(),
            total => format!(" of {}", HumanBytes(total)),
        };
        Some(format!("progress {there}{of}, {rate}/s"))
    }
}

/// Reports which record failed and why.
pub(crate) fn failure(
    url: &Url,
    reason: FailureReason,
    status: Option<u16>,
    message: Option<&str>,
) -> String {
    let status = status.map(|status| format!(", status {status}")).unwrap_or_default();
    let message = message.map(|message| format!(" ({message})")).unwrap_or_default();
    format!("{url}: {}{status}{message}", reason.as_str())
}

/// A line for each record that continues from stored bytes.
pub(super) fn resumed_records(job: &Job) -> impl Iterator<Item = String> {
    let resumed = job.records.iter().filter(|record| record.result.is_none() && record.stored > 0);
    resumed.map(|record| {
        let of = record.length.map(|length| format!(" of {}", HumanBytes(length)));
        let (stored, of) = (HumanBytes(record.stored), of.unwrap_or_default());
        format!("resume {} after {stored}{of}", record.url)
    })
}

/// Reports that a fetch is paused.
fn paused(reason: PauseReason) -> String {
    let hint = match reason {
        PauseReason::User => "; to continue, run bgfetch resume",
        _ => "",
    };
    format!("{}{hint}", pause_text(reason))
}

impl Plain {
    pub(super) fn new(path: &Path, verbose: bool) -> Self {
        let (stdout, pace) = (Stdout::default(), Pace::default());
        Self { stdout, path: path.to_owned(), pace, verbose }
    }

    pub(super) fn restarted(&mut self, job: &Job) {
        let (id, there) = (&job.id, HumanBytes(job.display.downloaded));
        let line = format!("resumed {id}, {there} were downloaded before");
        self.stdout.line(&line);
        if self.verbose {
            resumed_records(job).for_each(|line| self.stdout.line(&line));
        }
    }

    pub(super) fn paused(&mut self, reason: PauseReason) {
        self.stdout.line(&paused(reason));
    }

    pub(super) fn note(&mut self, text: &str) {
        self.stdout.line(text);
    }

    pub(super) fn event(&mut self, event: &Event) {
        match &event.what {
            What::Registered => {
                let line = format!("registered {}, saving to {}", event.id, self.path.display());
                self.stdout.line(&line);
            }
            // Reported once the files are written: see `settled`.
            _ => {
                if let Some(line) = self.pace.line_of(event) {
                    self.stdout.line(&line);
                }
            }
        }
    }

    pub(super) fn settled(&mut self, event: &Event, report: &Report) {
        for saved in report.saved.iter().filter(|saved| saved.is_renamed()) {
            self.stdout.line(&format!("saved {} as {}", saved.url, saved.name));
        }
        let files = match report.saved.len() {
            1 => String::from("1 file"),
            saved => format!("{saved} files"),
        };
        let (bytes, out) = (HumanBytes(event.downloaded), report.out.display());
        let line = match report.result {
            Ok(()) => format!("saved {files}, {bytes}, to {out}"),
            Err(reason) if !report.saved.is_empty() => {
                format!("{}; saved {files} that succeeded to {out}", reason.as_str())
            }
            Err(reason) => reason.as_str().into(),
        };
        self.stdout.line(&line);
    }
}
