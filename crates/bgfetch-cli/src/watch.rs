//! `bgfetch watch`: all fetches of a store, until they end.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use bgfetch::control::{Client, Request, Response};
use bgfetch::{Event, FetchKey, FetchResult, Job, SqliteStore, What};
use indicatif::HumanBytes;
use tokio::signal::ctrl_c;

use crate::access::{self, Access, INTERVAL, PATIENCE, inspect_or_connect};
use crate::args::Store;
use crate::exit::{Failure, Outcome};
use crate::failure::{self, FileFailure, fitted};
use crate::jobs::{self, JobInfo};
use crate::output::json::Json;
use crate::output::per_fetch::PerFetch;
use crate::output::plain::Pace;
use crate::output::{InPlace, Stdout, can_draw};
use crate::text::printable;

/// Runs the command.
///
/// # Errors
///
/// The store cannot be reached, or has fetches that no process works on.
pub(crate) async fn run(store: Store, json: bool) -> Result<Outcome, Failure> {
    let directory = access::directory(store.directory)?;
    tokio::select! {
        outcome = watch(&directory, json) => outcome,
        // Nothing has to be stopped.
        pressed = ctrl_c() => Ok(pressed.map(|()| Outcome::Interrupted)?),
    }
}

async fn watch(directory: &Path, json: bool) -> Result<Outcome, Failure> {
    let mut watched = Watched { view: View::choose(json), ..Watched::default() };
    // Looking must not create a store.
    if !SqliteStore::exists(directory)? {
        return watched.left(directory, &[]);
    }
    let mut next = None;
    loop {
        let client = match next {
            Some(client) => client,
            None => match inspect_or_connect(directory).await? {
                Access::Theirs(client) => client,
                Access::Ours(engine) => {
                    let jobs = engine.ui().jobs().await?;
                    engine.shutdown().await?;
                    return watched.left(directory, &jobs);
                }
            },
        };
        if watched.follow(client).await? {
            return Ok(watched.outcome.unwrap_or(Outcome::Success));
        }
        // Somebody who waits for a fetch opens the store next. Until then it must not be opened here.
        next = next_owner(directory).await?;
    }
}

/// The process that owns the store and listens, if there is one as soon as a command expects it.
async fn next_owner(directory: &Path) -> Result<Option<Client>, Failure> {
    let started = Instant::now();
    loop {
        match Client::connect(directory).await? {
            None if started.elapsed() < PATIENCE => tokio::time::sleep(INTERVAL).await,
            found => return Ok(found),
        }
    }
}

#[derive(Default)]
struct Watched {
    /// The fetches that are not over, and how those of them that have settled did.
    active: BTreeMap<FetchKey, Option<FetchResult>>,
    /// What has become of those that were active and are over; `None` if there was none.
    outcome: Option<Outcome>,
    view: View,
}

