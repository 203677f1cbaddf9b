//! `bgfetch get`: one background fetch, from its registration to the files.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bgfetch::control::{self, Delivered, Delivery, FailedFile, Found, Report, Response};
use bgfetch::{Engine, Event, FailureReason, Job, PauseReason, RecordIndex, What};
use tokio::signal::ctrl_c;
use tokio::sync::mpsc;

use crate::access::{self, Access, PATIENCE};
use crate::args::Get;
use crate::control::server::Server;
use crate::detach::{self, Parent};
use crate::exit::{self, Failure, Outcome, complain, complain_about, complain_of};
use crate::failure::{FileFailure, ending};
use crate::log;
use crate::network::{Untrusted, UrlSet};
use crate::output::json::Json;
use crate::output::{Form, Output};
use crate::owner::{Owner, UPDATES};
use crate::plan::Plan;
use crate::saving::directory_of;
use crate::text::without_code;
use crate::worker::{Shared, Worker};

/// How long to wait for the store of an owner that has ended. It may still be copying files.
const TAKEOVER_PATIENCE: Duration = Duration::from_secs(60);

/// The end of messages after which the user only has to run the command again.
const RESUME: &str = "run the same command again to resume";

/// Why the command ended before its fetch did.
struct Stopped {
    /// The reason for programs.
    reason: &'static str,
    message: String,
}

impl<E: Into<Failure>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self { reason: "error", message: error.into().0 }
    }
}

/// What the end of the command has to name.
#[derive(Default)]
struct Known {
    id: Option<String>,
    /// Who goes on with the fetch when this process ends, if anybody does.
    successor: Option<String>,
    /// How the fetch ended, if this process works on for others.
    outcome: Option<Outcome>,
    /// Who waits for the beginning of a detached process.
    parent: Option<Parent>,
}

impl Known {
    fn begun(&mut self, response: &Response) {
        if let Some(parent) = &mut self.parent {
            parent.tell(response);
        }
    }
}

/// Runs the command.
///
/// # Errors
///
/// The arguments are wrong or the store cannot be opened, so nothing was done; or the fetch cannot
/// continue now, and running the command again resumes it.
pub(crate) async fn run(args: Get) -> Result<Outcome, Failure> {
    let json = args.json;
    let mut known = Known { id: args.id.clone(), ..Known::default() };
    let ended = match args.detach {
        true => detach::start(&args).await.map_err(Stopped::from),
        false => fetch(args, &mut known).await,
    };
    let id = known.id.as_deref();
    let interrupted = match &known.successor {
        None => format!("stopped; {RESUME}"),
        Some(successor) => {
            let id = id.unwrap_or_default();
            format!(
                "{successor} goes on with {id}; to stop it, run bgfetch pause {id} or abort {id}"
            )
        }
    };
    let stopped = match &ended {
        Ok(Outcome::Interrupted) => Some(("interrupted", "stopped by Ctrl-C")),
        Err(Stopped { reason, message }) => Some((*reason, message.as_str())),
        Ok(_) => None,
    };
    if let Some((reason, message)) = stopped.filter(|_| json) {
        Json::default().stopped(id, reason, message);
    }
    if let Ok(Outcome::Interrupted) = ended {
        complain(&interrupted);
    }
    if let Err(Stopped { message, .. }) = &ended {
        known.begun(&Response::Failed(message.clone()));
    }
    ended.map_err(|Stopped { message, .. }| Failure(message))
}

/// Fetches; sets what is `known` as soon as it is.
async fn fetch(args: Get, known: &mut Known) -> Result<Outcome, Stopped> {
    if args.detached {
        log::begin();
        known.parent = Some(Parent::leave()?);
    }
    let plan = Plan::new(&args)?;
    known.id = Some(plan.id.clone());
    let directory = std::path::absolute(access::directory(args.store.directory.clone())?)?;
    if args.network.insecure {
        complain(
            "warning: certificates are not verified; anybody may read and change what is sent",
        );
    }
    let urls = UrlSet::default();
    urls.add(plan.urls().cloned());
    let (untrusted, mut untrusted_servers) = mpsc::unbounded_channel();
    let fetcher = Arc::new(args.network.fetcher(urls.clone(), untrusted)?);
    let get = plan.get(args.network.named()?)?;
    if args.detached {
        // The file system of the current directory can be unmounted.
        std::env::set_current_dir("/")?;
    }
    let output = match args.detached {
        true => Output::log(&plan),
        false => Output::choose(Form::of(&args), &plan),
    };
    let mut session = Session {
        get: control::Get { jobs: output.draws(), ..get },
        path: plan.saving.path(),
        is_partial: plan.is_partial,
        directory,
        detached: args.detached,
        output,
        report: None,
        messages: HashMap::new(),
    };
    let mut patience = PATIENCE;
    loop {
        let shared = Arc::new(Shared::new());
        let builder = || {
            let builder = access::builder(&session.directory);
            let builder = builder.worker_host(Worker(Arc::clone(&shared)));
            args.network.apply(builder.fetcher(Arc::clone(&fetcher)))
        };
        let link = match access::open_or_connect(&session.directory, builder, patience).await? {
            Access::Ours(engine) => {
                let options = session.get.engine.clone();
                let owner = Arc::new(Owner::new(engine.clone(), options, shared, urls));
                return session.own(engine, owner, &mut untrusted_servers, known).await;
            }
            Access::Theirs(client) => {
                client.follow(&control::Request::Get(Box::new(session.get.clone()))).await
            }
        };
        let ended = match link {
            Ok(updates) => {
                let mut link = Link::Other(updates);
                tokio::select! {
                    ended = session.run(&mut link, known) => ended?,
                    pressed = ctrl_c() => return Ok(pressed.map(|()| Outcome::Interrupted)?),
                }
            }
            Err(_) => None,
        };
        if let Some(outcome) = ended {
            return Ok(outcome);
        }
        session.output.note("the process that had the store open has ended");
        patience = TAKEOVER_PATIENCE;
    }
}

