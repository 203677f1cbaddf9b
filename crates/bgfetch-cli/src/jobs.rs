//! Formats fetches for `list` and `show`.

use std::fmt::{self, Write as _};
use std::path::Path;

use bgfetch::{FailureReason, Job, JobRecord, PauseReason, RecordResult};
use indicatif::HumanBytes;
use serde::Serialize;

use crate::failure::why_file;
use crate::saving::Saving;
use crate::text::{cells, padded, printable, shortened};

/// The maximum width of a title in the table, in cells.
const TITLE_WIDTH: usize = 40;

/// A fetch, shown as a JSON object or a line of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct JobInfo {
    id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    /// The output directory, or the only file.
    #[serde(skip_serializing_if = "Option::is_none")]
    out: Option<String>,
    state: State,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<FailureReason>,
    /// The bytes that are stored, or were stored before the fetch was over.
    downloaded: u64,
    /// The expected bytes; `None` while they are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    download_total: Option<u64>,
    /// The number of records, and how many have ended; `None` once the fetch is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<Count>,
    /// What a process in the background has printed, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    /// The records, if they were requested.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<FileInfo>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Count {
    total: usize,
    settled: usize,
}

/// What a fetch is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// It is downloading or about to.
    Running,
    /// The user paused it.
    Paused,
    /// It waits for the network.
    Offline,
    /// It waits for an unmetered connection.
    Metered,
    /// It waits for the user to log in to the network.
    CaptivePortal,
    /// It waits for space on the disk.
    DiskFull,
    /// No process is working on it.
    Stopped,
    /// All bodies are complete; their files are being written, or will be when `get` runs again.
    Saving,
    Success,
    Failure,
    Aborted,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Offline => "offline",
            Self::Metered => "metered",
            Self::CaptivePortal => "captive portal",
            Self::DiskFull => "disk full",
            Self::Stopped => "stopped",
            Self::Saving => "saving",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Aborted => "aborted",
        })
    }
}

/// A record of a fetch.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct FileInfo {
    url: String,
    method: String,
    downloaded: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    in_flight: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<FileResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<FailureReason>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum FileResult {
    Success,
    Failure,
}

impl JobInfo {
    /// The information about a job. `live` tells whether a process is working on it.
    pub(crate) fn new(job: &Job, live: bool) -> Self {
        let out = Saving::of(&job.registration).map(|saving| saving.path());
        let settled = job.records.iter().filter(|record| record.result.is_some()).count();
        let held = !job.records.is_empty();
        let records = Count { total: job.records.len(), settled };
        Self {
            id: job.id.clone(),
            title: job.display.title.clone(),
            out: out.map(|path| path.display().to_string()),
            state: state(job, live),
            failure_reason: job.display.result.and_then(Result::err),
            downloaded: job.display.downloaded,
            download_total: held.then(|| expected_total(job)).flatten(),
            records: held.then_some(records),
            log: None,
            files: Vec::new(),
        }
    }

    /// Adds the log of the detached processes.
    pub(crate) fn with_log(self, log: &Path) -> Self {
        Self { log: Some(log.display().to_string()), ..self }
    }

    /// Its state and bytes.
    pub(crate) fn summary(&self) -> String {
        format!("{}, {}", state_and_reason(self), bytes_of(self))
    }

    /// Adds the records.
    pub(crate) fn with_files(self, job: &Job) -> Self {
        Self { files: job.records.iter().map(file).collect(), ..self }
    }
}

fn state(job: &Job, live: bool) -> State {
    match (job.display.result, job.display.pause_reason) {
        (Some(Err(FailureReason::Aborted)), _) => State::Aborted,
        (Some(_), _) if !job.display.over => State::Saving,
        (Some(Ok(())), _) => State::Success,
        (Some(Err(_)), _) => State::Failure,
        (None, Some(PauseReason::User)) => State::Paused,
        // If no process is working on it, other reasons do not matter.
        (None, _) if !live => State::Stopped,
        (None, None) => State::Running,
        (None, Some(PauseReason::Offline)) => State::Offline,
        (None, Some(PauseReason::Metered)) => State::Metered,
        (None, Some(PauseReason::CaptivePortal)) => State::CaptivePortal,
        (None, Some(PauseReason::Storage)) => State::DiskFull,
        (None, Some(_)) => State::Paused,
    }
}

