//! Runs each command. All but `get` send one request to a store, whether or not a process is using
//! it, and print the response.

use std::path::Path;

use bgfetch::{Connectivity, Engine, ManualConnectivity, Reachable, SqliteStore, What};
use console::Term;

use crate::access::{self, Access};
use crate::args::{self, Target};
use crate::control::execute;
use crate::control::protocol::{Command, Request, Response};
use crate::exit::{Failure, Outcome};
use crate::jobs;
use crate::output::Stdout;
use crate::saving::is_of_get;
use crate::worker::ReleasingWorker;

/// Runs the command.
///
/// # Errors
///
/// The store cannot be reached, or the request was refused.
pub(crate) async fn run(command: args::Command) -> Result<Outcome, Failure> {
    let (command, Target { id, store }, json) = match command {
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
        args::Command::List { store, json } => (Command::List, Target { id: None, store }, json),
        args::Command::Show { target, json } => (Command::Show, target, json),
        args::Command::Pause(target) => (Command::Pause, target, false),
        args::Command::Resume(target) => (Command::Resume, target, false),
        args::Command::Abort(target) => (Command::Abort, target, false),
        args::Command::Click(target) => (Command::Click, target, false),
        args::Command::Dismiss(target) => (Command::Dismiss, target, false),
    };
    let directory = access::directory(store.directory)?;
    let request = Request { command, id };
    let response = ask(&directory, &request).await?;
    print(&directory, command, response, json)
}

/// Sends the request to the store's owner, or carries it out if there is none.
async fn ask(directory: &Path, request: &Request) -> Result<Response, Failure> {
    if !SqliteStore::exists(directory)? {
        // Inspecting a store must not create one.
        return Ok(match request.command {
            Command::List => Response::Jobs(Vec::new()),
            _ => Response::Failed(format!("there is no store in {}", directory.display())),
        });
    }
    let builder = || {
        access::builder(directory).connectivity(nothing_reachable()).worker_host(ReleasingWorker)
    };
    match access::open_or_ask(directory, builder, request).await? {
        Access::Theirs { answer, .. } => Ok(answer),
        Access::Ours(engine) => {
            let response = carry_out(&engine, request).await;
            engine.shutdown().await?;
            response
        }
    }
}

/// Carries out a request on a store that no other process uses.
async fn carry_out(engine: &Engine, request: &Request) -> Result<Response, Failure> {
    let mut observer = engine.observe().await?;
    let ui = engine.ui();
    let mut response = execute(&ui, request.clone(), false).await;
    if let (Command::Abort, Response::Done { id, pending }) = (request.command, &mut response) {
        // The user may abort it to free the disk, so this does not wait for the next run.
        let jobs = ui.jobs().await?;
        let newest = jobs.iter().rev().find(|job| job.id == *id);
        if let Some(job) = newest.filter(|job| is_of_get(&job.registration)) {
            engine.registration(job.registration.clone()).set_active_worker(true).await?;
            let mut released = job.records.is_empty();
            while !released && let Some(event) = observer.next().await {
                released = event.fetch == job.key && matches!(event.what, What::EventEnded { .. });
            }
            *pending = !released;
        }
    }
    Ok(response)
}

/// Keeps the store's fetches from resuming during a command that only inspects them.
fn nothing_reachable() -> ManualConnectivity {
    let offline = ManualConnectivity::default();
    offline.set(Connectivity::Offline(Reachable::default()));
    offline
}

fn print(
    directory: &Path,
    command: Command,
    response: Response,
    json: bool,
) -> Result<Outcome, Failure> {
    let mut stdout = Stdout::default();
    match response {
        Response::Failed(message) => return Err(Failure(message)),
        Response::Jobs(jobs) if json => {
            for job in &jobs {
                stdout.line(&serde_json::to_string(job)?);
            }
        }
        Response::Jobs(jobs) if jobs.is_empty() => {
            stdout.line(&format!("no background fetches in {}", directory.display()));
        }
        Response::Jobs(jobs) => {
            let terminal = Term::stdout().size_checked().map(|(_, width)| width.into());
            stdout.text(&jobs::table(&jobs, terminal));
        }
        Response::Job(job) if json => stdout.json(&job),
        Response::Job(job) => stdout.text(&jobs::detail(&job)),
        Response::Done { id, pending } => stdout.line(&done(command, &id, pending)),
    }
    Ok(Outcome::Success)
}

/// What a command has done, and what to do next if something is left for another run.
fn done(command: Command, id: &str, pending: bool) -> String {
    let (verb, rest) = match command {
        Command::Pause => ("paused", "it stays paused until it is resumed"),
        Command::Resume => ("resumed", "run the same command again to continue"),
        Command::Abort => ("aborted", "the next run deletes its bytes"),
        Command::Click => ("clicked", "no process is running to handle it"),
        Command::Dismiss => return format!("dismissed {id}"),
        Command::List | Command::Show => return id.to_owned(),
    };
    if pending { format!("{verb} {id}; {rest}") } else { format!("{verb} {id}") }
}
