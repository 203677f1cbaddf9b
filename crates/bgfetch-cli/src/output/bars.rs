//! Progress bars on a terminal.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use bgfetch::{Event, Job, JobRecord, What};
use indicatif::ProgressBar;

use super::in_place::InPlace;
use super::lines::{View, lines, places};
use super::marks::HighWaterMarks;
use super::plain::{Pace, resumed_records};
use crate::plan::Plan;
use crate::text::{printable, shortened_inside};

/// Draws a heading, a line for each of a few records, and a line for the total, in place of the
/// previous ones.
pub(crate) struct Bars {
    lines: InPlace,
    /// The heading without the state.
    title: String,
    /// The records that have a line.
    shown: Vec<usize>,
    /// The records that wait to be retried: until when, and why.
    retries: HashMap<usize, (Instant, String)>,
    marks: HighWaterMarks,
    /// Estimates the rate; it is never drawn.
    speed: ProgressBar,
    /// Whether any record was in flight when it was last drawn.
    moving: bool,
    /// Formats the lines that stay, if they are wanted.
    verbose: Option<Pace>,
}

impl Bars {
    pub(super) fn new(plan: &Plan, verbose: bool) -> Self {
        Self {
            verbose: verbose.then(Pace::default),
            lines: InPlace::new(),
            title: title(plan),
            shown: Vec::new(),
            retries: HashMap::new(),
            marks: HighWaterMarks::default(),
            speed: ProgressBar::hidden(),
            moving: false,
        }
    }

    pub(super) fn restarted(&mut self, job: &Job) {
        if self.verbose.is_some() {
            resumed_records(job).for_each(|line| self.remark(&line));
        }
        self.draw(job);
    }

    /// Remembers the parts of an event that the fetch's state does not contain.
    pub(super) fn event(&mut self, event: &Event) {
        if let Some(pace) = &mut self.verbose
            && !matches!(event.what, What::Progress)
            && let Some(line) = pace.line_of(event)
        {
            self.remark(&line);
        }
        if let What::Retry { record, delay, message, .. } = &event.what {
            let until = Instant::now() + *delay;
            self.retries.insert(record.index.0 as usize, (until, printable(message)));
        }
    }

    pub(super) fn note(&mut self, text: &str) {
        self.lines.note(text);
    }

    /// A line with a URL, which may be long.
    fn remark(&mut self, text: &str) {
        let (width, _) = self.lines.size();
        self.lines.note(&shortened_inside(&printable(text), width));
    }

    /// Removes the lines; returns how many cells a line may have.
    pub(super) fn clear(&mut self) -> usize {
        self.lines.draw(Vec::new());
        let (width, _) = self.lines.size();
        width
    }

    pub(super) fn suspended(&mut self, write: impl FnOnce()) {
        self.lines.suspended(write);
    }

    pub(super) fn draw(&mut self, job: &Job) {
        let (width, height) = self.lines.size();
        let now = Instant::now();
        self.retries.retain(|_, (until, _)| *until > now);
        choose_visible(&mut self.shown, &job.records, places(job.records.len(), height));
        let retry = |index: usize| {
            let (until, message) = self.retries.get(&index)?;
            Some((until.saturating_duration_since(now), message.as_str()))
        };
        let rate = measure(&self.speed, &mut self.moving, job);
        self.marks.raise(&job.records);
        let (shown, marks) = (&self.shown, &self.marks);
        let view = View { title: &self.title, job, shown, retry: &retry, marks, rate };
        let lines = lines(&view, width, height);
        self.lines.draw(lines);
    }
}

/// Bytes per second, if any record is in flight.
fn measure(speed: &ProgressBar, moving: &mut bool, job: &Job) -> Option<f64> {
    let moves = job.records.iter().any(|record| record.in_flight);
    speed.set_position(job.display.downloaded);
    if moves && !*moving {
        // Bytes from before do not count towards the rate.
        speed.reset_eta();
    }
    *moving = moves;
    moves.then(|| speed.per_sec())
}

/// Gives the places of inactive records to other records: first to those in flight, then, if a
/// shown record has ended, to any that has not.
fn choose_visible(shown: &mut Vec<usize>, records: &[JobRecord], places: usize) {
    let places = places.min(records.len());
    shown.truncate(places);
    let mut others = (0..records.len()).filter(|index| !shown.contains(index)).collect::<Vec<_>>();
    others.truncate(places - shown.len());
    shown.extend(others);
    if records.len() == places {
        shown.sort_unstable();
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

/// The title, or the id if there is none, and the hosts.
fn title(plan: &Plan) -> String {
    let name = match plan.title.as_str() {
        "" => &plan.id,
        title => title,
    };
    let hosts: Vec<&str> = plan.hosts().into_iter().collect();
    let hosts = match hosts.as_slice() {
        [first, second, _, ..] => format!("{first}, {second} and {} more", hosts.len() - 2),
        few => few.join(", "),
    };
    printable(&format!("{name} from {hosts}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bgfetch::RecordResult;

    #[test]
    fn those_at_work_are_shown_and_those_that_ended_make_room() {
        let record = |in_flight, result| {
            let mut record = JobRecord::new("GET", "http://a.test/x".parse().unwrap());
            (record.in_flight, record.result) = (in_flight, result);
            record
        };
        let (waits, works) = (record(false, None), record(true, None));
        let ended = record(false, Some(RecordResult::Success));
        let mut shown = Vec::new();
        let start = [works.clone(), works.clone(), waits.clone(), waits.clone(), waits.clone()];
        choose_visible(&mut shown, &start, 3);
        assert_eq!(shown, [0, 1, 2]);
        let later = [ended, works.clone(), waits.clone(), waits, works];
        choose_visible(&mut shown, &later, 3);
        assert_eq!(shown, [4, 1, 2]);
        // The terminal shrinks, and then becomes high enough for all records.
        choose_visible(&mut shown, &later, 2);
        assert_eq!(shown, [4, 1]);
        choose_visible(&mut shown, &later, 5);
        assert_eq!(shown, [0, 1, 2, 3, 4]);
    }
}
