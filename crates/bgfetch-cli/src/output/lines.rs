//! Lays out the lines that a terminal shows for a fetch: as many as fit, none wider than the
//! terminal.

use std::fmt::Write as _;
use std::time::Duration;

use bgfetch::{FailureReason, Job, JobRecord, RecordResult};
use indicatif::{HumanBytes, HumanDuration};

use super::marks::HighWaterMarks;
use super::pause_text;
use crate::file_names::file_name;
use crate::jobs::expected_total;
use crate::text::{cells, padded, shortened};

/// The maximum number of records that are shown at a time.
const VISIBLE: usize = 8;

/// The width of names if there is room for bars, and their maximum, in cells.
const NAME: usize = 24;
const WIDE_NAME: usize = 60;

/// The maximum widths of a record's bar and of the total's bar.
const BAR: usize = 20;
const TOTAL_BAR: usize = 40;

/// Narrower bars than this are useless.
const MIN_BAR: usize = 8;

/// Names do not shrink below this to make room for the rest.
const MIN_NAME: usize = 8;

/// The indentation of all lines but the heading.
const INDENT: usize = 2;

/// The contents of the screen.
pub(super) struct View<'a> {
    /// The name of the fetch and its hosts.
    pub(super) title: &'a str,
    pub(super) job: &'a Job,
    /// The records that have lines of their own.
    pub(super) shown: &'a [usize],
    /// Why a record is waiting for a retry, and for how long.
    pub(super) retry: &'a dyn Fn(usize) -> Option<(Duration, &'a str)>,
    /// How many bytes each record has had.
    pub(super) marks: &'a HighWaterMarks,
    /// Bytes per second; `None` if no record is in flight.
    pub(super) rate: Option<f64>,
}

/// How many records get a line of their own on a terminal of that height. A single record is shown
/// in the line of the total.
pub(super) fn places(records: usize, height: usize) -> usize {
    // Three lines are for the heading, the total and the cursor.
    let room = height.saturating_sub(3);
    match records {
        0 | 1 => 0,
        _ if records <= room.min(VISIBLE) => records,
        // One line shows how many records are hidden.
        _ => room.saturating_sub(1).min(VISIBLE),
    }
}

/// The lines for a terminal of that height, each of at most `width` cells. The last one is the
/// total.
pub(super) fn lines(view: &View<'_>, width: usize, height: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if height > 2 {
        lines.push(heading(view, width));
    }
    lines.extend(record_lines(view, width));
    let hidden = view.job.records.len() - view.shown.len();
    if !view.shown.is_empty() && hidden > 0 {
        lines.push(shortened(&format!("  … {hidden} more"), width));
    }
    lines.push(total_line(view, width));
    lines
}

fn heading(view: &View<'_>, width: usize) -> String {
    let display = &view.job.display;
    let state = match (display.result, display.pause_reason) {
        (Some(_), _) => " – saving",
        (None, Some(reason)) => &format!(" – {}", pause_text(reason)),
        (None, None) => "",
    };
    let title = shortened(view.title, width.saturating_sub(cells(state)));
    shortened(&format!("{title}{state}"), width)
}

/// The parts of a record's line.
struct Row<'a> {
    name: String,
    record: &'a JobRecord,
    bytes: String,
    state: String,
    /// Whether the state replaces the bar and the bytes.
    waits: bool,
}

