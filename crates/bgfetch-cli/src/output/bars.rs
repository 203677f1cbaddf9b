//! Progress bars on a terminal.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use bgfetch::{Event, Job, JobRecord, RecordResult, What};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::pause_text;
use crate::file_names::file_name;
use crate::jobs::expected_total;
use crate::plan::Plan;
use crate::text::{printable, shortened};

/// The most records that are shown at a time.
const VISIBLE: usize = 8;

/// Characters of a record's name.
const NAME_WIDTH: usize = 24;

/// A line of text.
const LINE: &str = "{wide_msg}";
/// A record with nothing but its state, and with its bytes of a known and an unknown length.
const RECORD: &str = "  {prefix} {wide_msg}";
const RECORD_BAR: &str = "  {prefix} [{bar:20}] {binary_bytes:>10}/{binary_total_bytes} {wide_msg}";
const RECORD_BYTES: &str = "  {prefix}                        {binary_bytes:>10} {wide_msg}";
/// All records, with and without their length, and while nothing moves, when a rate would be wrong.
const TOTAL_BAR: &str = "  [{bar:40}] {binary_bytes}/{binary_total_bytes}  \
                         {binary_bytes_per_sec}  {eta} left  {wide_msg}";
const TOTAL_BYTES: &str = "  {binary_bytes}  {binary_bytes_per_sec}  {wide_msg}";
const TOTAL_STILL: &str = "  {binary_bytes}  {wide_msg}";

/// A heading, a bar for each of a few records, and one for them all.
pub(crate) struct Bars {
    multi: MultiProgress,
    heading: ProgressBar,
    /// What stands before the state in the heading.
    title: String,
    /// The bars of records.
    slots: Vec<ProgressBar>,
    /// Which record each of them shows.
    shown: Vec<usize>,
    /// Tells how many records are not shown.
    more: Option<ProgressBar>,
    total: ProgressBar,
    total_template: Option<&'static str>,
    /// The records that wait to be tried again: until when, and why.
    retries: HashMap<usize, (Instant, String)>,
}

impl Bars {
    pub(super) fn new(plan: &Plan) -> Self {
        let multi = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        let line = |template| multi.add(ProgressBar::new_spinner().with_style(style(template)));
        let count = plan.urls.len();
        let heading = line(LINE);
        let shown: Vec<usize> = (0..count.min(VISIBLE)).collect();
        let slots = shown.iter().map(|_| line(RECORD)).collect();
        let more = (count > VISIBLE).then(|| line(LINE));
        let total = line(LINE);
        Self {
            title: title(plan),
            multi,
            heading,
            slots,
            shown,
            more,
            total,
            total_template: None,
            retries: HashMap::new(),
        }
    }

    /// Remembers what the fetch's state does not tell.
    pub(super) fn event(&mut self, event: &Event) {
        if let What::Retry { record, delay, message, .. } = &event.what {
            let until = Instant::now() + *delay;
            self.retries.insert(record.index.0 as usize, (until, cause(message)));
        }
    }

    pub(super) fn note(&mut self, text: &str) {
        // Where the terminal is gone there is nobody to tell.
        self.multi.println(printable(text)).unwrap_or_default();
    }

    pub(super) fn clear(&self) {
        // Where the terminal is gone there is nothing to clear.
        self.multi.clear().unwrap_or_default();
        self.multi.set_draw_target(ProgressDrawTarget::hidden());
    }

    pub(super) fn suspended(&self, write: impl FnOnce()) {
        self.multi.suspend(write);
    }

    pub(super) fn draw(&mut self, job: &Job) {
        let now = Instant::now();
        self.retries.retain(|_, (until, _)| *until > now);
        let state = match (job.display.result, job.display.pause_reason) {
            (Some(_), _) => " – saving",
            (None, Some(reason)) => &format!(" – {}", pause_text(reason)),
            (None, None) => "",
        };
        self.heading.set_message(format!("{}{state}", self.title));
        choose_visible(&mut self.shown, &job.records);
        for (bar, index) in self.slots.iter().zip(&self.shown) {
            if let Some(record) = job.records.get(*index) {
                self.draw_record(bar, *index, record, now);
            }
        }
        if let Some(more) = &self.more {
            let hidden = job.records.len().saturating_sub(self.slots.len());
            more.set_message(format!("  … {hidden} more"));
        }
        self.draw_total(job);
    }

