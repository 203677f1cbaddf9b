//! The running command: it connects the page, the engine and the user.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use bgfetch::{Engine, FetchKey, Job};
use bgfetch_host::{Click, Page, UserAgent};
use futures_util::FutureExt as _;
use futures_util::future::select_all;
use tokio::signal::ctrl_c;
use tokio::time::MissedTickBehavior;
use url::Url;

use super::Told;
use super::console::Said;
use super::history::History;
use super::output::Output;
use super::screen::Command;
use super::windows::Wanted;
use crate::exit::{Failure, Outcome};

/// How often the user agent's state is checked: to redraw, and to notice that nothing is left to
/// do.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// How many checks in a row must find nothing to do. A message that one realm has sent and another
/// has not yet received is visible to neither.
const QUIET_LOOKS: u32 = 2;

/// How long a service worker may fail to handle an event before the program leaves it to the next
/// run. The engine retries after about 1, 4 and 16 s.
const UNHANDLED_LIMIT: Duration = Duration::from_secs(10);

/// A user agent and the events it reports.
pub(super) struct Session<'a> {
    agent: &'a UserAgent,
    engine: Engine,
    output: Output,
    history: History,
    /// Fetches of `get`, which are not handled by pages' service workers.
    foreign: HashSet<FetchKey>,
    /// Selectors of the elements still to click.
    clicks: VecDeque<String>,
    /// Whether a script failed and nothing handled the error.
    uncaught: bool,
    /// How many checks in a row have found nothing to do.
    quiet_looks: u32,
    /// Since when the only thing left to do is to wait for a missing service worker.
    unhandled_since: Option<Instant>,
}

/// The result of a check.
enum Found {
    Work,
    NothingLeft,
    /// Fetches whose events no service worker handles.
    Unhandled(Vec<String>),
}

impl<'a> Session<'a> {
    pub(super) fn new(agent: &'a UserAgent, engine: Engine, output: Output) -> Self {
        Self {
            agent,
            engine,
            output,
            history: History::default(),
            foreign: HashSet::new(),
            clicks: VecDeque::new(),
            uncaught: false,
            quiet_looks: 0,
            unhandled_since: None,
        }
    }

    /// Opens the page, if there is one, and returns when nothing is left to do.
    ///
    /// # Errors
    ///
    /// The page cannot be opened; a service worker does not handle its event; the engine or the
    /// terminal fails.
    pub(super) async fn run(
        mut self,
        url: Option<Url>,
        mut told: Told,
    ) -> Result<Outcome, Failure> {
        self.clicks = std::mem::take(&mut told.clicks);
        let result = tokio::select! {
            result = self.work(url, &mut told) => result,
            pressed = ctrl_c() => pressed.map(|()| Outcome::Interrupted).map_err(Failure::from),
        };
        while let Ok(said) = told.said.try_recv() {
            self.said(&said);
        }
        // If the engine has failed, its shutdown returns the reason.
        if let Ok(jobs) = self.engine.ui().jobs().await {
            self.history.learn(&self.of_pages(jobs));
        }
        // A run that failed to start has no summary.
        if result.is_ok() || !self.history.is_empty() {
            self.output.end(&self.history);
        }
        match result {
            Ok(Outcome::Success) if self.uncaught => Ok(Outcome::Failed),
            result => result,
        }
    }

    fn said(&mut self, said: &Said) {
        self.uncaught |= said.is_uncaught();
        self.output.said(said);
    }

