//! The user's side: what
//! [display](https://wicg.github.io/background-fetch/#background-fetch-display-algorithm) shows and
//! what the user may do.

use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bgfetch_model::background_fetch::BackgroundFetch;
use bgfetch_model::background_fetch::display::Display;
use bgfetch_model::error::CallError;
use bgfetch_model::ids::{CallId, FetchKey, RegistrationKey};
use bgfetch_model::input::Input;
use bgfetch_model::record::Record;
use bgfetch_model::response::RecordResult;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::error::Result;
use crate::inbox::Inbox;

/// The user's view of all background fetches, and the user's commands.
#[derive(Clone, Debug)]
pub struct Ui {
    inbox: Inbox,
}

/// One background fetch in the UI.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Job {
    /// Its identity, for commands.
    pub key: FetchKey,
    /// The id that the page chose.
    pub id: String,
    /// The registration it belongs to.
    pub registration: RegistrationKey,
    /// What to show.
    pub display: Display,
    /// Its records; empty once the fetch has finished.
    pub records: Vec<JobRecord>,
}

/// One record in the UI.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobRecord {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: Url,
    /// Whether an attempt is running.
    pub in_flight: bool,
    /// Bytes stored.
    pub stored: u64,
    /// The length of the whole body in bytes, if the response gives it.
    pub length: Option<u64>,
    /// The status of the response, once it is known.
    pub status: Option<u16>,
    /// How it ended, or `None`.
    pub result: Option<RecordResult>,
}

bgfetch_model::impl_with!(Job, JobRecord);

/// A change in the list of jobs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum JobChange {
    /// A job is new, or something about it has changed: this is how it is now.
    Changed(Box<Job>),
    /// The job with this key is gone.
    Removed(FetchKey),
}

