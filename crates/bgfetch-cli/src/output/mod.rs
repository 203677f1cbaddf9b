//! What `get` prints: bars on a terminal, plain lines elsewhere, or JSON.

mod bars;
mod in_place;
pub(crate) mod json;
mod lines;
mod marks;
pub(crate) mod per_fetch;
pub(crate) mod plain;

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use bgfetch::control::Report;
use bgfetch::{Event, Job, PauseReason};
use serde::Serialize;
use url::Url;

pub(crate) use self::in_place::InPlace;

use self::bars::Bars;
use self::json::Json;
use self::plain::Plain;
use crate::args::Get;
use crate::exit::complain;
use crate::plan::Plan;
use crate::text::{escaped, printable};

/// What the user wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    /// Nothing but errors.
    Quiet,
    /// For people, on a terminal or elsewhere.
    Text {
        /// Whether the reasons for waits, retries and resumes stay.
        verbose: bool,
    },
}

impl Form {
    /// The form that the arguments ask for.
    pub(crate) fn of(args: &Get) -> Self {
        match (args.json, args.quiet, args.verbose) {
            (true, ..) => Self::Json,
            (_, true, _) => Self::Quiet,
            (.., verbose) => Self::Text { verbose },
        }
    }
}

/// One of the forms.
pub(crate) enum Output {
    Quiet,
    Bars(Box<Bars>),
    Plain(Plain),
    Json(Json),
}

impl Output {
    /// The form that was asked for; as text, bars if standard output is a terminal that can draw
    /// them.
    pub(crate) fn choose(form: Form, plan: &Plan) -> Self {
        let verbose = match form {
            Form::Json => return Self::Json(Json::default()),
            Form::Quiet => return Self::Quiet,
            Form::Text { verbose } => verbose,
        };
        if can_draw() {
            Self::Bars(Box::new(Bars::new(plan, verbose)))
        } else {
            Self::Plain(Plain::new(&plan.saving.path(), verbose))
        }
    }

    /// The log of a detached process.
    pub(crate) fn log(plan: &Plan) -> Self {
        Self::Plain(Plain::log(&plan.saving.path(), &plan.id))
    }

    /// The fetch was found in the store and resumes.
    pub(crate) fn restarted(&mut self, job: &Job) {
        match self {
            Self::Quiet => {}
            Self::Bars(bars) => bars.restarted(job),
            Self::Plain(plain) => plain.restarted(job),
            Self::Json(json) => json.restarted(job),
        }
    }

    /// The fetch was already paused when it was found.
    pub(crate) fn held_back(&mut self, job: &Job, reason: PauseReason) {
        match self {
            Self::Quiet | Self::Bars(_) => {}
            Self::Plain(plain) => plain.paused(reason),
            Self::Json(json) => json.held_back(job, reason),
        }
    }

    /// Something happened to the fetch.
    pub(crate) fn event(&mut self, event: &Event) {
        match self {
            Self::Quiet => {}
            Self::Bars(bars) => bars.event(event),
            Self::Plain(plain) => plain.event(event),
            Self::Json(json) => json.event(event),
        }
    }

    /// Whether [`Self::draw`] wants to be called several times a second.
    pub(crate) fn draws(&self) -> bool {
        matches!(self, Self::Bars(_))
    }

    /// Draws the state of the fetch, if this form draws.
    pub(crate) fn draw(&mut self, job: &Job) {
        if let Self::Bars(bars) = self {
            bars.draw(job);
        }
    }

    /// A remark that is not an event of the fetch.
    pub(crate) fn note(&mut self, text: &str) {
        match self {
            Self::Bars(bars) => bars.note(text),
            Self::Plain(plain) => plain.note(text),
            Self::Quiet | Self::Json(_) => {}
        }
    }

