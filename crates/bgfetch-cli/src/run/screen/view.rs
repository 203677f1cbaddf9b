//! The contents of the screen.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use bgfetch::{FetchKey, Job, JobRecord, RecordResult};
use bgfetch_host::Notification;
use indicatif::HumanBytes;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, List, ListItem, ListState, Paragraph};

use super::super::lines::shown;
use super::Command;
use crate::failure::{FileFailure, why};
use crate::jobs::expected_total;
use crate::output::pause_text;
use crate::text::printable;

/// The maximum number of console lines that are kept.
const LOG: usize = 1000;

/// The maximum number of records that are shown.
const RECORDS: u16 = 8;

/// The maximum number of notifications that are shown.
const NOTIFICATIONS: usize = 3;

/// The maximum width of a bar, and the width that the rest of a line needs before there is room for
/// one.
const BAR: u16 = 24;
const BESIDE_BAR: u16 = 50;

const KEYS: [(&str, &str); 6] = [
    ("↑↓", "select"),
    ("p", "pause"),
    ("r", "resume"),
    ("c", "cancel"),
    ("Enter", "click"),
    (QUIT, "quit"),
];

const QUIT: &str = "q";

/// Everything that is shown.
#[derive(Default)]
pub(super) struct View {
    /// The URL of the page.
    pub(super) page: String,
    /// Selectors of the page's elements that the keys from 1 on click.
    pub(super) clickable: Vec<String>,
    jobs: Vec<Job>,
    rates: HashMap<FetchKey, Rate>,
    list: ListState,
    log: VecDeque<String>,
    /// The newest notifications: the tag and who showed it, and what is shown.
    notifications: VecDeque<(String, String)>,
    /// Why records failed, by their fetch and position.
    pub(super) reasons: HashMap<(FetchKey, u32), String>,
}

/// The transfer rate, measured over at least a second.
struct Rate {
    since: Instant,
    bytes: u64,
    per_second: Option<u64>,
}

impl View {
    pub(super) fn log(&mut self, line: String) {
        if self.log.len() == LOG {
            self.log.pop_front();
        }
        self.log.push_back(line);
    }

    /// Shows a notification, in place of an earlier one with its tag.
    pub(super) fn notify(&mut self, by: &str, notification: &Notification) {
        let Notification { title, body, tag, .. } = notification;
        let tag = format!("{by} {tag}");
        if !notification.tag.is_empty() {
            self.notifications.retain(|(earlier, _)| *earlier != tag);
        }
        if self.notifications.len() == NOTIFICATIONS {
            self.notifications.pop_front();
        }
        let text =
            std::iter::once(title.as_str()).chain(body.lines()).filter(|line| !line.is_empty());
        let text = text.collect::<Vec<_>>().join(" – ");
        self.notifications.push_back((tag, printable(&format!(" {text}"))));
    }

    pub(super) fn take_log(&mut self) -> Vec<String> {
        self.log.drain(..).collect()
    }

    /// Sets the state of the fetches; the selection stays with its fetch.
    pub(super) fn update(&mut self, jobs: &[Job]) {
        let selected = self.selected();
        self.jobs = jobs.to_vec();
        let place = self.jobs.iter().position(|job| Some(job.key) == selected);
        self.list.select(place.or_else(|| self.jobs.len().checked_sub(1)));
        let is_shown = |key| self.jobs.iter().any(|job| job.key == key);
        self.rates.retain(|key, _| is_shown(*key));
        self.reasons.retain(|(key, _), _| is_shown(*key));
        let now = Instant::now();
        for job in &self.jobs {
            let bytes = moved(job);
            let rate = self.rates.entry(job.key);
            rate.or_insert(Rate { since: now, bytes, per_second: None }).update(now, bytes);
        }
    }

    /// The selected fetch, to which keys apply.
    pub(super) fn selected(&self) -> Option<FetchKey> {
        Some(self.jobs.get(self.list.selected()?)?.key)
    }

    /// Moves the selection.
    pub(super) fn select(&mut self, by: isize) -> Option<Command> {
        let last = self.jobs.len().checked_sub(1)?;
        let place = self.list.selected().unwrap_or_default().saturating_add_signed(by);
        self.list.select(Some(place.min(last)));
        Some(Command::Redraw)
    }