/// The jobs and their changes, from [`Ui::watch`]. Dropping it ends it.
pub struct Jobs(BoxStream<'static, JobChange>);

impl Jobs {
    /// The next change, or `None` when the engine is closed.
    pub async fn next(&mut self) -> Option<JobChange> {
        self.0.next().await
    }
}

impl Stream for Jobs {
    type Item = JobChange;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<JobChange>> {
        self.0.poll_next_unpin(context)
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").finish_non_exhaustive()
    }
}

impl Ui {
    pub(crate) fn new(inbox: Inbox) -> Self {
        Self { inbox }
    }

    /// All fetches that are active, or finished and not dismissed, in the order of registration.
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn jobs(&self) -> Result<Vec<Job>> {
        self.inbox.read(|view| view.model.fetches().map(Job::of).collect()).await
    }

    /// One of these fetches, or `None` when it is gone.
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn job(&self, fetch: FetchKey) -> Result<Option<Job>> {
        self.inbox.read(move |view| view.model.fetch(fetch).map(Job::of)).await
    }

    /// All of these fetches, and from then on each that has changed, as it is when its change is
    /// taken from the stream. So a user interface that is slow gets fewer changes, and is never
    /// behind.
    ///
    /// A change is whatever an [`Observer`](crate::Observer) would be told.
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn watch(&self) -> Result<Jobs> {
        let watch = self.inbox.read(|view| {
            let fetches = view.model.fetches().map(BackgroundFetch::key);
            view.observers.add_of_changes(fetches)
        });
        let state = (watch.await?, self.clone(), HashSet::new());
        let changes = stream::unfold(state, |(mut changed, ui, mut shown)| async move {
            loop {
                let fetch = changed.next().await?;
                let change = match ui.job(fetch).await.ok()? {
                    Some(job) => {
                        shown.insert(fetch);
                        JobChange::Changed(Box::new(job))
                    }
                    None if shown.remove(&fetch) => JobChange::Removed(fetch),
                    None => continue,
                };
                return Some((change, (changed, ui, shown)));
            }
        });
        Ok(Jobs(changes.boxed()))
    }

    /// Pauses a fetch.
    ///
    /// # Errors
    ///
    /// [`CallError::NotPausable`] when it has ended or has requests other than `GET`;
    /// [`CallError::NotFound`]; a closed engine.
    pub async fn pause(&self, fetch: FetchKey) -> Result<()> {
        self.command(|call| Input::SetPaused { call, fetch, paused: true }).await
    }

    /// Resumes a fetch, or accepts one that was started paused.
    ///
    /// # Errors
    ///
    /// [`CallError::NotFound`]; a closed engine.
    pub async fn resume(&self, fetch: FetchKey) -> Result<()> {
        self.command(|call| Input::SetPaused { call, fetch, paused: false }).await
    }

    /// Caps the rate of a fetch, in bytes per second, from now on: the lower one of this and its share
    /// of the rate of [all fetches](crate::Engine::set_rate) applies. `None` is no cap, and with 0
    /// nothing moves, although the connections stay open. A cap ends with the fetch or the engine, and
    /// is not stored.
    ///
    /// # Errors
    ///
    /// [`CallError::NotFound`]; a closed engine.
    pub async fn set_rate(&self, fetch: FetchKey, rate: Option<u64>) -> Result<()> {
        let set = self.inbox.read(move |view| {
            let fetch_now = view.model.fetch(fetch).ok_or(CallError::NotFound)?;
            if fetch_now.update().result.is_none() {
                view.throttle.set_fetch_rate(fetch, rate);
            }
            Ok::<_, CallError>(())
        });
        Ok(set.await??)
    }

    /// Aborts a fetch; its worker gets `backgroundfetchabort`. Returns whether it was still active.
    ///
    /// # Errors
    ///
    /// A closed engine.
    pub async fn abort(&self, fetch: FetchKey) -> Result<bool> {
        use bgfetch_model::action::Reply;
        let reply = self.inbox.call(|call| Input::Abort { call, fetch }).await?;
        Ok(reply == Reply::Aborted(true))
    }

    /// Activates a fetch; its worker gets `backgroundfetchclick`. Observers are told whether a worker
    /// handled it ([`What::ClickEnded`](crate::What::ClickEnded)), so that a UI can open a page of
    /// the site itself if none did.
    ///
    /// # Errors
    ///
    /// [`CallError::NotFound`]; a closed engine.
    pub async fn click(&self, fetch: FetchKey) -> Result<()> {
        self.command(|call| Input::Click { call, fetch }).await
    }

    /// Removes a finished fetch from the UI, or gives up one whose event waits for a worker and
    /// deletes its bytes ([`Display::dismissible`]).
    ///
    /// # Errors
    ///
    /// [`CallError::StillActive`] while the fetch is running or a worker is handling its event;
    /// [`CallError::NotFound`]; a closed engine.
    pub async fn dismiss(&self, fetch: FetchKey) -> Result<()> {
        self.command(|call| Input::Dismiss { call, fetch }).await
    }

    /// The newest fetch with that id in a registration, including finished ones (WebDriver's
    /// *background fetch click* finds it this way).
    ///
    /// # Errors
    ///
    /// [`CallError::NotFound`]; a closed engine.
    pub async fn newest(&self, registration: &RegistrationKey, id: &str) -> Result<FetchKey> {
        let (registration, id) = (registration.clone(), id.to_owned());
        let newest = self.inbox.read(move |view| view.model.newest(&registration, &id)).await?;
        newest.ok_or_else(|| CallError::NotFound.into())
    }

    async fn command(&self, input: impl FnOnce(CallId) -> Input) -> Result<()> {
        self.inbox.call(input).await.map(drop)
    }
}

impl Job {
    /// A job without records, for tests of a UI.
    #[must_use]
    pub fn new(
        key: FetchKey,
        registration: RegistrationKey,
        id: impl Into<String>,
        display: Display,
    ) -> Self {
        Self { key, id: id.into(), registration, display, records: Vec::new() }
    }

    fn of(fetch: &BackgroundFetch) -> Self {
        Self {
            key: fetch.key(),
            id: fetch.id().to_owned(),
            registration: fetch.registration().clone(),
            display: fetch.display(),
            records: fetch.records().iter().map(JobRecord::of).collect(),
        }
    }
}

impl JobRecord {
    /// A record whose request is waiting to be sent, for tests of a UI.
    #[must_use]
    pub fn new(method: impl Into<String>, url: Url) -> Self {
        Self {
            method: method.into(),
            url,
            in_flight: false,
            stored: 0,
            length: None,
            status: None,
            result: None,
        }
    }

    fn of(record: &Record) -> Self {
        let data = record.response_data();
        Self {
            method: record.request().method.clone(),
            url: record.request().url.clone(),
            in_flight: record.is_in_flight(),
            stored: data.stored,
            length: record.announced_length(),
            status: data.response.map(|head| head.status),
            result: data.result,
        }
    }
}