    /// The fetch is over and its files are written; `event` is the last one.
    pub(crate) fn settled(&mut self, event: &Event, report: &Report) {
        match self {
            Self::Bars(bars) => {
                let width = bars.clear();
                Plain::after_bars(width).settled(event, report);
            }
            Self::Quiet => {}
            Self::Plain(plain) => plain.settled(event, report),
            Self::Json(json) => {
                json.saved(event, report);
                json.settled(event, report.result());
            }
        }
    }

    /// An earlier run of the same command has completed everything.
    pub(crate) fn saved_before(&mut self, job: &Job, path: &Path) {
        let (id, path) = (&job.id, path.display());
        let hint = format!("to fetch it again, run bgfetch dismiss {id} first");
        self.ended_before(job, &format!("{id} was saved to {path} already; {hint}"));
    }

    /// A detached process works on the fetch or waits for it.
    pub(crate) fn detached(&mut self, id: &str, process: u32, log: &Path) {
        match self {
            Self::Json(json) => json.detached(id, process, log),
            _ => self.note(&format!(
                "{id} goes on in the background (process id {process}), see bgfetch watch; its log is \
                 {}",
                log.display()
            )),
        }
    }

    /// The fetch is over, but this process works on others.
    pub(crate) fn stays(&mut self, id: &str, others: usize) {
        match self {
            Self::Json(json) => json.stays(id, others),
            _ => {
                let fetches = match others {
                    1 => String::from("another fetch"),
                    others => format!("{others} other fetches"),
                };
                let is_log = matches!(self, Self::Plain(plain) if plain.is_log());
                let hint = if is_log { "" } else { "; Ctrl-C leaves that to those who wait" };
                self.note(&format!("still at work on {fetches} of this store{hint}"));
            }
        }
    }

    /// A URL as it is shown: a log has no query, which may be a secret.
    pub(crate) fn shown(&self, url: &Url) -> Url {
        match self {
            Self::Plain(plain) => plain.shown(url),
            Self::Quiet | Self::Bars(_) | Self::Json(_) => url.clone(),
        }
    }

    /// The fetch has ended before: in an earlier run of the same command or in another process.
    pub(crate) fn ended_before(&mut self, job: &Job, message: &str) {
        match self {
            Self::Quiet => {}
            Self::Bars(bars) => bars.note(message),
            Self::Plain(plain) => plain.note(message),
            Self::Json(json) => json.ended_before(job, message),
        }
    }

    /// Writes a line to standard error without disturbing the drawn lines.
    pub(crate) fn complain(&mut self, line: &str) {
        match self {
            Self::Bars(bars) => bars.suspended(|| complain(line)),
            Self::Quiet | Self::Plain(_) | Self::Json(_) => complain(line),
        }
    }
}

/// Whether standard output is a terminal that can draw lines in place of others.
pub(crate) fn can_draw() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    std::io::stdout().is_terminal() && !dumb
}

/// The text for a pause.
pub(crate) fn pause_text(reason: PauseReason) -> &'static str {
    match reason {
        PauseReason::User => "paused",
        PauseReason::Offline => "offline – waiting",
        PauseReason::Metered => "metered connection – waiting",
        PauseReason::CaptivePortal => "captive portal – waiting",
        PauseReason::Storage => "disk full – waiting",
        _ => "waiting",
    }
}

/// Standard output, which may be closed at any time. The work matters more than the output, so the
/// program then continues silently.
#[derive(Debug, Default)]
pub(crate) struct Stdout {
    closed: bool,
}

impl Stdout {
    /// Writes one line of text after making it printable.
    pub(crate) fn line(&mut self, line: &str) {
        self.text(&format!("{}\n", printable(line)));
    }

    /// Writes one line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) {
        // Text and numbers always have a form in JSON.
        if let Ok(json) = serde_json::to_string(value) {
            self.text(&format!("{}\n", escaped(&json)));
        }
    }

    /// Writes lines as they are.
    pub(crate) fn text(&mut self, text: &str) {
        if self.closed {
            return;
        }
        let mut stdout = std::io::stdout().lock();
        let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        self.closed = written.is_err();
    }
}
