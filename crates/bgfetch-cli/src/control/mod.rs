//! Controls the fetches of a store, whichever process has it open.
//!
//! The process that owns a store listens on the Unix domain socket `control.sock` in the store's
//! private directory. A connection carries one [request](protocol::Request) and one
//! [response](protocol::Response), each a line of JSON.

pub(crate) mod client;
pub(crate) mod protocol;
pub(crate) mod server;
#[cfg(unix)]
mod socket;

use bgfetch::{FetchKey, Job, Ui};

use self::protocol::{Command, Request, Response};
use crate::jobs::JobInfo;

/// Carries out a request.
///
/// `live` tells whether this process runs fetches; otherwise they wait for one that does.
pub(crate) async fn execute(ui: &Ui, request: Request, live: bool) -> Response {
    match try_execute(ui, request, live).await {
        Ok(response) => response,
        Err(error) => Response::Failed(error.to_string()),
    }
}

async fn try_execute(ui: &Ui, request: Request, live: bool) -> bgfetch::Result<Response> {
    let jobs = ui.jobs().await?;
    let Request { command, id } = request;
    if command == Command::List {
        let infos = jobs.iter().map(|job| JobInfo::new(job, live));
        return Ok(Response::Jobs(infos.collect()));
    }
    let job = match find(&jobs, command, id.as_deref()) {
        Ok(job) => job,
        Err(message) => return Ok(Response::Failed(message)),
    };
    let (key, active): (FetchKey, _) = (job.key, job.display.result.is_none());
    match command {
        Command::List => {}
        Command::Show => {
            let info = JobInfo::new(job, live).with_files(job);
            return Ok(Response::Job(info));
        }
        Command::Pause => ui.pause(key).await?,
        Command::Resume if active => ui.resume(key).await?,
        Command::Resume => {
            let message = format!("{} has ended and cannot be resumed", job.id);
            return Ok(Response::Failed(message));
        }
        Command::Abort => {
            if !ui.abort(key).await? {
                return Ok(Response::Failed(format!("{} has ended already", job.id)));
            }
        }
        Command::Click => ui.click(key).await?,
        Command::Dismiss => ui.dismiss(key).await?,
    }
    Ok(Response::Done { id: job.id.clone(), pending: !live })
}

/// The newest fetch with an id; or without an id, the only one that the command can apply to.
fn find<'a>(jobs: &'a [Job], command: Command, id: Option<&str>) -> Result<&'a Job, String> {
    if let Some(id) = id {
        let newest = jobs.iter().rev().find(|job| job.id == id);
        return newest.ok_or_else(|| format!("no background fetch has the id {id}"));
    }
    let ended = |job: &&Job| job.display.result.is_some();
    let candidates: Vec<_> = match command {
        Command::Pause | Command::Resume | Command::Abort => {
            jobs.iter().filter(|job| !ended(job)).collect()
        }
        // Without an id, a fetch that was not saved yet is never dismissed.
        Command::Dismiss => jobs.iter().filter(|job| job.display.over).collect(),
        Command::List | Command::Show | Command::Click => jobs.iter().collect(),
    };
    match candidates.as_slice() {
        [only] => Ok(only),
        [] => Err(format!("there is no background fetch to {}", command.verb())),
        [_, ..] => {
            let ids: Vec<_> = candidates.iter().map(|job| job.id.as_str()).collect();
            Err(format!("which one? {}", ids.join(", ")))
        }
    }
}