impl Watched {
    /// Shows what the owner reports; returns whether all fetches have ended.
    async fn follow(&mut self, client: Client) -> Result<bool, Failure> {
        let jobs = matches!(self.view, View::Table(_));
        let Ok(mut updates) = client.follow(&Request::Watch { jobs }).await else {
            return Ok(false);
        };
        // An owner that was killed resets its connections.
        while let Ok(Some(response)) = updates.next().await {
            match response {
                Response::Jobs(jobs) => self.jobs(&jobs),
                Response::Event(event) => self.event(&event),
                Response::Failed(message) => return Err(Failure(message)),
                _ => {}
            }
            if self.active.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// All fetches as they are now.
    fn jobs(&mut self, jobs: &[Job]) {
        for job in jobs {
            if job.display.over {
                self.over(job);
                continue;
            }
            if self.active.insert(job.key, job.display.result).is_none() {
                self.view.found(job);
            }
        }
        self.view.jobs(jobs.iter().filter(|job| self.active.contains_key(&job.key)));
    }

    /// A fetch is over. If it was watched, its end may not have been told yet.
    fn over(&mut self, job: &Job) {
        if self.active.remove(&job.key).is_some() {
            let result = job.display.result.unwrap_or(Ok(()));
            self.count(Some(result));
            self.view.ended_before(job, result);
        }
    }

    /// A fetch has settled so, or was removed before it did.
    fn count(&mut self, result: Option<FetchResult>) {
        let has_failed = matches!(result, Some(Err(_))) || self.outcome == Some(Outcome::Failed);
        self.outcome = Some(if has_failed { Outcome::Failed } else { Outcome::Success });
    }

    fn event(&mut self, event: &Event) {
        match event.what {
            What::Registered => {
                self.active.insert(event.fetch, None);
            }
            What::Settled(result) => {
                self.active.entry(event.fetch).and_modify(|settled| *settled = Some(result));
            }
            What::EventEnded { .. } | What::Dismissed | What::Removed => {
                if let Some(result) = self.active.remove(&event.fetch) {
                    self.count(result);
                    self.view.ended(event, result);
                }
                return;
            }
            _ => {}
        }
        self.view.event(event);
    }

    /// No process works on the store.
    fn left(&mut self, directory: &Path, jobs: &[Job]) -> Result<Outcome, Failure> {
        let (over, left): (Vec<_>, Vec<_>) = jobs.iter().partition(|job| job.display.over);
        over.into_iter().for_each(|job| self.over(job));
        if !left.is_empty() {
            let ids: Vec<_> = left.iter().map(|job| job.id.as_str()).collect();
            return Err(Failure(format!(
                "no process is at work on {}; run the same command again to resume",
                ids.join(", ")
            )));
        }
        if self.outcome.is_none() {
            self.view.nothing(directory);
        }
        Ok(self.outcome.unwrap_or(Outcome::Success))
    }
}

/// One of the three forms of output.
enum View {
    /// On a terminal.
    Table(InPlace),
    Plain {
        stdout: Stdout,
        paces: PerFetch<Pace>,
    },
    Json(Json),
}

impl Default for View {
    fn default() -> Self {
        Self::Plain { stdout: Stdout::default(), paces: PerFetch::default() }
    }
}

impl View {
    fn choose(json: bool) -> Self {
        match json {
            true => Self::Json(Json::default()),
            false if can_draw() => Self::Table(InPlace::new()),
            false => Self::default(),
        }
    }

    /// A fetch was active before it was watched.
    fn found(&mut self, job: &Job) {
        match self {
            Self::Table(_) => {}
            Self::Plain { stdout, .. } => {
                stdout.line(&format!("{}: {}", job.id, JobInfo::new(job, true).summary()));
            }
            Self::Json(json) => json.watched(job),
        }
    }

    fn jobs<'a>(&mut self, jobs: impl Iterator<Item = &'a Job>) {
        let Self::Table(lines) = self else {
            return;
        };
        let (width, height) = lines.size();
        let infos: Vec<_> = jobs.map(|job| JobInfo::new(job, true)).collect();
        let table = jobs::table(&infos, Some(width));
        let mut rows: Vec<_> = table.lines().map(String::from).collect();
        // The cursor is below.
        let room = height.saturating_sub(1).max(1);
        if rows.len() > room {
            let hidden = rows.len() + 1 - room;
            rows.truncate(room - 1);
            rows.push(format!("… {hidden} more"));
        }
        lines.draw(rows);
    }

    fn event(&mut self, event: &Event) {
        match self {
            Self::Table(lines) => {
                if let Some(failure) = FileFailure::of(event) {
                    lines.note(&failure.line(Some(lines.size().0)));
                }
            }
            Self::Plain { stdout, paces } => {
                if let Some(line) = paces.of(event).and_then(|pace| pace.line_of(event)) {
                    stdout.line(&format!("{}: {line}", event.id));
                }
            }
            Self::Json(json) => json.event(event),
        }
    }

    /// A fetch is over, or was removed before it settled.
    fn ended(&mut self, event: &Event, result: Option<FetchResult>) {
        match self {
            Self::Json(json) => {
                json.settled(event, result.unwrap_or(Err(bgfetch::FailureReason::Aborted)));
            }
            _ => self.about(&event.id, &ending(event.downloaded, result)),
        }
    }

    /// The same for a fetch whose last event was not seen.
    fn ended_before(&mut self, job: &Job, result: FetchResult) {
        let ending = ending(job.display.downloaded, Some(result));
        match self {
            Self::Json(json) => json.ended_before(job, &format!("{}{ending}", job.id)),
            _ => self.about(&job.id, &ending),
        }
    }

    fn nothing(&mut self, directory: &Path) {
        self.line(&format!("no background fetch is active in {}", directory.display()));
    }

    /// A line about a fetch, whose id is cut if there is no room for it.
    fn about(&mut self, id: &str, rest: &str) {
        match self {
            Self::Table(lines) => lines.note(&fitted(&printable(id), rest, lines.size().0)),
            _ => self.line(&format!("{id}{rest}")),
        }
    }

    fn line(&mut self, line: &str) {
        match self {
            Self::Table(lines) => lines.note(line),
            Self::Plain { stdout, .. } => stdout.line(line),
            Self::Json(_) => {}
        }
    }
}

/// How a fetch ended, to be put after its id.
fn ending(downloaded: u64, result: Option<FetchResult>) -> String {
    match result {
        Some(Ok(())) => format!(": success, {}", HumanBytes(downloaded)),
        Some(Err(reason)) => format!(" {}", failure::ending(reason, 0, 0)),
        None => String::from(": removed"),
    }
}