    pub(super) fn draw(&mut self, frame: &mut Frame<'_>) {
        let bar = Bar::of(frame.area().width);
        let selected = self.list.selected().and_then(|place| self.jobs.get(place));
        let records: Vec<Line<'_>> = selected.map_or_else(Vec::new, |job| {
            let records = (0..).zip(&job.records);
            let line = |(index, record)| {
                record_line(record, self.reasons.get(&(job.key, index)).map(String::as_str), bar)
            };
            records.map(line).collect()
        });
        // A small terminal shows less.
        let height = frame.area().height;
        let shown = u16::try_from(records.len()).unwrap_or(u16::MAX);
        let shown = shown.min(RECORDS).min((height / 2).saturating_sub(5));
        let notifications = u16::try_from(self.notifications.len()).unwrap_or(u16::MAX);
        let notifications = notifications.min((height / 6).saturating_sub(1));
        let fetches = u16::try_from(self.jobs.len() * 2).unwrap_or(u16::MAX).max(1);
        let boxed = |lines: u16| if lines == 0 { 0 } else { lines + 2 };
        let [heading, list, below, notified, console, keys] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Max(fetches.saturating_add(2).min((height / 2).max(4))),
            Constraint::Max(boxed(shown)),
            Constraint::Max(boxed(notifications)),
            Constraint::Fill(1),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        let title =
            Line::from_iter([" bgfetch ".bold().reversed(), format!(" {}", self.page).into()]);
        frame.render_widget(title, heading);
        self.draw_list(frame, list, bar);
        if shown > 0 {
            let records = Paragraph::new(records).block(Block::bordered().title(" Records "));
            frame.render_widget(records, below);
        }
        if notifications > 0 {
            let skipped = self.notifications.len().saturating_sub(notifications.into());
            let lines = self.notifications.iter().skip(skipped);
            let lines = Text::from_iter(lines.map(|(_, line)| line.as_str()));
            let block = Block::bordered().title(" Notifications ");
            frame.render_widget(Paragraph::new(lines).block(block), notified);
        }
        self.draw_log(frame, console);
        let help = self.keys();
        let help = help.iter().flat_map(|(key, what)| {
            [format!(" {key} ").reversed(), Span::from(format!(" {what}  "))]
        });
        frame.render_widget(Line::from_iter(help), keys);
    }

    /// The active keys and their meanings. While there are no fetches, keys click elements.
    fn keys(&self) -> Vec<(String, String)> {
        let keys = KEYS.map(|(key, what)| (key.to_owned(), what.to_owned()));
        if self.clickable.is_empty() || !self.jobs.is_empty() {
            return keys.into();
        }
        let name = |selector| format!("click {}", printable(selector));
        let clicks = (1..=9).zip(&self.clickable);
        let clicks = clicks.map(|(key, selector)| (key.to_string(), name(selector)));
        clicks.chain(keys.into_iter().filter(|(key, _)| key == QUIT)).collect()
    }

    fn draw_list(&mut self, frame: &mut Frame<'_>, area: Rect, bar: Bar) {
        let block = Block::bordered().title(" Background fetches ");
        if self.jobs.is_empty() {
            frame.render_widget(Paragraph::new(" none yet".dark_gray()).block(block), area);
            return;
        }
        let items = self.jobs.iter().map(|job| item(job, self.rates.get(&job.key), bar));
        let list = List::new(items).block(block).highlight_symbol("> ");
        frame.render_stateful_widget(list, area, &mut self.list);
    }

    /// The newest lines that fit.
    fn draw_log(&self, frame: &mut Frame<'_>, area: Rect) {
        let block = Block::bordered().title(" Console ");
        let room = usize::from(block.inner(area).height);
        let newest = self.log.iter().skip(self.log.len().saturating_sub(room));
        let text = Text::from_iter(newest.map(|line| {
            let told = line.contains(": error: ") || line.contains(": warning: ");
            Line::styled(line.as_str(), if told { Color::Yellow } else { Color::Reset })
        }));
        frame.render_widget(Paragraph::new(text).block(block), area);
    }
}

impl Rate {
    fn update(&mut self, now: Instant, bytes: u64) {
        let seconds = now.duration_since(self.since).as_secs_f64();
        if seconds >= 1.0 {
            let per_second = bytes.saturating_sub(self.bytes) as f64 / seconds;
            *self = Self { since: now, bytes, per_second: Some(per_second as u64) };
        }
    }
}

/// The bytes transferred over the network, in both directions.
fn moved(job: &Job) -> u64 {
    job.display.downloaded.saturating_add(job.display.uploaded)
}

/// The bytes to transfer in all, if known.
fn expected(job: &Job) -> Option<u64> {
    expected_total(job).map(|total| total.saturating_add(job.display.upload_total))
}

