//! Lines for logs and pipes: one per event, and progress at most once a second.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bgfetch::control::Report;
use bgfetch::{Event, Job, PauseReason, RecordResult, What};
use indicatif::HumanBytes;
use url::Url;

use super::marks::HighWaterMark;
use super::{Stdout, pause_text};
use crate::failure::{FileFailure, readable};
use crate::file_names::file_name;
use crate::log;
use crate::saving::directory_of;
use crate::text::{cells, printable, shortened_inside};

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
    /// For a terminal: how many cells a line may have.
    width: Option<usize>,
}

/// Formats the events of a fetch, limiting how often progress is shown.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// When progress was last shown, and the bytes at that time.
    last: Option<(Instant, u64)>,
    mark: HighWaterMark,
    /// Whether it was told that bytes are fetched again.
    told_again: bool,
}

impl Pace {
    /// The line for an event of an active fetch, if there is one.
    pub(crate) fn line_of(&mut self, event: &Event) -> Option<String> {
        let again = self.mark.pass(event);
        let told_before = std::mem::replace(&mut self.told_again, again.is_some());
        if let Some(mark) = again.filter(|_| !told_before) {
            let (now, mark) = (HumanBytes(event.downloaded), HumanBytes(mark));
            return Some(format!("fetching again what was there: {mark} before, {now} now"));
        }
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
            _ => FileFailure::of(event).map(|it| format!("failed {}: {}", it.url, it.why())),
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
        Self { stdout, path: path.to_owned(), pace, verbose, log: None, width: None }
    }

    /// For the end of a fetch that bars have shown in lines of that many cells.
    pub(super) fn after_bars(width: usize) -> Self {
        Self { width: Some(width), ..Self::new(Path::new(""), false) }
    }

    /// For a log, where there is no progress.
    pub(super) fn log(path: &Path, id: &str) -> Self {
        Self { log: Some(id.to_owned()), ..Self::new(path, false) }
    }

    pub(super) fn is_log(&self) -> bool {
        self.log.is_some()
    }

    fn line(&mut self, line: &str) {
        match (&self.log, self.width) {
            (Some(id), _) => self.stdout.line(&format!("{}{id}: {line}", log::stamp())),
            (None, Some(width)) => self.stdout.line(&shortened_inside(&printable(line), width)),
            (None, None) => self.stdout.line(line),
        }
    }

    pub(super) fn shown(&self, url: &Url) -> Url {
        let mut url = url.clone();
        if self.is_log() {
            url.set_query(None);
            url.set_fragment(None);
        }
        url
    }

    pub(super) fn restarted(&mut self, job: &Job) {
        let (id, there) = (&job.id, HumanBytes(job.display.downloaded));
        let line = format!("resumed {id}, {there} were downloaded before");
        self.line(&line);
        self.pace.mark = HighWaterMark::of(job);
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
            What::Progress if self.is_log() => {}
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
            let url = self.shown(&saved.url);
            let url = if self.width.is_some() { readable(&url) } else { url.into() };
            self.line(&format!("saved {url} as {}", saved.name));
        }
        let files = match report.saved.len() {
            1 => String::from("1 file"),
            saved => format!("{saved} files"),
        };
        let what = match report.result() {
            Ok(()) => format!("saved {files}, {}, to ", HumanBytes(event.downloaded)),
            Err(_) if !report.saved.is_empty() => format!("saved {files} that succeeded, to "),
            Err(_) => return,
        };
        let out = directory_of(&report.scope).unwrap_or_default().display().to_string();
        let out = match self.width {
            None => out,
            Some(width) => shortened_inside(&printable(&out), width.saturating_sub(cells(&what))),
        };
        self.line(&format!("{what}{out}"));
    }
}