/// Where the reports about the fetch come from.
enum Link {
    /// This process owns the store.
    Own(mpsc::Receiver<Response>),
    /// Another one does.
    Other(control::Updates),
}

impl Link {
    /// The next response, or `None` if the owner has ended.
    async fn next(&mut self) -> Result<Option<Response>, Failure> {
        match self {
            Self::Own(updates) => Ok(updates.recv().await),
            Self::Other(updates) => match updates.next().await {
                // A process that was killed resets its connections.
                Err(control::Error::Io(_)) => Ok(None),
                response => Ok(response?),
            },
        }
    }
}

/// The running command.
struct Session {
    get: control::Get,
    /// The path to show: of the only file, or of the directory.
    path: PathBuf,
    /// Whether lines of a list were refused.
    is_partial: bool,
    /// The store's.
    directory: PathBuf,
    /// Whether this process has no terminal, so that nobody waits for its end.
    detached: bool,
    output: Output,
    /// The outcome of the fetch, once its files are written.
    report: Option<Report>,
    /// The failures of records, for the user.
    messages: HashMap<RecordIndex, String>,
}

impl Session {
    /// Fetches as the owner of the store.
    async fn own(
        mut self,
        engine: Engine,
        owner: Arc<Owner>,
        untrusted: &mut mpsc::UnboundedReceiver<Untrusted>,
        known: &mut Known,
    ) -> Result<Outcome, Stopped> {
        let fetching = async {
            // The fetch is looked for before others can have it saved.
            let accepted = owner.accept(&self.get).await?;
            let server = Server::start(&self.directory, engine.clone(), Some(Arc::clone(&owner)));
            if let Err(error) = &server {
                let reason = without_code(&error.to_string());
                complain(&format!("other processes cannot control this fetch: {reason}"));
            }
            let (updates, told) = mpsc::channel(UPDATES);
            tokio::spawn(Arc::clone(&owner).follow(accepted, self.get.jobs, true, updates));
            let ended = self.run(&mut Link::Own(told), known).await;
            // If the engine stopped, its shutdown returns the reason.
            let ended = ended.map(|ended| ended.unwrap_or(Outcome::Failed));
            if self.detached || ended.is_ok() {
                known.outcome = ended.as_ref().ok().copied();
                self.stay(&owner).await;
            }
            // The socket is removed before the store is closed: the next owner binds its own.
            ended
        };
        let interrupted = async { (ctrl_c().await, owner.has_hands()) };
        let outcome = tokio::select! {
            outcome = fetching => outcome,
            (pressed, has_hands) = interrupted => {
                // Whoever waits for another fetch opens the store next, and resumes all of them.
                known.successor = has_hands.then(|| "another process".into());
                let outcome = known.outcome.unwrap_or(Outcome::Interrupted);
                pressed.map(|()| outcome).map_err(Stopped::from)
            }
            never = owner.set_aside(untrusted) => match never {},
        };
        let ended = owner.end().await;
        let closed = tokio::select! {
            closed = engine.shutdown() => closed,
            _ = ctrl_c() => exit::immediately(),
        };
        match (outcome, ended.and(closed)) {
            (Err(stopped), _) => Err(stopped),
            (Ok(_), Err(error)) => Err(Failure(format!("{error}; {RESUME}")).into()),
            (Ok(outcome), Ok(())) => Ok(outcome),
        }
    }

    /// Works on until no other fetch is left that was handed to this process. A server may not let
    /// the next owner resume.
    async fn stay(&mut self, owner: &Owner) {
        let own = self.get.accepted;
        match owner.others(own) {
            0 => return,
            others => self.output.stays(&self.get.id, others),
        }
        owner.others_end(own).await;
    }

