//! Lines for logs and pipes: one per event, and progress at most once a second.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bgfetch::control::Report;
use bgfetch::{Event, FailureReason, Job, PauseReason, RecordResult, What};
use indicatif::HumanBytes;
use url::Url;

use super::{Stdout, pause_text};
use crate::file_names::file_name;
use crate::saving::directory_of;

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
    /// For the log of several processes: the fetch that this one is about.
    log: Option<String>,
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
        Self { stdout, path: path.to_owned(), pace, verbose, log: None }
    }

    /// For the end of a fetch that bars have shown.
    pub(super) fn after_bars() -> Self {
        Self::new(Path::new(""), false)
    }

    /// For a log, where there is no progress.
    pub(super) fn log(path: &Path, id: &str) -> Self {
        Self { log: Some(id.to_owned()), ..Self::new(path, false) }
    }

    fn line(&mut self, line: &str) {
        match &self.log {
            Some(id) => self.stdout.line(&format!("{id}: {line}")),
            None => self.stdout.line(line),
        }
    }

    pub(super) fn shown(&self, url: &Url) -> Url {
        let mut url = url.clone();
        if self.log.is_some() {
            url.set_query(None);
            url.set_fragment(None);
        }
        url
    }

    pub(super) fn restarted(&mut self, job: &Job) {
        let (id, there) = (&job.id, HumanBytes(job.display.downloaded));
        let line = format!("resumed {id}, {there} were downloaded before");
        self.line(&line);
        if self.verbose {
            resumed_records(job).for_each(|line| self.line(&line));
        }
    }

    pub(super) fn paused(&mut self, reason: PauseReason) {
        self.line(&paused(reason));
    }

    pub(super) fn note(&mut self, text: &str) {
        self.line(text);
    }

    pub(super) fn event(&mut self, event: &Event) {
        let mut event = event.clone();
        if let What::Retry { url, .. } | What::RecordSettled { url, .. } = &mut event.what {
            *url = self.shown(url);
        }
        match &event.what {
            What::Progress if self.log.is_some() => {}
            What::Registered => {
                let line = format!("registered {}, saving to {}", event.id, self.path.display());
                self.line(&line);
            }
            // Reported once the files are written: see `settled`.
            _ => {
                if let Some(line) = self.pace.line_of(&event) {
                    self.line(&line);
                }
            }
        }
    }

    pub(super) fn settled(&mut self, event: &Event, report: &Report) {
        let renamed = report.saved.iter().filter(|saved| saved.name != file_name(&saved.url));
        for saved in renamed {
            self.line(&format!("saved {} as {}", self.shown(&saved.url), saved.name));
        }
        let files = match report.saved.len() {
            1 => String::from("1 file"),
            saved => format!("{saved} files"),
        };
        let out = directory_of(&report.scope).unwrap_or_default();
        let (bytes, out) = (HumanBytes(event.downloaded), out.display());
        let line = match report.result() {
            Ok(()) => format!("saved {files}, {bytes}, to {out}"),
            Err(reason) if !report.saved.is_empty() => {
                format!("{}; saved {files} that succeeded to {out}", reason.as_str())
            }
            Err(reason) => reason.as_str().into(),
        };
        self.line(&line);
    }
}
