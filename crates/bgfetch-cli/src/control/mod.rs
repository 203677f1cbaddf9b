//! Controls the fetches of a store, whichever process has it open: see [`bgfetch::control`].

pub(crate) mod server;

use bgfetch::control::{Command, Request, Response};
use bgfetch::{FetchKey, Job, Ui};

/// Carries out a request that has one response.
pub(crate) async fn execute(ui: &Ui, request: Request) -> Response {
    match try_execute(ui, request).await {
        Ok(response) => response,
        Err(error) => Response::Failed(error.to_string()),
    }
}

async fn try_execute(ui: &Ui, request: Request) -> bgfetch::Result<Response> {
    let mut jobs = ui.jobs().await?;
    let Request::Command { name, id } = request else {
        return Ok(Response::Jobs(jobs));
    };
    let index = match find(&jobs, name, id.as_deref()) {
        Ok(index) => index,
        Err(message) => return Ok(Response::Failed(message)),
    };
    let job = jobs.swap_remove(index);
    let (key, active): (FetchKey, _) = (job.key, job.display.result.is_none());
    match name {
        Command::Show => return Ok(Response::Job(Box::new(job))),
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
        other => return Ok(Response::Failed(format!("{} is not supported", other.verb()))),
    }
    Ok(Response::Done { id: job.id })
}

/// The newest fetch with an id; or without an id, the only one that the command can apply to.
fn find(jobs: &[Job], command: Command, id: Option<&str>) -> Result<usize, String> {
    if let Some(id) = id {
        let newest = jobs.iter().rposition(|job| job.id == id);
        return newest.ok_or_else(|| format!("no background fetch has the id {id}"));
    }
    let applies = |job: &Job| match command {
        Command::Pause | Command::Resume | Command::Abort => job.display.result.is_none(),
        // Without an id, a fetch that was not saved yet is never dismissed.
        Command::Dismiss => job.display.over,
        _ => true,
    };
    let candidates: Vec<_> = jobs.iter().enumerate().filter(|(_, job)| applies(job)).collect();
    match candidates.as_slice() {
        [(only, _)] => Ok(*only),
        [] => Err(format!("there is no background fetch to {}", command.verb())),
        [_, ..] => {
            let ids: Vec<_> = candidates.iter().map(|(_, job)| job.id.as_str()).collect();
            Err(format!("which one? {}", ids.join(", ")))
        }
    }
}