    /// Reports on the fetch until it has ended; returns `None` if its owner ends before.
    async fn run(
        &mut self,
        link: &mut Link,
        known: &mut Known,
    ) -> Result<Option<Outcome>, Stopped> {
        while let Some(response) = link.next().await? {
            known.begun(&response);
            match response {
                Response::Accepted { fetch, owner, found } => {
                    self.get.accepted = Some(fetch);
                    let other = owner != std::process::id();
                    known.successor = other.then(|| format!("process {owner}"));
                    if let Found::Active { job, other_headers } = found {
                        if other_headers {
                            let id = &job.id;
                            self.output.complain(&format!(
                                "{id} continues with the headers that it began with"
                            ));
                        }
                        self.found(&job);
                    }
                }
                Response::Over(job) => return Ok(Some(self.over(&job))),
                Response::SavedBefore(job) => {
                    self.output.saved_before(&job, &self.path);
                    return Ok(Some(Outcome::Success));
                }
                Response::Delivery(delivery) => self.delivered(delivery)?,
                Response::Event(event) => match event.what {
                    What::EventEnded { .. } | What::Removed => {
                        return Ok(Some(self.finish(&event)));
                    }
                    _ => self.event(&event)?,
                },
                Response::Job(job) => self.output.draw(&job),
                Response::Failed(message) => return Err(Failure(message).into()),
                _ => {}
            }
        }
        Ok(None)
    }

    /// The fetch was in the store.
    fn found(&mut self, job: &Job) {
        self.output.restarted(job);
        if let Some(reason) = job.display.pause_reason {
            self.output.held_back(job, reason);
        }
    }

    /// The fetch has ended while nobody reported on it.
    fn over(&mut self, job: &Job) -> Outcome {
        let (id, out) = (&job.id, self.path.display());
        match job.display.result {
            Some(Err(reason)) => {
                let ending = format!(" {}", ending(reason, 0, 0));
                if let Output::Json(json) = &mut self.output {
                    json.ended_before(job, &format!("{id}{ending}"));
                }
                complain_about(id, &ending);
                Outcome::Failed
            }
            _ => {
                self.output.ended_before(job, &format!("{id} was saved to {out}"));
                self.succeeded()
            }
        }
    }

    /// All files were saved that could be asked for.
    fn succeeded(&self) -> Outcome {
        if self.is_partial {
            complain("correct the lines that are no URLs, and run the command again for the rest");
            return Outcome::Failed;
        }
        Outcome::Success
    }

    fn event(&mut self, event: &Event) -> Result<(), Stopped> {
        self.output.event(event);
        match &event.what {
            What::Paused(PauseReason::Storage) if !self.detached => Err(Stopped {
                reason: PauseReason::Storage.as_str(),
                message: format!(
                    "no space left for the store in {}; free some space, then {RESUME}",
                    self.directory.display()
                ),
            }),
            What::RecordSettled { record, message: Some(message), .. } => {
                self.messages.insert(record.index, message.clone());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn delivered(&mut self, delivery: Delivery) -> Result<(), Stopped> {
        let Delivery { fetch, id, what } = delivery;
        let own = self.get.accepted == Some(fetch);
        match what {
            Delivered::Written(report) if own => self.report = Some(report),
            Delivered::NotWritten(reason) if own => {
                return Err(Stopped {
                    reason: "not-saved",
                    message: format!(
                        "{reason}; the download is kept: run the same command again to save it"
                    ),
                });
            }
            // Fetches that other commands left are resumed as well.
            Delivered::Written(report) => self.output.note(&match report.failure {
                Some(FailureReason::Aborted) => format!("the bytes of {id} were deleted"),
                _ => {
                    let out = directory_of(&report.scope).unwrap_or_default();
                    let (written, out) = (report.saved.len(), out.display());
                    format!("{id} has ended too: {written} saved to {out}")
                }
            }),
            Delivered::NotWritten(reason) => self.output.complain(&format!("{id}: {reason}")),
            Delivered::SetAside(why) => self.output.complain(&format!(
                "{id} waits: {why}; if that is right, run its own command again, with its --cacert \
                 or --insecure"
            )),
            Delivered::Clicked => self.output.note(&format!("clicked {id}")),
            _ => {}
        }
        Ok(())
    }

    /// Reports how the fetch ended: its failures on standard error, and a line for each record.
    fn finish(&mut self, event: &Event) -> Outcome {
        let Some(report) = self.report.take() else {
            complain_about(&event.id, " was removed");
            return Outcome::Failed;
        };
        self.output.settled(event, &report);
        for FailedFile { index, url, status, reason } in &report.failed {
            let (url, message) = (&self.output.shown(url), self.messages.get(index));
            let message = message.map(String::as_str);
            complain_of(&FileFailure { url, reason: *reason, status: *status, message });
        }
        match report.result() {
            Ok(()) => self.succeeded(),
            Err(reason) => {
                let ending = ending(reason, report.failed.len(), report.saved.len());
                complain_about(&event.id, &format!(" {ending}"));
                Outcome::Failed
            }
        }
    }
}