fn file(record: &JobRecord) -> FileInfo {
    FileInfo {
        url: record.url.to_string(),
        method: record.method.clone(),
        downloaded: record.stored,
        length: record.length,
        status: record.status,
        in_flight: record.in_flight,
        result: record.result.map(|result| match result {
            RecordResult::Success => FileResult::Success,
            RecordResult::Failure(_) => FileResult::Failure,
        }),
        failure_reason: record.result.and_then(RecordResult::failure),
    }
}

/// The expected bytes: `downloadTotal` if it was given, otherwise the sum of all lengths once they
/// are known.
pub(crate) fn expected_total(job: &Job) -> Option<u64> {
    if job.display.result.is_some() {
        return Some(job.display.downloaded);
    }
    if job.display.download_total > 0 {
        return Some(job.display.download_total);
    }
    let length = |record: &JobRecord| match record.result {
        Some(_) => Some(record.stored),
        None => record.length,
    };
    job.records.iter().map(length).sum()
}

/// Bytes for people, with their total if it is known.
fn amount(downloaded: u64, total: Option<u64>) -> String {
    match total {
        Some(total) if total != downloaded => {
            format!("{} of {}", HumanBytes(downloaded), HumanBytes(total))
        }
        _ => HumanBytes(downloaded).to_string(),
    }
}

fn bytes_of(job: &JobInfo) -> String {
    amount(job.downloaded, job.download_total)
}

/// All fetches as a table with a heading. If `terminal` is a terminal's width, no line is wider; the
/// states and the bytes are kept as long as possible.
pub(crate) fn table(jobs: &[JobInfo], terminal: Option<usize>) -> String {
    let heading = ["ID", "STATE", "BYTES", "FILES", "TITLE"].map(String::from);
    let row = |job: &JobInfo| {
        let files = job
            .records
            .map_or_else(|| "-".into(), |Count { settled, total }| format!("{settled}/{total}"));
        [
            printable(&job.id),
            state_and_reason(job),
            bytes_of(job),
            files,
            shortened(&printable(&job.title), TITLE_WIDTH),
        ]
    };
    let rows: Vec<_> = std::iter::once(heading).chain(jobs.iter().map(row)).collect();
    let width = |column: usize| {
        let column_cells = rows.iter().filter_map(|row| row.get(column));
        column_cells.map(|cell| cells(cell)).max().unwrap_or_default()
    };
    let widths: [usize; 5] = std::array::from_fn(width);
    let widths = terminal.map_or(widths, |terminal| narrowed(widths, terminal));
    let mut table = String::new();
    for row in &rows {
        let shown = row.iter().zip(widths).filter(|(_, width)| *width > 0);
        let line = shown.map(|(cell, width)| padded(cell, width)).collect::<Vec<_>>().join(GAP);
        let line = line.trim_end();
        table.push_str(&terminal.map_or_else(|| line.to_owned(), |width| shortened(line, width)));
        table.push('\n');
    }
    table
}

/// What is between two columns.
const GAP: &str = "  ";

/// Ids are not cut below this for the number of files, nor below that for anything.
const MIN_ID: usize = 16;
const SHORTEST_ID: usize = 6;

