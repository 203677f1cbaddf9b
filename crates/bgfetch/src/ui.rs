//! The user's side: what
//! [display](https://wicg.github.io/background-fetch/#background-fetch-display-algorithm) shows and
//! what the user may do.

use bgfetch_model::background_fetch::display::Display;
use bgfetch_model::error::CallError;
use bgfetch_model::ids::{CallId, FetchKey, RegistrationKey};
use bgfetch_model::input::Input;
use bgfetch_model::response::RecordResult;
use url::Url;

use crate::error::Result;
use crate::inbox::Inbox;

/// The user's view of all background fetches, and the user's commands.
#[derive(Clone, Debug)]
pub struct Ui {
    inbox: Inbox,
}

/// One background fetch in the UI.
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug)]
pub struct JobRecord {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: Url,
    /// Whether an attempt is running.
    pub in_flight: bool,
    /// Bytes stored.
    pub stored: u64,
    /// The length of the whole body, if the response gives it.
    pub length: Option<u64>,
    /// The status of the response, once it is known.
    pub status: Option<u16>,
    /// How it ended, or `None`.
    pub result: Option<RecordResult>,
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
        let jobs = self.inbox.read(|view| {
            let job = |fetch: &bgfetch_model::background_fetch::BackgroundFetch| Job {
                key: fetch.key(),
                id: fetch.id().to_owned(),
                registration: fetch.registration().clone(),
                display: fetch.display(),
                records: fetch.records().iter().map(record).collect(),
            };
            view.model.fetches().map(job).collect()
        });
        jobs.await
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

    /// Activates a fetch; its worker gets `backgroundfetchclick`.
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
    pub async fn newest(&self, registration: RegistrationKey, id: String) -> Result<FetchKey> {
        let newest = self.inbox.read(move |view| view.model.newest(&registration, &id)).await?;
        newest.ok_or_else(|| CallError::NotFound.into())
    }

    async fn command(&self, input: impl FnOnce(CallId) -> Input) -> Result<()> {
        self.inbox.call(input).await.map(drop)
    }
}

fn record(record: &bgfetch_model::record::Record) -> JobRecord {
    let data = record.response_data();
    JobRecord {
        method: record.request().method.clone(),
        url: record.request().url.clone(),
        in_flight: record.is_in_flight(),
        stored: data.stored,
        length: record.announced_length(),
        status: data.response.map(|head| head.status),
        result: data.result,
    }
}