/// A fetch in two lines: its title, and its progress.
fn item<'a>(job: &Job, rate: Option<&Rate>, bar: Bar) -> ListItem<'a> {
    let title = match job.display.title.as_str() {
        "" => &job.id,
        title => title,
    };
    let (title, origin) = (shown(title, &job.display.icons), job.display.origin.serialize());
    let name = Line::from_iter([printable(&title).bold(), format!("  {origin}").dark_gray()]);
    let (done, total) = (moved(job), expected(job));
    let mut progress = match total {
        Some(total) => {
            format!("{}{} of {}", bar.text(done, total), HumanBytes(done), HumanBytes(total))
        }
        None => format!("{}{}", bar.text(0, 1), HumanBytes(done)),
    };
    let (state, colour) = state(job);
    if let Some(rate) = rate.and_then(|rate| rate.per_second).filter(|_| job.display.uses_bandwidth)
    {
        progress.push_str(&format!("  {}/s", HumanBytes(rate)));
    }
    let state = Span::styled(format!("  {state}"), Style::from(colour));
    ListItem::new(vec![name, Line::from_iter([Span::from(progress), state])])
}

fn state(job: &Job) -> (&'static str, Color) {
    match (job.display.result, job.display.pause_reason) {
        (Some(_), _) if !job.display.over => ("notifying the service worker", Color::Cyan),
        (Some(Ok(())), _) => ("success", Color::Green),
        (Some(Err(reason)), _) => (why(reason), Color::Red),
        (None, Some(reason)) => (pause_text(reason), Color::Yellow),
        (None, None) => ("running", Color::Reset),
    }
}

fn record_line<'a>(record: &JobRecord, message: Option<&str>, bar: Bar) -> Line<'a> {
    let path = printable(record.url.path());
    let method = if record.method == "GET" { String::new() } else { format!("{} ", record.method) };
    let name = format!("{method}{path}  ");
    // The reason needs the room.
    if let Some(reason) = record.result.and_then(RecordResult::failure) {
        let JobRecord { url, status, .. } = record;
        let why = FileFailure { url, reason, status: *status, message }.why();
        return Line::from_iter([name.into(), printable(&format!("failed: {why}")).red()]);
    }
    let length = if record.result.is_some() { Some(record.stored) } else { record.length };
    let bytes = match length {
        Some(length) => {
            let bytes = format!("{}/{}", HumanBytes(record.stored), HumanBytes(length));
            format!("{}{bytes:23} ", bar.text(record.stored, length))
        }
        None => format!("{}{:23} ", bar.text(0, 1), HumanBytes(record.stored).to_string()),
    };
    let state = match record.result {
        Some(_) => "done".green(),
        None if record.in_flight => "".into(),
        None => "waiting".into(),
    };
    Line::from_iter([bytes.into(), name.into(), state])
}

/// The width of bars.
#[derive(Clone, Copy)]
struct Bar(usize);

impl Bar {
    /// The width of bars on a terminal of that width.
    fn of(width: u16) -> Self {
        Self(width.saturating_sub(BESIDE_BAR).min(BAR).into())
    }

    /// A bar and a space; empty if there is no room.
    fn text(self, done: u64, total: u64) -> String {
        let Self(width) = self;
        if width == 0 {
            return String::new();
        }
        let share = if total == 0 { 1.0 } else { (done as f64 / total as f64).min(1.0) };
        let full = (share * width as f64) as usize;
        let head = if full < width && full > 0 { ">" } else { "" };
        let body = "=".repeat(full - head.len());
        format!("[{:width$}] ", format!("{body}{head}"))
    }
}

#[cfg(test)]
mod tests {
    use bgfetch::{Display, Origin, RegistrationKey, StorageKey};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use serde_json::json;
    use url::Url;

    use super::*;

    fn job(key: u64, title: &str) -> Job {
        let scope: Url = "http://a.test/".parse().unwrap();
        let record = |path: &str, stored, result: Option<RecordResult>| {
            let mut record = JobRecord::new("GET", scope.join(path).unwrap());
            (record.in_flight, record.result) = (result.is_none(), result);
            (record.stored, record.length, record.status) = (stored, Some(1000), Some(200));
            record
        };
        let (origin, storage_key) = (Origin::of(&scope), StorageKey("http://a.test".into()));
        let registration = RegistrationKey { storage_key, scope: scope.clone() };
        let id = format!("id-{key}");
        let mut job = Job::new(FetchKey(key), registration, id, Display::new(origin));
        job.display.title = title.into();
        (job.display.downloaded, job.display.download_total) = (1500, 2000);
        job.records = vec![record("x", 500, None), record("y", 1000, Some(RecordResult::Success))];
        job
    }

    fn drawn(view: &mut View, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(|y| row(y).trim_end().to_owned()).collect()
    }

