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
const NAME_WIDTH: usize = 28;

/// A heading, a bar for each of a few records, and one for them all.
pub(crate) struct Bars {
    multi: MultiProgress,
    heading: ProgressBar,
    /// What stands before the state in the heading.
    title: String,
    /// The bars of records, with the record that each shows.
    slots: Vec<(ProgressBar, usize)>,
    /// Tells how many records are not shown.
    more: Option<ProgressBar>,
    total: ProgressBar,
    total_form: Option<Form>,
    /// The records that wait to be tried again: until when, and why.
    retries: HashMap<usize, (Instant, String)>,
}

/// What a bar can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The length is known.
    Bar,
    /// Only the bytes are known.
    Bytes,
    /// Nothing moves, so a rate would be wrong.
    Still,
}

impl Bars {
    pub(super) fn new(plan: &Plan) -> Self {
        let multi = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        let heading = multi.add(ProgressBar::new_spinner().with_style(style("{msg}")));
        let count = plan.urls.len();
        let slot = |record| {
            let bar = ProgressBar::new_spinner().with_style(style("  {prefix} {msg}"));
            (multi.add(bar), record)
        };
        let slots = (0..count.min(VISIBLE)).map(slot).collect();
        let more = (count > VISIBLE)
            .then(|| multi.add(ProgressBar::new_spinner().with_style(style("  {msg}"))));
        let total = multi.add(ProgressBar::new_spinner());
        Self {
            title: title(plan),
            multi,
            heading,
            slots,
            more,
            total,
            total_form: None,
            retries: HashMap::new(),
        }
    }

    /// Remembers what the fetch's state does not tell.
    pub(super) fn event(&mut self, event: &Event) {
        if let What::Retry {
            record,
            delay,
            message,
            ..
        } = &event.what
        {
            let until = Instant::now() + *delay;
            self.retries
                .insert(record.index.0 as usize, (until, printable(message)));
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
        self.choose_visible(&job.records);
        for (bar, index) in &self.slots {
            if let Some(record) = job.records.get(*index) {
                self.draw_record(bar, *index, record, now);
            }
        }
        if let Some(more) = &self.more {
            let hidden = job.records.len().saturating_sub(self.slots.len());
            more.set_message(format!("… {hidden} more"));
        }
        self.draw_total(job);
    }

    /// Gives the slots of records that have ended to others, those with a connection first.
    fn choose_visible(&mut self, records: &[JobRecord]) {
        if records.len() <= self.slots.len() {
            return;
        }
        let mut shown: BTreeSet<usize> = self.slots.iter().map(|(_, index)| *index).collect();
        let open = |record: &JobRecord| record.result.is_none();
        let next = |shown: &BTreeSet<usize>, wanted: &dyn Fn(&JobRecord) -> bool| {
            let mut hidden = records
                .iter()
                .enumerate()
                .filter(|(index, _)| !shown.contains(index));
            hidden
                .find(|(_, record)| wanted(record))
                .map(|(index, _)| index)
        };
        for (_, index) in &mut self.slots {
            let idle = records.get(*index).is_none_or(|record| !record.in_flight);
            let ended = records
                .get(*index)
                .is_none_or(|record| record.result.is_some());
            let replacement = next(&shown, &|record| record.in_flight).filter(|_| idle);
            let replacement = replacement.or_else(|| next(&shown, &open).filter(|_| ended));
            if let Some(replacement) = replacement {
                shown.remove(index);
                shown.insert(replacement);
                *index = replacement;
            }
        }
    }

    fn draw_record(&self, bar: &ProgressBar, index: usize, record: &JobRecord, now: Instant) {
        let name = shortened(&file_name(&record.url), NAME_WIDTH);
        bar.set_prefix(format!("{name:NAME_WIDTH$}"));
        let state = match (record.result, self.retries.get(&index)) {
            (Some(RecordResult::Success), _) => "done".into(),
            (Some(RecordResult::Failure(reason)), _) => match record.status {
                Some(status) => format!("{}, {status}", reason.as_str()),
                None => reason.as_str().into(),
            },
            (None, Some((until, message))) if !record.in_flight => {
                let seconds = until.duration_since(now).as_secs_f64().ceil();
                format!("retrying in {seconds} s ({message})")
            }
            (None, _) if record.in_flight => String::new(),
            (None, _) => "waiting".into(),
        };
        let form = if record.length.is_some() {
            Form::Bar
        } else {
            Form::Bytes
        };
        bar.set_style(style(match form {
            Form::Bar => "  {prefix} [{bar:20}] {binary_bytes:>10}/{binary_total_bytes} {msg}",
            _ => "  {prefix} {binary_bytes:>10} {msg}",
        }));
        if let Some(length) = record.length {
            bar.set_length(length);
        }
        bar.set_position(record.stored);
        bar.set_message(state);
    }

    fn draw_total(&mut self, job: &Job) {
        let expected = expected_total(job);
        let held = job.display.pause_reason.is_some() || job.display.result.is_some();
        let form = match expected {
            _ if held => Form::Still,
            Some(_) => Form::Bar,
            None => Form::Bytes,
        };
        if let Some(expected) = expected {
            self.total.set_length(expected);
        }
        self.total.set_position(job.display.downloaded);
        if self.total_form.replace(form) != Some(form) {
            self.total.set_style(style(match form {
                Form::Bar => {
                    "  [{bar:40}] {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  \
                     {eta} left  {msg}"
                }
                Form::Bytes => "  {binary_bytes}  {binary_bytes_per_sec}  {msg}",
                Form::Still => "  {binary_bytes}  {msg}",
            }));
            // What was there before counts for nothing in the rate.
            self.total.reset_eta();
        }
        if job.records.len() > 1 {
            let ended = job
                .records
                .iter()
                .filter(|record| record.result.is_some())
                .count();
            self.total
                .set_message(format!("{ended}/{} files", job.records.len()));
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

/// A style of this module; each of its templates is valid, which a test proves.
fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
