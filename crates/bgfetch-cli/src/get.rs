//! `bgfetch get`: one background fetch, from its registration to the files.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bgfetch::{
    BackgroundFetchManager, Engine, Event, FailureReason, FetchKey, Job, Observer, PauseReason,
    Principal, RecordIndex, RegistrationKey, What,
};
use tokio::signal::ctrl_c;
use tokio::sync::{SetOnce, mpsc};
use tokio::time::MissedTickBehavior;

use crate::access::{self, Access};
use crate::args::Get;
use crate::control::protocol::{Command, Request, Response};
use crate::control::server::Server;
use crate::exit::{self, Failure, Outcome, complain};
use crate::network::NetworkOptions;
use crate::output::json::Json;
use crate::output::plain::failure;
use crate::output::{Form, Output};
use crate::plan::Plan;
use crate::saving::Saving;
use crate::text::without_code;
use crate::worker::{Delivered, Delivery, FailedRecord, Report, Worker};

/// How often the bars are drawn.
const DRAW_INTERVAL: Duration = Duration::from_millis(200);

/// An addition per record for fetches with very many records, because each redraw copies all of
/// them.
const DRAW_INTERVAL_PER_RECORD: Duration = Duration::from_micros(20);

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

/// Runs the command.
///
/// # Errors
///
/// The arguments are wrong or the store cannot be opened, so nothing was done; or the fetch cannot
/// continue now, and running the command again resumes it.
pub(crate) async fn run(args: Get) -> Result<Outcome, Failure> {
    let (json, mut id) = (args.json, args.id.clone());
    let ended = fetch(args, &mut id).await;
    let stopped = match &ended {
        Ok(Outcome::Interrupted) => Some(("interrupted", "stopped by Ctrl-C")),
        Err(Stopped { reason, message }) => Some((*reason, message.as_str())),
        Ok(_) => None,
    };
    if let Some((reason, message)) = stopped.filter(|_| json) {
        Json::default().stopped(id.as_deref(), reason, message);
    }
    if let Ok(Outcome::Interrupted) = ended {
        complain(&format!("stopped; {RESUME}"));
    }
    ended.map_err(|Stopped { message, .. }| Failure(message))
}

/// Fetches; sets `id` as soon as the fetch's id is known.
async fn fetch(args: Get, id: &mut Option<String>) -> Result<Outcome, Stopped> {
    let plan = Plan::new(&args)?;
    *id = Some(plan.id.clone());
    let directory = access::directory(args.store.directory)?;
    if args.network.insecure {
        complain(
            "warning: certificates are not verified; anybody may read and change what is sent",
        );
    }
    let engine_of_worker = Arc::new(SetOnce::new());
    let (mut worker, deliveries) = Worker::new(Arc::clone(&engine_of_worker));
    if plan.is_partial {
        worker = worker.holding(plan.registration()?, plan.id.clone());
    }
    let engine = open(&directory, &worker, &plan, &args.network).await?;
    let server = Server::start(&directory, engine.ui());
    if let Err(error) = &server {
        let reason = without_code(&error.to_string());
        complain(&format!("other processes cannot control this fetch: {reason}"));
    }
    let form = match (args.json, args.quiet, args.verbose) {
        (true, ..) => Form::Json,
        (_, true, _) => Form::Quiet,
        (.., verbose) => Form::Text { verbose },
    };
    let fetching = async {
        let observer = engine.observe().await?;
        let mut output = Output::choose(form, &plan);
        let Some(fetch) = find_or_register(&engine, &plan, &mut output).await? else {
            return Ok(Outcome::Success);
        };
        // From here on the worker handles events, including those of other fetches.
        engine_of_worker.set(engine.clone())?;
        let session = Session {
            engine: &engine,
            fetch,
            directory: &directory,
            is_partial: plan.is_partial,
            output,
            report: None,
            messages: HashMap::new(),
        };
        session.run(observer, deliveries, plan.files.len()).await
    };
    let outcome = tokio::select! {
        outcome = fetching => outcome,
        pressed = ctrl_c() => pressed.map(|()| Outcome::Interrupted).map_err(Stopped::from),
    };
    // The socket is removed before the store is closed: the next owner binds its own.
    drop(server);
    let closed = tokio::select! {
        closed = engine.shutdown() => closed,
        _ = ctrl_c() => exit::immediately(),
    };
    match (outcome, closed) {
        (Err(stopped), _) => Err(stopped),
        (Ok(_), Err(error)) => Err(Failure(format!("{error}; {RESUME}")).into()),
        (Ok(outcome), Ok(())) => Ok(outcome),
    }
}