    fn draw_record(&self, bar: &ProgressBar, index: usize, record: &JobRecord, now: Instant) {
        let name = shortened(&file_name(&record.url), NAME_WIDTH);
        bar.set_prefix(format!("{name:NAME_WIDTH$}"));
        let rests = record.result.is_none() && !record.in_flight;
        let retry = self.retries.get(&index).filter(|_| rests);
        let state = match (record.result, retry) {
            (Some(RecordResult::Success), _) => "done".into(),
            (Some(RecordResult::Failure(reason)), _) => match record.status {
                Some(status) => format!("{}, {status}", reason.as_str()),
                None => reason.as_str().into(),
            },
            (None, Some((until, message))) => {
                let seconds = until.duration_since(now).as_secs_f64().ceil();
                format!("retrying in {seconds} s ({message})")
            }
            (None, None) if rests => "waiting".into(),
            (None, None) => String::new(),
        };
        let template = match (retry, record.length) {
            // The reason is worth more than the bar, for which there is no room beside it.
            (Some(_), _) => RECORD,
            (None, Some(_)) => RECORD_BAR,
            (None, None) => RECORD_BYTES,
        };
        bar.set_style(style(template));
        if let Some(length) = record.length {
            bar.set_length(length);
        }
        bar.set_position(record.stored);
        bar.set_message(state);
    }

    fn draw_total(&mut self, job: &Job) {
        let expected = expected_total(job);
        let still = !job.records.iter().any(|record| record.in_flight);
        let template = match expected {
            _ if still => TOTAL_STILL,
            Some(_) => TOTAL_BAR,
            None => TOTAL_BYTES,
        };
        if let Some(expected) = expected {
            self.total.set_length(expected);
        }
        self.total.set_position(job.display.downloaded);
        if self.total_template.replace(template) != Some(template) {
            self.total.set_style(style(template));
            // What was there before counts for nothing in the rate.
            self.total.reset_eta();
        }
        if job.records.len() > 1 {
            let ended = job.records.iter().filter(|record| record.result.is_some());
            let message = format!("{}/{} files", ended.count(), job.records.len());
            self.total.set_message(message);
        }
    }
}

/// Gives the places of records that rest to others: first to those with a connection, and when a
/// record has ended to any that has not.
fn choose_visible(shown: &mut [usize], records: &[JobRecord]) {
    if records.len() <= shown.len() {
        return;
    }
    let mut visible: BTreeSet<usize> = shown.iter().copied().collect();
    for place in shown {
        let Some(record) = records.get(*place) else {
            continue;
        };
        let hidden = |wanted: fn(&JobRecord) -> bool| {
            let wanted =
                |index: &usize| !visible.contains(index) && records.get(*index).is_some_and(wanted);
            (0..records.len()).find(wanted)
        };
        let mut next = None;
        if !record.in_flight {
            next = hidden(|record| record.in_flight);
        }
        if next.is_none() && record.result.is_some() {
            next = hidden(|record| record.result.is_none());
        }
        if let Some(next) = next {
            visible.remove(place);
            visible.insert(next);
            *place = next;
        }
    }
}

impl Drop for Bars {
    /// Whatever ends the command: what it prints then begins on an empty line.
    fn drop(&mut self) {
        self.clear();
    }
}

/// The title, or the id where there is none, and the hosts.
fn title(plan: &Plan) -> String {
    let name = match plan.options.title.as_str() {
        "" => &plan.id,
        title => title,
    };
    let hosts: BTreeSet<&str> = plan.urls.iter().filter_map(|url| url.host_str()).collect();
    let hosts: Vec<&str> = hosts.into_iter().collect();
    let hosts = match hosts.as_slice() {
        [first, second, _, ..] => format!("{first}, {second} and {} more", hosts.len() - 2),
        few => few.join(", "),
    };
    shortened(&printable(&format!("{name} from {hosts}")), 70)
}

/// The last part of a message that tells its cause after a colon, without the system's number.
fn cause(message: &str) -> String {
    let last = message.rsplit(": ").next().unwrap_or(message);
    printable(last.split(" (os error").next().unwrap_or(last))
}

/// A style of this module; the test proves that each of its templates is valid.
fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_valid() {
        let templates =
            [LINE, RECORD, RECORD_BAR, RECORD_BYTES, TOTAL_BAR, TOTAL_BYTES, TOTAL_STILL];
        for template in templates {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn the_cause_is_the_last_part_of_a_message() {
        let message = "connect error: Connection refused (os error 111)";
        assert_eq!(cause(message), "Connection refused");
        assert_eq!(cause("the body ended early"), "the body ended early");
    }

    #[test]
    fn those_at_work_are_shown_and_those_that_ended_make_room() {
        let url = bgfetch::Request::get("http://a.test/x".parse().unwrap()).url;
        let record = |in_flight, result| JobRecord {
            method: "GET".into(),
            url: url.clone(),
            in_flight,
            stored: 0,
            length: None,
            status: None,
            result,
        };
        let (waits, works) = (record(false, None), record(true, None));
        let ended = record(false, Some(RecordResult::Success));
        let mut shown = [0, 1, 2];
        let start = [works.clone(), works.clone(), waits.clone(), waits.clone(), waits.clone()];
        choose_visible(&mut shown, &start);
        assert_eq!(shown, [0, 1, 2]);
        choose_visible(&mut shown, &[ended, works.clone(), waits.clone(), waits, works]);
        assert_eq!(shown, [4, 1, 2]);
    }
}
