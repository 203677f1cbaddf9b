//! The output of `run` while it works: a screen, plain lines, or JSON.

use std::future::pending;
use std::io::{self, IsTerminal as _};

use bgfetch::{Event, Job, What};
use indicatif::HumanBytes;
use serde::Serialize;

use super::console::{Said, Saying, level_name};
use super::history::{History, event_of};
use super::lines::{Lines, lines_of};
use super::screen::{Command, Screen};
use crate::exit::complain;
use crate::output::Stdout;
use crate::output::json::Json;

/// One of the three forms.
pub(super) enum Output {
    Screen(Box<Screen>),
    Plain(Plain),
    Json(Json),
}

/// A console message, as a JSON object.
#[derive(Serialize)]
struct ConsoleLine<'a> {
    event: &'static str,
    source: &'static str,
    url: &'a str,
    level: &'static str,
    /// Whether it reports a failure that no script handled.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    uncaught: bool,
    message: &'a str,
}

/// A notification, as a JSON object.
#[derive(Serialize)]
struct NotificationLine<'a> {
    event: &'static str,
    source: &'static str,
    url: &'a str,
    title: &'a str,
    body: &'a str,
    tag: &'a str,
}

/// The user's next options, as a JSON object.
#[derive(Serialize)]
struct Hint<'a> {
    event: &'static str,
    message: &'a str,
    selectors: &'a [String],
}

/// An event of a page or a fetch, as a JSON object.
#[derive(Default, Serialize)]
struct Remark<'a> {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handled: Option<&'static str>,
    /// Why the event was not handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

impl Output {
    /// JSON if requested; a screen if standard output is a terminal that can draw it.
    pub(super) fn choose(json: bool) -> Self {
        if json {
            return Self::Json(Json::default());
        }
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if io::stdout().is_terminal() && !dumb {
            match Screen::open() {
                Ok(screen) => return Self::Screen(Box::new(screen)),
                Err(error) => {
                    complain(&format!("using plain lines, because the terminal failed: {error}"))
                }
            }
        }
        Self::Plain(Plain::default())
    }

    /// The page is about to be opened.
    pub(super) fn opening(&mut self, url: &str) {
        match self {
            Self::Screen(screen) => screen.opening(url),
            Self::Plain(plain) => plain.stdout.line(&format!("opening {url}")),
            Self::Json(json) => {
                json.print(&Remark { event: "opening", url: Some(url), ..Remark::default() });
            }
        }
    }

    /// A fetch of an earlier run resumes.
    pub(super) fn restarted(&mut self, job: &Job) {
        let line = restarted(job);
        match self {
            Self::Screen(screen) => screen.remark(&line),
            Self::Plain(plain) => plain.stdout.line(&line),
            Self::Json(json) => {
                json.restarted(job);
                if let Some(reason) = job.display.pause_reason {
                    json.held_back(job, reason);
                }
            }
        }
    }

    /// Something happened to a fetch.
    pub(super) fn event(&mut self, event: &Event, history: &History) {
        let handled = history.result(event.fetch).map(event_of);
        match self {
            Self::Screen(screen) => {
                let progress = matches!(event.what, What::Progress);
                if let Some(line) = screen.line_of(event, handled).filter(|_| !progress) {
                    screen.remark(&line);
                }
            }
            Self::Plain(plain) => {
                if let Some(line) = plain.lines.line_of(event, handled) {
                    plain.stdout.line(&line);
                }
            }
            Self::Json(json) => match &event.what {
                What::Settled(result) => json.settled(event, *result),
                What::EventEnded { handled: true, .. } => json.print(&Remark {
                    event: "handled",
                    id: Some(&event.id),
                    handled,
                    ..Remark::default()
                }),
                What::EventNotHandled { reason, .. } => json.print(&Remark {
                    event: "not-handled",
                    id: Some(&event.id),
                    message: Some(&reason.to_string()),
                    ..Remark::default()
                }),
                _ => json.event(event),
            },
        }
    }

    /// A script wrote to its console or showed a notification.
    pub(super) fn said(&mut self, said: &Said) {
        match self {
            Self::Screen(screen) => screen.said(said),
            Self::Plain(plain) => lines_of(said).iter().for_each(|line| plain.stdout.line(line)),
            Self::Json(json) => match &said.what {
                Saying::Message(level, text) => json.print(&ConsoleLine {
                    event: "console",
                    source: said.by,
                    url: said.url.as_str(),
                    level: level_name(*level),
                    uncaught: said.is_uncaught(),
                    message: text,
                }),
                Saying::Notification(notification) => json.print(&NotificationLine {
                    event: "notification",
                    source: said.by,
                    url: said.url.as_str(),
                    title: &notification.title,
                    body: &notification.body,
                    tag: &notification.tag,
                }),
            },
        }
    }

    /// The page is only waiting for a click on one of these elements. Returns whether the user can
    /// make one here.
    pub(super) fn waits_for_click(&mut self, selectors: &[String]) -> bool {
        let options = selectors.iter().map(|selector| format!("--click '{selector}'"));
        let options = options.collect::<Vec<_>>().join(" or ");
        let message = format!("the page waits for a click, which {options} makes");
        match self {
            Self::Screen(screen) => {
                screen.offer(selectors);
                return true;
            }
            Self::Plain(plain) => plain.stdout.line(&message),
            Self::Json(json) => {
                json.print(&Hint { event: "hint", message: &message, selectors });
            }
        }
        false
    }

    /// Draws the current state of the fetches.
    pub(super) fn draw(&mut self, jobs: &[Job]) -> io::Result<()> {
        match self {
            Self::Screen(screen) => screen.draw(jobs),
            Self::Plain(_) | Self::Json(_) => Ok(()),
        }
    }

    /// The user's next command.
    pub(super) async fn command(&mut self) -> Command {
        match self {
            Self::Screen(screen) => screen.command().await,
            Self::Plain(_) | Self::Json(_) => pending().await,
        }
    }

    /// The result of a user's command.
    pub(super) fn answer(&mut self, text: &str) {
        if let Self::Screen(screen) = self {
            screen.remark(text);
        }
    }

    /// Reports the outcome of all fetches. A screen is closed before the lines are printed.
    pub(super) fn end(self, history: &History) {
        match self {
            Self::Json(mut json) => history.summaries().for_each(|summary| json.print(&summary)),
            Self::Plain(plain) => plain.end(history),
            Self::Screen(screen) => {
                let mut plain = Plain::default();
                for line in screen.close() {
                    plain.stdout.line(&line);
                }
                plain.end(history);
            }
        }
    }
}

/// Lines for logs and pipes.
#[derive(Default)]
pub(super) struct Plain {
    stdout: Stdout,
    lines: Lines,
}

impl Plain {
    fn end(mut self, history: &History) {
        self.stdout.line("");
        for line in history.lines() {
            self.stdout.line(&line);
        }
    }
}

fn restarted(job: &Job) -> String {
    let there = HumanBytes(job.display.downloaded);
    match (job.display.result, job.display.pause_reason) {
        (Some(_), _) => format!("{}: ended, its service worker will be notified", job.id),
        (None, Some(reason)) => format!("{}: {}, {there} stored", job.id, reason.as_str()),
        (None, None) => format!("{}: resumes, {there} stored", job.id),
    }
}