/// Opens the store, or fails with the process that has it open.
async fn open(
    directory: &Path,
    worker: &Worker,
    plan: &Plan,
    network: &NetworkOptions,
) -> Result<Engine, Failure> {
    let fetcher = Arc::new(network.fetcher(plan.urls().cloned().collect())?);
    let builder = || {
        let builder = access::builder(directory).worker_host(worker.clone());
        network.apply(builder.fetcher(Arc::clone(&fetcher)))
    };
    let id = &plan.id;
    let request = Request { command: Command::Show, id: Some(id.clone()) };
    match access::open_or_ask(directory, builder, &request).await? {
        Access::Ours(engine) => Ok(engine),
        Access::Theirs { answer, in_use } => Err(Failure(match answer {
            Response::Job(job) if job.is_active() => {
                format!("{id} is being fetched already: {in_use}")
            }
            _ => in_use.to_string(),
        })),
    }
}

/// Finds the fetch that an earlier run of the same command left, or registers one; `None` if that
/// run has completed everything.
async fn find_or_register(
    engine: &Engine,
    plan: &Plan,
    output: &mut Output,
) -> Result<Option<FetchKey>, Failure> {
    let own = plan.registration()?;
    let RegistrationKey { storage_key, scope } = own.clone();
    let registration = engine.register(storage_key, scope).await?;
    // An id names one fetch to the user, whatever its output directory.
    for other in engine.registrations().await? {
        let Some(saving) = Saving::of(other.key()) else {
            // A page's fetch: its service worker runs in `bgfetch run`.
            continue;
        };
        if *other.key() != own && other.background_fetch().get(&plan.id).await?.is_some() {
            return Err(Failure(format!(
                "{} is already active and is saved to {}{}; choose another --id",
                plan.id,
                saving.path().display(),
                if saving.path() == plan.saving.path() { " in another way" } else { "" }
            )));
        }
        // Files that other commands left unsaved are saved as well.
        other.set_active_worker(true).await?;
    }
    let manager = registration.background_fetch().acting_for(Principal::User);
    if let Some(job) = left_behind(engine, &manager, plan, output).await? {
        output.restarted(&job);
        if let Some(reason) = job.display.pause_reason {
            output.held_back(&job, reason);
        }
        return Ok(Some(job.key));
    }
    if let Some(job) = saved_before(engine, plan).await? {
        let (id, path) = (&plan.id, plan.saving.path());
        let saved = format!("{id} was saved to {} already", path.display());
        let hint = format!("to fetch it again, run bgfetch dismiss {id} first");
        output.saved_before(&job, &format!("{saved}; {hint}"));
        return Ok(None);
    }
    let fetch = manager.fetch(&plan.id, plan.requests(), plan.options());
    Ok(Some(fetch.await?.key()))
}

/// The finished fetch of an earlier run of the same command, if its files still exist. An id chosen
/// by the user does not tell whether the URLs were the same.
///
/// If the files are missing, the fetch is dismissed: the list has one row per id.
async fn saved_before(engine: &Engine, plan: &Plan) -> Result<Option<Job>, Failure> {
    let ui = engine.ui();
    let mut jobs = ui.jobs().await?;
    let registration = plan.registration()?;
    jobs.retain(|job| job.registration == registration && job.id == plan.id);
    jobs.retain(|job| job.display.result == Some(Ok(())) && job.records.is_empty());
    if let Some(newest) = jobs.pop_if(|job| plan.is_saved(job.display.downloaded)) {
        return Ok(Some(newest));
    }
    for job in jobs {
        ui.dismiss(job.key).await?;
    }
    Ok(None)
}

/// The fetch with that id that is not over.
async fn left_behind(
    engine: &Engine,
    manager: &BackgroundFetchManager,
    plan: &Plan,
    output: &mut Output,
) -> Result<Option<Job>, Failure> {
    let same_urls = |job: &Job| job.records.iter().map(|record| &record.url).eq(plan.urls());
    if let Some(fetch) = manager.get(&plan.id).await? {
        let records = fetch.records().await?;
        let requests = || records.iter().map(|record| record.request());
        let other = if !requests().map(|it| &it.url).eq(plan.urls()) {
            "other URLs"
        } else if !requests().map(|it| &it.integrity).eq(plan.files.iter().map(|it| &it.integrity))
        {
            "other checksums"
        } else {
            if requests().zip(plan.requests()).any(|(found, own)| found.headers != own.headers) {
                output.complain(&format!(
                    "{} continues with the headers that it began with",
                    plan.id
                ));
            }
            return Ok(engine.ui().job(fetch.key()).await?);
        };
        let hint = "choose another --id, or abort it";
        return Err(Failure(format!("{} is already active with {other}; {hint}", plan.id)));
    }
    let mut jobs = engine.ui().jobs().await?;
    // It may have settled with its files still to be written: no process did that before this one.
    let registration = plan.registration()?;
    jobs.retain(|job| {
        let same = job.registration == registration && job.id == plan.id && same_urls(job);
        same && !job.display.over
    });
    let Some(job) = jobs.pop() else {
        return Ok(None);
    };
    let Some(fetch) = engine.registration(job.registration.clone()).fetch(job.key).await? else {
        return Ok(None);
    };
    // After an abort, the same command starts over.
    let aborted = fetch.settled().await? == Err(FailureReason::Aborted);
    Ok((!aborted).then_some(job))
}

