//! Runs each command. All but `get` send one request to a store, whether or not a process is using
//! it, and print the response.

use std::path::Path;
use std::time::Instant;

use bgfetch::control::{self, Command, Request, Response};
use bgfetch::{Engine, SqliteStore, What};
use console::Term;

use crate::access::{self, Access, PATIENCE};
use crate::args::{self, Target};
use crate::control::execute;
use crate::detach::log_of;
use crate::exit::{Failure, Outcome};
use crate::jobs::{self, JobInfo};
use crate::output::Stdout;
use crate::saving::is_of_get;

/// Runs the command.
///
/// # Errors
///
/// The store cannot be reached, or the request was refused.
pub(crate) async fn run(command: args::Command) -> Result<Outcome, Failure> {
    let (name, Target { id, store }, json) = match command {
        args::Command::Get(get) => return crate::get::run(*get).await,
        #[cfg(feature = "js")]
        args::Command::Run(run) => return crate::run::run(run).await,
        #[cfg(feature = "js")]
        args::Command::Wpt(wpt) => return crate::wpt::run(wpt).await,
        args::Command::Completions { shell } => {
            crate::shell::completions(shell);
            return Ok(Outcome::Success);
        }
        args::Command::Man { directory } => return crate::shell::manual_pages(&directory),
        args::Command::Watch { store, json } => return crate::watch::run(store, json).await,
        args::Command::List { store, json } => (None, Target { id: None, store }, json),
        args::Command::Show { target, json } => (Some(Command::Show), target, json),
        args::Command::Pause(target) => (Some(Command::Pause), target, false),
        args::Command::Resume(target) => (Some(Command::Resume), target, false),
        args::Command::Abort(target) => (Some(Command::Abort), target, false),
        args::Command::Click(target) => (Some(Command::Click), target, false),
        args::Command::Dismiss(target) => (Some(Command::Dismiss), target, false),
    };
    let directory = access::directory(store.directory)?;
    let request = match name {
        Some(name) => Request::Command { name, id },
        None => Request::List {},
    };
    let answer = ask(&directory, &request).await?;
    print(&directory, name, answer, json)
}

/// The response to a request.
struct Answer {
    response: Response,
    /// Whether a process is at work on the fetches.
    live: bool,
    /// Whether the effect of a command waits for such a process.
    pending: bool,
}

/// Sends the request to the store's owner, or carries it out if there is none.
async fn ask(directory: &Path, request: &Request) -> Result<Answer, Failure> {
    let stopped = |response| Answer { response, live: false, pending: false };
    if !SqliteStore::exists(directory)? {
        // Inspecting a store must not create one.
        return Ok(stopped(match request {
            Request::List {} => Response::Jobs(Vec::new()),
            _ => Response::Failed(format!("there is no store in {}", directory.display())),
        }));
    }
    let started = Instant::now();
    loop {
        let client = match access::inspect_or_connect(directory).await? {
            Access::Theirs(client) => client,
            Access::Ours(engine) => {
                let answer = carry_out(&engine, request).await;
                engine.shutdown().await?;
                return answer;
            }
        };
        match client.ask(request).await {
            Ok(response) => return Ok(Answer { response, live: true, pending: false }),
            // The owner has ended. If it had carried out the command, it is carried out twice, which
            // does no harm.
            Err(control::Error::Io(_)) if started.elapsed() < PATIENCE => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Carries out a request on a store that no other process uses.
async fn carry_out(engine: &Engine, request: &Request) -> Result<Answer, Failure> {
    let mut observer = engine.observe().await?;
    let ui = engine.ui();
    let response = execute(&ui, request.clone()).await;
    let mut pending = true;
    if let (Request::Command { name: Command::Abort, .. }, Response::Done { id }) =
        (request, &response)
    {
        // The user may abort it to free the disk, so this does not wait for the next run.
        let jobs = ui.jobs().await?;
        let newest = jobs.iter().rev().find(|job| job.id == *id);
        if let Some(job) = newest.filter(|job| is_of_get(&job.registration)) {
            engine.registration(job.registration.clone()).set_active_worker(true).await?;
            let mut released = job.records.is_empty();
            while !released && let Some(event) = observer.next().await {
                released = event.fetch == job.key && matches!(event.what, What::EventEnded { .. });
            }
            pending = !released;
        }
    }
    Ok(Answer { response, live: false, pending })
}

fn print(
    directory: &Path,
    name: Option<Command>,
    answer: Answer,
    json: bool,
) -> Result<Outcome, Failure> {
    let Answer { response, live, pending } = answer;
    let mut stdout = Stdout::default();
    match response {
        Response::Jobs(jobs) if json => {
            for job in &jobs {
                stdout.line(&serde_json::to_string(&JobInfo::new(job, live))?);
            }
        }
        Response::Jobs(jobs) if jobs.is_empty() => {
            stdout.line(&format!("no background fetches in {}", directory.display()));
        }
        Response::Jobs(jobs) => {
            let infos: Vec<_> = jobs.iter().map(|job| JobInfo::new(job, live)).collect();
            let terminal = Term::stdout().size_checked().map(|(_, width)| width.into());
            stdout.text(&jobs::table(&infos, terminal));
        }
        Response::Job(job) => {
            let mut info = JobInfo::new(&job, live).with_files(&job);
            let log = log_of(directory);
            if is_of_get(&job.registration) && log.exists() {
                info = info.with_log(&log);
            }
            if json {
                stdout.json(&info);
            } else {
                stdout.text(&jobs::detail(&info));
            }
        }
        Response::Done { id } => stdout.line(&done(name, &id, pending)),
        Response::Failed(message) => return Err(Failure(message)),
        _ => return Err(Failure("the process that has the store open answered wrongly".into())),
    }
    Ok(Outcome::Success)
}

/// What a command has done, and what to do next if something is left for another run.
fn done(name: Option<Command>, id: &str, pending: bool) -> String {
    let (verb, rest) = match name {
        Some(Command::Pause) => ("paused", "it stays paused until it is resumed"),
        Some(Command::Resume) => ("resumed", "run the same command again to continue"),
        Some(Command::Abort) => ("aborted", "the next run deletes its bytes"),
        Some(Command::Click) => ("clicked", "no process is running to handle it"),
        Some(Command::Dismiss) => return format!("dismissed {id}"),
        _ => return id.to_owned(),
    };
    if pending { format!("{verb} {id}; {rest}") } else { format!("{verb} {id}") }
}