fn record_lines(view: &View<'_>, width: usize) -> Vec<String> {
    let row = |index: &usize| {
        let record = view.job.records.get(*index)?;
        let retry = retry_of(view, *index, record);
        Some(Row {
            name: file_name(&record.url),
            record,
            bytes: bytes_of(record.stored, record.length),
            waits: retry.is_some(),
            state: retry.unwrap_or_else(|| state_of(view, *index, record)),
        })
    };
    let mut rows: Vec<Row<'_>> = view.shown.iter().filter_map(row).collect();
    let widest = |cell: fn(&Row<'_>) -> usize| rows.iter().map(cell).max().unwrap_or_default();
    let states = widest(|row| if row.waits { 0 } else { cells(&row.state) });
    let bytes = widest(|row| if row.waits { 0 } else { cells(&row.bytes) });
    // The lengths are the first to be left out.
    let is_narrow = INDENT + MIN_NAME + 2 + bytes + 2 + states > width;
    if is_narrow {
        rows.iter_mut().for_each(|row| row.bytes = bytes_of(row.record.stored, None));
    }
    let widest = |cell: fn(&Row<'_>) -> usize| rows.iter().map(cell).max().unwrap_or_default();
    let bytes = widest(|row| if row.waits { 0 } else { cells(&row.bytes) });
    // The room for the name and the bar.
    let room = width.saturating_sub(INDENT + bytes + 2 + states + usize::from(states > 0) * 2);
    let bar = room.saturating_sub(NAME + 2 + 2).min(BAR);
    let (bar, beside) = if bar < MIN_BAR { (0, 0) } else { (bar, bar + 2 + 2) };
    let longest = widest(|row| cells(&row.name)).clamp(NAME, WIDE_NAME);
    let name = room.saturating_sub(beside).clamp(MIN_NAME, longest);
    let line = |row: &Row<'_>| {
        let mut line = format!("{:INDENT$}{}", "", padded(&row.name, name));
        if row.waits {
            write!(line, "  {}", row.state)
        } else {
            if bar > 0 {
                // A String takes any text, here and below.
                let share = row.record.length.and_then(|length| share(row.record.stored, length));
                write!(line, "  {}", drawn_bar(share, bar)).unwrap_or_default();
            }
            write!(line, "  {:>bytes$}  {}", row.bytes, row.state)
        }
        .unwrap_or_default();
        shortened(line.trim_end(), width)
    };
    rows.iter().map(line).collect()
}

/// When and why a record will be retried, if it is waiting for that.
fn retry_of(view: &View<'_>, index: usize, record: &JobRecord) -> Option<String> {
    let rests = record.result.is_none() && !record.in_flight;
    let (left, message) = (view.retry)(index).filter(|_| rests)?;
    Some(format!("retrying in {} s ({message})", left.as_secs_f64().ceil()))
}

fn state_of(view: &View<'_>, index: usize, record: &JobRecord) -> String {
    match (record.result, record.status) {
        (Some(RecordResult::Success), _) => "done".into(),
        (Some(RecordResult::Failure(FailureReason::BadStatus)), Some(status)) => {
            format!("failed, {status}")
        }
        (Some(RecordResult::Failure(_)), _) => "failed".into(),
        (None, _) if !record.in_flight => "waiting".into(),
        (None, _) if view.marks.is_again(index, record) => "fetched again".into(),
        (None, _) => String::new(),
    }
}

/// The bytes of all records, and whatever else fits.
fn total_line(view: &View<'_>, width: usize) -> String {
    let job = view.job;
    let expected = expected_total(job);
    let bytes = bytes_of(job.display.downloaded, expected);
    let mut room = width.saturating_sub(INDENT + cells(&bytes));
    let mut fitting = |part: Option<String>| {
        let part = part.map(|part| format!("  {part}")).filter(|part| cells(part) <= room);
        room -= part.as_deref().map_or(0, cells);
        part.unwrap_or_default()
    };
    // The most important part first.
    let state = match job.records.as_slice() {
        [only] => {
            let state = retry_of(view, 0, only).unwrap_or_else(|| state_of(view, 0, only));
            let state = shortened(&state, width.saturating_sub(INDENT + cells(&bytes) + 2));
            Some(state).filter(|state| !state.is_empty())
        }
        records => {
            let ended = records.iter().filter(|record| record.result.is_some());
            Some(format!("{}/{} files", ended.count(), records.len()))
        }
    };
    let state = fitting(state);
    let left = expected.zip(view.rate).and_then(|(expected, rate)| {
        let bytes = expected.saturating_sub(job.display.downloaded) as f64;
        let left = Duration::try_from_secs_f64(bytes / rate).ok()?;
        Some(format!("{:#} left", HumanDuration(left)))
    });
    let left = fitting(left);
    let rate = fitting(view.rate.map(|rate| format!("{}/s", HumanBytes(rate as u64))));
    let bar = room.saturating_sub(2 + 2).min(TOTAL_BAR);
    let bar = match expected.and_then(|expected| share(job.display.downloaded, expected)) {
        Some(share) if bar >= MIN_BAR => format!("{}  ", drawn_bar(Some(share), bar)),
        _ => String::new(),
    };
    shortened(&format!("{:INDENT$}{bar}{bytes}{rate}{left}{state}", ""), width)
}

fn bytes_of(stored: u64, length: Option<u64>) -> String {
    match length {
        Some(length) => format!("{}/{}", HumanBytes(stored), HumanBytes(length)),
        None => HumanBytes(stored).to_string(),
    }
}

/// The downloaded share; `None` if the length is 0.
fn share(stored: u64, length: u64) -> Option<f64> {
    (length > 0).then(|| (stored as f64 / length as f64).min(1.0))
}

/// A bar with `inside` cells between its brackets; blank if the share is not known.
fn drawn_bar(share: Option<f64>, inside: usize) -> String {
    let Some(share) = share else {
        return " ".repeat(inside + 2);
    };
    let full = (share * inside as f64) as usize;
    let head = if full < inside && share > 0.0 { ">" } else { "" };
    format!("[{:inside$}]", "=".repeat(full) + head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bgfetch::{Display, FetchKey, Origin, PauseReason, RegistrationKey, StorageKey};

    fn record(name: &str, stored: u64, length: Option<u64>) -> JobRecord {
        let base = url::Url::parse("http://a.test/").unwrap();
        let mut record = JobRecord::new("GET", base.join(name).unwrap());
        record.in_flight = true;
        (record.stored, record.length, record.status) = (stored, length, Some(200));
        record
    }

    fn job(records: Vec<JobRecord>) -> Job {
        let scope = "file:///out/".parse().unwrap();
        let registration = RegistrationKey { storage_key: StorageKey("a".into()), scope };
        let mut job = Job::new(FetchKey(1), registration, "x", Display::new(Origin::opaque()));
        job.display.downloaded = records.iter().map(|record| record.stored).sum();
        job.records = records;
        job
    }

    fn shown(job: &Job, title: &str, width: usize, height: usize) -> Vec<String> {
        let places: Vec<usize> = (0..places(job.records.len(), height)).collect();
        let retry = |index| (index == 2).then_some((Duration::from_secs(3), "the server is away"));
        let (rate, marks) = (Some(20e6), &HighWaterMarks::default());
        lines(&View { title, job, shown: &places, retry: &retry, marks, rate }, width, height)
    }

    fn sample() -> Job {
        let mut records = vec![
            record("film.mp4", 74 << 20, Some(1 << 30)),
            record("artwork.jpg", 16 << 10, Some(16 << 10)),
            record("later.bin", 5 << 20, None),
            record("chapters.json", 0, Some(153)),
        ];
        records[1].result = Some(RecordResult::Success);
        records[2].in_flight = false;
        records[3].result = Some(RecordResult::Failure(FailureReason::BadStatus));
        records[3].status = Some(404);
        job(records)
    }

    #[test]
    fn a_wide_terminal_shows_everything() {
        let lines = shown(&sample(), "Test film from a.test", 80, 24);
        let expected = "\
Test film from a.test
  film.mp4                  [=>              ]   74.00 MiB/1.00 GiB
  artwork.jpg               [================]  16.00 KiB/16.00 KiB  done
  later.bin                 retrying in 3 s (the server is away)
  chapters.json             [                ]            0 B/153 B  failed, 404
  79.02 MiB  19.07 MiB/s  2/4 files";
        assert_eq!(lines.join("\n"), expected);
    }

    #[test]
    fn no_line_is_too_wide_no_screen_too_high_and_the_total_is_always_there() {
        let wide = "日本語のファイル名".repeat(23);
        let emoji = "👩‍👩‍👧❤️".repeat(20);
        let names = ["film.mp4", &wide, &emoji, "a", "e\u{301}e\u{301}.bin"];
        for count in [1, 2, 5, 8, 9, 200] {
            let named = |n: usize| record(names[n % names.len()], 5 << 20, Some(7 << 30));
            let mut job = job((0..count).map(named).collect());
            for (title, pause) in [("x", None), (&wide, Some(PauseReason::Offline))] {
                job.display.pause_reason = pause;
                for width in [1, 9, 20, 39, 40, 79, 80, 200] {
                    for height in [1, 2, 3, 4, 10, 24, 60] {
                        let lines = shown(&job, title, width, height);
                        let context = format!("{count} {width}x{height} {lines:#?}");
                        assert!(lines.len() < height.max(2), "{context}");
                        assert!(lines.iter().all(|line| cells(line) <= width), "{context}");
                        let total = lines.last().unwrap();
                        assert!(width < 20 || total.contains("MiB/") || count > 199, "{context}");
                        assert!(width < 39 || height < 3 || count == 1 || total.contains("files"));
                        let state = pause.is_none() || lines[0].ends_with("offline – waiting");
                        assert!(width < 39 || height < 3 || state, "{context}");
                    }
                }
            }
        }
    }

    #[test]
    fn on_a_narrow_terminal_states_are_whole_and_lengths_are_left_out() {
        let mut job = sample();
        job.display.pause_reason = Some(PauseReason::User);
        job.records.iter_mut().for_each(|record| record.in_flight = false);
        let lines = shown(&job, "Test film from a.test", 39, 10);
        let expected = "\
Test film from a.test – paused
  film.mp4       74.00 MiB  waiting
  artwork.jpg    16.00 KiB  done
  later.bin      retrying in 3 s (the …
  chapters.json        0 B  failed, 404
  79.02 MiB  19.07 MiB/s  2/4 files";
        assert_eq!(lines.join("\n"), expected);
    }

    #[test]
    fn a_single_file_has_its_state_beside_its_bytes() {
        let mut job = job(vec![record("film.mp4", 1 << 20, Some(4 << 20))]);
        let lines = shown(&job, "film from a.test", 60, 24);
        assert_eq!(
            lines,
            ["film from a.test", "  [===>           ]  1.00 MiB/4.00 MiB  19.07 MiB/s  0s left"]
        );
        job.records[0].in_flight = false;
        let waiting = shown(&job, "film from a.test", 40, 10);
        assert!(waiting[1].ends_with("waiting"), "{waiting:?}");
    }

    #[test]
    fn bytes_that_are_fetched_again_are_called_so() {
        let before = record("film.mp4", 5 << 20, Some(7 << 20));
        let mut marks = HighWaterMarks::default();
        marks.raise(&[before.clone(), before.clone()]);
        let now = before.clone().with(|it| it.stored = 1 << 20);
        for (records, width, expected) in
            [(vec![before.clone(), now.clone()], 80, 1), (vec![now], 40, 1), (vec![before], 40, 0)]
        {
            let shown: Vec<_> = (0..places(records.len(), 24)).collect();
            let (job, retry) = (job(records), |_| None);
            let (title, job, shown, marks) = ("x", &job, &shown, &marks);
            let view = View { title, job, shown, retry: &retry, marks, rate: None };
            let lines = lines(&view, width, 24);
            let again = lines.iter().filter(|line| line.ends_with("  fetched again"));
            assert_eq!(again.count(), expected, "{lines:#?}");
        }
    }

    #[test]
    fn bars_tell_the_share() {
        assert_eq!(drawn_bar(Some(0.0), 4), "[    ]");
        assert_eq!(drawn_bar(Some(0.5), 4), "[==> ]");
        assert_eq!(drawn_bar(Some(1.0), 4), "[====]");
        assert_eq!(drawn_bar(None, 4), "      ");
        assert_eq!((share(5, 0), share(9, 3)), (None, Some(1.0)));
    }
}