/// The running command.
struct Session<'a> {
    engine: &'a Engine,
    fetch: FetchKey,
    directory: &'a Path,
    /// Whether lines of a list were refused.
    is_partial: bool,
    output: Output,
    /// The outcome of the fetch, once its files are written.
    report: Option<Report>,
    /// The failures of records, for the user.
    messages: HashMap<RecordIndex, String>,
}

impl Session<'_> {
    async fn run(
        mut self,
        mut observer: Observer,
        mut deliveries: mpsc::UnboundedReceiver<Delivery>,
        records: usize,
    ) -> Result<Outcome, Stopped> {
        let records = u32::try_from(records).unwrap_or(u32::MAX);
        let per_record = DRAW_INTERVAL_PER_RECORD.saturating_mul(records);
        let mut draw = tokio::time::interval(DRAW_INTERVAL + per_record);
        draw.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(delivery) = deliveries.recv() => self.delivered(delivery)?,
                event = observer.next() => match event {
                    // The engine stopped; its shutdown returns the reason.
                    None => return Ok(Outcome::Failed),
                    Some(event) if event.fetch != self.fetch => {}
                    Some(event) => match event.what {
                        What::EventEnded { .. } => {
                            // The worker has reported the event before, but on another channel.
                            while self.report.is_none()
                                && let Some(delivery) = deliveries.recv().await
                            {
                                self.delivered(delivery)?;
                            }
                            return Ok(self.finish(&event));
                        }
                        _ => self.event(&event)?,
                    }
                },
                _ = draw.tick(), if self.output.draws() => self.draw().await?,
            }
        }
    }

    fn event(&mut self, event: &Event) -> Result<(), Stopped> {
        self.output.event(event);
        match &event.what {
            What::Paused(PauseReason::Storage) => Err(Stopped {
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
        match what {
            Delivered::Written(report) if fetch == self.fetch => self.report = Some(report),
            Delivered::NotWritten(reason) if fetch == self.fetch => {
                return Err(Stopped {
                    reason: "not-saved",
                    message: format!(
                        "{reason}; the download is kept: run the same command again to save it"
                    ),
                });
            }
            // Fetches that other commands left are resumed as well.
            Delivered::Written(report) => self.output.note(&match report.result {
                Err(FailureReason::Aborted) => format!("the bytes of {id} were deleted"),
                _ => {
                    let (written, out) = (report.saved.len(), report.out.display());
                    format!("{id} has ended too: {written} saved to {out}")
                }
            }),
            Delivered::NotWritten(reason) => self.output.complain(&format!("{id}: {reason}")),
            Delivered::Clicked => self.output.note(&format!("clicked {id}")),
        }
        Ok(())
    }

    async fn draw(&mut self) -> Result<(), Failure> {
        let jobs = self.engine.ui().jobs().await?;
        if let Some(job) = jobs.iter().find(|job| job.key == self.fetch) {
            self.output.draw(job);
        }
        Ok(())
    }

    /// Reports how the fetch ended: its failures on standard error, and a line for each record.
    fn finish(mut self, event: &Event) -> Outcome {
        let Some(report) = self.report else {
            return Outcome::Failed;
        };
        self.output.settled(event, &report);
        for FailedRecord { index, url, status, reason } in &report.failed {
            let message = self.messages.get(index).map(String::as_str);
            complain(&failure(url, *reason, *status, message));
        }
        match report.result {
            Ok(()) if self.is_partial => {
                complain(
                    "correct the lines that are no URLs, and run the command again for the rest",
                );
                Outcome::Failed
            }
            Ok(()) => Outcome::Success,
            Err(reason) => {
                complain(&format!("{} failed: {}", event.id, reason.as_str()));
                Outcome::Failed
            }
        }
    }
}