    async fn work(&mut self, url: Option<Url>, told: &mut Told) -> Result<Outcome, Failure> {
        let mut observer = self.engine.observe().await?;
        let jobs = self.engine.ui().jobs().await?;
        self.foreign = jobs.iter().filter(|job| !is_of_page(job)).map(|job| job.key).collect();
        let jobs = self.of_pages(jobs);
        self.history.learn(&jobs);
        for job in jobs.iter().filter(|job| !job.display.over) {
            self.output.restarted(job);
        }
        let mut pages = Vec::new();
        if let Some(url) = url {
            self.output.opening(url.as_str());
            pages.push(self.agent.open_page(url).await?);
        }
        let mut look = tokio::time::interval(LOOK_INTERVAL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let outcome = loop {
            tokio::select! {
                // A script's output before a change is shown before the change.
                biased;
                Some(said) = told.said.recv() => self.said(&said),
                Some(wanted) = told.wanted.recv() => pages.extend(self.open(wanted).await),
                event = observer.next() => match event {
                    // The engine stopped; its shutdown returns the reason.
                    None => break Ok(Outcome::Failed),
                    Some(event) if self.foreign.contains(&event.fetch) => {}
                    Some(event) => {
                        self.history.event(&event);
                        self.output.event(&event, &self.history);
                    }
                },
                command = self.output.command() => match command {
                    Command::Quit => break Ok(Outcome::Interrupted),
                    Command::ClickElement(selector) => self.clicks.push_back(selector),
                    command => self.carry_out(command).await?,
                },
                index = closed(&pages) => close([pages.swap_remove(index)]).await,
                _ = look.tick() => match self.look(&pages).await? {
                    Found::Work => {}
                    Found::NothingLeft => break Ok(Outcome::Success),
                    Found::Unhandled(ids) => break Err(Failure(format!(
                        "no service worker handles the event of {}; nothing is lost, the next run \
                         tries again",
                        ids.join(", ")
                    ))),
                },
            }
        };
        close(pages).await;
        outcome
    }

    /// Opens a window for a service worker.
    async fn open(&mut self, wanted: Wanted) -> Option<Page> {
        self.output.opening(wanted.url.as_str());
        match self.agent.open_page(wanted.url).await {
            Ok(page) => {
                if let Some(client) = page.realm().client_id() {
                    // The worker may have ended.
                    wanted.opened.send(client).unwrap_or_default();
                }
                Some(page)
            }
            Err(error) => {
                self.output.answer(&error.to_string());
                None
            }
        }
    }

    /// Draws the current state, and decides whether to continue.
    ///
    /// The program ends when no background fetch waits for anything, all pages are closed or their
    /// scripts wait only for messages, and no service worker is running.
    async fn look(&mut self, pages: &[Page]) -> Result<Found, Failure> {
        let jobs = self.engine.ui().jobs().await?;
        let jobs = self.of_pages(jobs);
        self.history.learn(&jobs);
        let shown: Vec<_> = jobs.into_iter().filter(|job| self.history.has(job)).collect();
        self.output.draw(&shown)?;
        let mut quiet = pages.iter().all(waits) && self.agent.service_workers().are_quiet();
        if self.click(pages).await? {
            quiet = false;
        }
        let pending: Vec<_> = shown.iter().filter(|job| !job.display.over).collect();
        self.quiet_looks = if quiet { self.quiet_looks + 1 } else { 0 };
        if pending.is_empty() && self.clicks.is_empty() && self.quiet_looks >= QUIET_LOOKS {
            let waits = self.history.is_empty() && self.waits_for_click(pages).await;
            return Ok(if waits { Found::Work } else { Found::NothingLeft });
        }
        let settled = pending.iter().all(|job| job.display.result.is_some());
        if !quiet || pending.is_empty() || !settled {
            self.unhandled_since = None;
            return Ok(Found::Work);
        }
        let since = *self.unhandled_since.get_or_insert_with(Instant::now);
        if since.elapsed() < UNHANDLED_LIMIT {
            return Ok(Found::Work);
        }
        Ok(Found::Unhandled(pending.iter().map(|job| job.id.clone()).collect()))
    }

    /// Makes the next click, in the page that was opened first, if its element listens for clicks.
    /// Returns whether it was made.
    ///
    /// # Errors
    ///
    /// The selector is wrong; or nothing else is left to do, and it matches no element that waits
    /// for a click.
    async fn click(&mut self, pages: &[Page]) -> Result<bool, Failure> {
        let Some(selector) = self.clicks.front() else { return Ok(false) };
        // A busy page is asked once it is idle.
        let Some(page) = pages.first().filter(|page| waits(page)) else { return Ok(false) };
        let clicked = page.click(selector, false).await;
        let clicked = clicked.map_err(|error| Failure(format!("{selector}: {error}")))?;
        let missing = match clicked {
            Click::Clicked => {
                self.clicks.pop_front();
                return Ok(true);
            }
            Click::Missing => "no element matches",
            Click::Unheard => "the element does not listen for clicks",
        };
        if self.quiet_looks < QUIET_LOOKS {
            return Ok(false);
        }
        Err(Failure(format!("{selector}: {missing}")))
    }

    /// Whether the page waits for a click that the user may still make.
    async fn waits_for_click(&mut self, pages: &[Page]) -> bool {
        let Some(page) = pages.first() else { return false };
        let selectors = page.clickable().await;
        !selectors.is_empty() && self.output.waits_for_click(&selectors)
    }

    /// Carries out a user's command on a fetch.
    async fn carry_out(&mut self, command: Command) -> Result<(), Failure> {
        let ui = self.engine.ui();
        let done = match command {
            Command::Pause(fetch) => ui.pause(fetch).await,
            Command::Resume(fetch) => ui.resume(fetch).await,
            Command::Cancel(fetch) => ui.abort(fetch).await.map(drop),
            Command::Click(fetch) => ui.click(fetch).await,
            Command::ClickElement(_) | Command::Redraw | Command::Quit => Ok(()),
        };
        if let Err(error) = done {
            self.output.answer(&error.to_string());
        }
        let jobs = self.of_pages(ui.jobs().await?);
        let shown: Vec<_> = jobs.into_iter().filter(|job| self.history.has(job)).collect();
        Ok(self.output.draw(&shown)?)
    }

    fn of_pages(&self, mut jobs: Vec<Job>) -> Vec<Job> {
        jobs.retain(is_of_page);
        jobs
    }
}

/// Whether a page made it, rather than `get`.
fn is_of_page(job: &Job) -> bool {
    matches!(job.registration.scope.scheme(), "http" | "https")
}

/// Whether the page's scripts wait only for external events.
fn waits(page: &Page) -> bool {
    let idle = page.realm().idle();
    let ended = idle.has_changed().is_err();
    ended || *idle.borrow() && page.loaded().now_or_never().is_some()
}

/// Waits until a script closes one of the pages, and returns its index.
async fn closed(pages: &[Page]) -> usize {
    if pages.is_empty() {
        return std::future::pending().await;
    }
    select_all(pages.iter().map(|page| Box::pin(page.closed()))).await.1
}

/// Closes pages on a thread that may block.
async fn close(pages: impl IntoIterator<Item = Page> + Send + 'static) {
    // A panic at the end of a page was already reported.
    tokio::task::spawn_blocking(move || pages.into_iter().for_each(drop)).await.unwrap_or_default();
}