/// The widths of the columns on a terminal of that width; 0 for a column that is left out. The title
/// is cut first, then the id, then the files are left out.
fn narrowed(widths: [usize; 5], terminal: usize) -> [usize; 5] {
    let [id, state, bytes, files, title] = widths;
    let left = |used: [usize; 4]| {
        terminal.saturating_sub(used.iter().map(|width| width + cells(GAP)).sum::<usize>())
    };
    let for_title = left([id, state, bytes, files]).min(title);
    if for_title >= cells("TITLE") {
        return [id, state, bytes, files, for_title];
    }
    let gap = cells(GAP);
    match (left([state, bytes, files, 0]) + gap).min(id) {
        for_id if for_id >= id.min(MIN_ID) => [for_id, state, bytes, files, 0],
        _ => [
            (left([state, bytes, 0, 0]) + 2 * gap).clamp(SHORTEST_ID.min(id), id),
            state,
            bytes,
            0,
            0,
        ],
    }
}

fn state_and_reason(job: &JobInfo) -> String {
    match job.failure_reason {
        Some(reason) if job.state == State::Failure => format!("failure ({})", reason.as_str()),
        _ => job.state.to_string(),
    }
}

/// One fetch in detail: its properties, then a line for each record.
pub(crate) fn detail(job: &JobInfo) -> String {
    let mut text = String::new();
    let mut fact = |name: &str, value: &str| {
        // A String takes any text, here and below.
        writeln!(text, "{name:8}{}", printable(value)).unwrap_or_default();
    };
    fact("id", &job.id);
    if !job.title.is_empty() {
        fact("title", &job.title);
    }
    fact("state", &state_and_reason(job));
    fact("bytes", &bytes_of(job));
    if let Some(out) = &job.out {
        fact("out", out);
    }
    if let Some(log) = &job.log {
        fact("log", log);
    }
    for file in &job.files {
        let state = match (file.failure_reason, file.result) {
            (Some(reason), _) => format!("failed ({})", why_file(reason, file.status)),
            (None, Some(_)) => "done".into(),
            (None, None) if file.in_flight => "running".into(),
            (None, None) => "waiting".into(),
        };
        let status = file.status.map_or_else(|| "-".into(), |status| status.to_string());
        let bytes = amount(file.downloaded, file.length);
        let url = printable(&file.url);
        writeln!(text, "  {state}  {status}  {bytes}  {url}").unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use bgfetch::{Display, FetchKey, Origin, RegistrationKey, StorageKey};

    use super::*;

    fn info(id: &str, title: &str) -> JobInfo {
        let scope = "file:///out/".parse().unwrap();
        let registration = RegistrationKey { storage_key: StorageKey("a".into()), scope };
        let mut job = Job::new(FetchKey(1), registration, id, Display::new(Origin::opaque()));
        job.display.title = title.into();
        job.display.downloaded = 5 << 20;
        let mut record = JobRecord::new("GET", "http://a.test/x".parse().unwrap());
        record.length = Some(1 << 30);
        job.records = vec![record];
        JobInfo::new(&job, true)
    }

    #[test]
    fn a_table_is_as_wide_as_its_cells() {
        let table = table(&[info("film-6a7d0efb", "A film"), info("b", "")], None);
        let expected = "\
ID             STATE    BYTES                 FILES  TITLE
film-6a7d0efb  running  5.00 MiB of 1.00 GiB  0/1    A film
b              running  5.00 MiB of 1.00 GiB  0/1
";
        assert_eq!(table, expected);
    }

    #[test]
    fn states_and_bytes_are_seen_whatever_the_ids_and_titles_are() {
        let wide = "文件名e\u{301}\u{1b}".repeat(50);
        for (id, title) in [("x", wide.as_str()), (&wide, ""), (&wide, &wide)] {
            for width in [1, 20, 39, 79, 199] {
                let table = table(&[info(id, title), info("x", "")], Some(width));
                assert!(table.lines().all(|line| cells(line) <= width), "{table}");
                let seen = table.matches("running  5.00 MiB of 1.00 GiB").count();
                assert!(width < 39 || seen == 2, "{width}: {table}");
                assert_eq!(table.lines().count(), 3);
            }
        }
        let wide = table(&[info("film-6a7d0efb", "A film of many words")], Some(60));
        assert!(wide.contains("film-6a7d0efb  running") && wide.contains("  A fi…ds"), "{wide}");
    }
}