    #[test]
    fn fetches_their_records_and_the_newest_lines_are_shown() {
        let mut view = View { page: "http://a.test/".into(), ..View::default() };
        view.update(&[job(1, "A film"), job(2, "")]);
        for line in 0..50 {
            view.log(format!("page: line {line}"));
        }
        let rows = drawn(&mut view, 80, 24);
        let has = |part: &str| rows.iter().any(|row| row.contains(part));
        for part in [
            "bgfetch  http://a.test/",
            "  A film  http://a.test",
            "> id-2  http://a.test",
            "[=================>      ] 1.46 KiB of 1.95 KiB  running",
            "[===========>            ] 500 B/1000 B            /x",
            "/y  done",
            "page: line 49",
            "Enter  click",
        ] {
            assert!(has(part), "{part} in {rows:#?}");
        }
        assert!(!has("page: line 30"), "{rows:#?}");
    }

    #[test]
    fn keys_click_what_a_page_waits_for_until_there_are_fetches() {
        let clickable = vec!["#start".to_owned(), "button.b".to_owned()];
        let mut view = View { clickable, ..View::default() };
        let keys = |view: &mut View| drawn(view, 60, 12).pop().unwrap();
        assert_eq!(keys(&mut view), " 1  click #start   2  click button.b   q  quit");
        view.update(&[job(1, "a")]);
        assert!(keys(&mut view).contains("pause"), "{}", keys(&mut view));
    }

    #[test]
    fn a_record_says_why_it_failed() {
        let mut view = View::default();
        let mut failed = job(1, "a");
        failed.records[0].result = Some(RecordResult::Failure(bgfetch::FailureReason::FetchError));
        view.reasons.insert((failed.key, 0), "CORS: no".into());
        view.update(&[failed]);
        let rows = drawn(&mut view, 100, 24);
        assert!(rows.iter().any(|row| row.contains("/x  failed: CORS: no")), "{rows:#?}");
    }

    #[test]
    fn notifications_are_shown_and_replaced_by_their_tags() {
        let mut view = View::default();
        let mut notify = |title: &str, tag: &str| {
            let value = json!({ "title": title, "body": "b\u{1b}[2J", "tag": tag, "icon": "" });
            view.notify("worker", &serde_json::from_value(value).unwrap());
        };
        notify("One", "");
        notify("Two", "x");
        notify("Three", "");
        notify("Four", "x");
        let rows = drawn(&mut view, 60, 24);
        let of = |title: &str| rows.iter().filter(|row| row.contains(title)).count();
        assert_eq!(["One", "Two", "Three", "Four"].map(of), [1, 0, 1, 1], "{rows:#?}");
        assert!(rows.iter().any(|row| row.contains(" Four – b\u{fffd}[2J")), "{rows:#?}");
    }

    #[test]
    fn the_icon_has_its_alternative_text() {
        let mut view = View::default();
        let mut job = job(1, "A film");
        let icon = bgfetch::ImageResource::new("http://a.test/i".parse().unwrap());
        job.display.icons = vec![icon.with(|it| it.label = "A camera".into())];
        view.update(&[job]);
        let rows = drawn(&mut view, 60, 24);
        assert!(
            rows.iter().any(|row| row.contains("[A camera] A film  http://a.test")),
            "{rows:#?}"
        );
    }

    #[test]
    fn nothing_is_kept_of_fetches_that_are_no_longer_shown() {
        let mut view = View::default();
        for key in 0..100 {
            view.reasons.insert((FetchKey(key), 0), "CORS: no".into());
            view.update(&[job(key, "a")]);
        }
        assert_eq!((view.rates.len(), view.reasons.len()), (1, 1));
    }

    #[test]
    fn the_selection_stays_with_its_fetch() {
        let mut view = View::default();
        view.update(&[job(1, "a"), job(2, "b")]);
        assert_eq!(view.selected(), Some(FetchKey(2)));
        assert_eq!(view.select(-1), Some(Command::Redraw));
        assert_eq!(view.select(-1), Some(Command::Redraw));
        assert_eq!(view.selected(), Some(FetchKey(1)));
        view.update(&[job(0, "c"), job(1, "a")]);
        assert_eq!(view.selected(), Some(FetchKey(1)));
        view.update(&[]);
        assert_eq!((view.selected(), view.select(1)), (None, None));
    }

    #[test]
    fn no_terminal_is_too_small() {
        let mut view = View::default();
        view.update(&[job(1, "a\u{1b}[2J")]);
        view.log("x".repeat(200));
        for (width, height) in [(1, 1), (5, 3), (20, 6), (40, 12), (300, 100)] {
            let rows = drawn(&mut view, width, height);
            assert!(rows.iter().all(|row| !row.contains('\u{1b}')), "{rows:#?}");
        }
    }
}
