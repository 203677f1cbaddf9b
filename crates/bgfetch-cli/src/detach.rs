//! `bgfetch get --detach`: the same command in a session of its own, without a terminal.
//!
//! The command starts itself with `--detached` and one end of a socket as standard input. There the
//! other process sends the first response of the store's owner, or why there is none. Until then the
//! command waits.

use std::path::{Path, PathBuf};

use bgfetch::control::Response;

use crate::args::Get;
use crate::exit::{Failure, Outcome};

/// What detached processes print, in the store's directory.
const LOG: &str = "detached.log";

/// The log of the detached processes of a store.
pub(crate) fn log_of(directory: &Path) -> PathBuf {
    directory.join(LOG)
}

/// Starts the detached process, and returns once the fetch is durable.
///
/// # Errors
///
/// The arguments are wrong, or the other process could not begin.
#[cfg(unix)]
pub(crate) async fn start(args: &Get) -> Result<Outcome, Failure> {
    use std::io::{BufRead as _, BufReader};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::process::Command;

    use crate::access;
    use crate::output::{Form, Output};
    use crate::plan::Plan;
    use crate::process_title;

    if args.input_files.iter().any(|file| file == Path::new("-")) {
        return Err(Failure("-i -: a process in the background has no standard input".into()));
    }
    let plan = Plan::new(args)?;
    let directory = access::directory(args.store.directory.clone())?;
    access::make_private(&directory)?;
    let log = open_log(&directory)?;
    let (ours, theirs) = UnixStream::pair()?;
    // What follows `--` is a URL, and no URL looks like this.
    let arguments = process_title::arguments().into_iter().skip(1);
    let arguments = arguments.map(|it| if it == "--detach" { "--detached".into() } else { it });
    let process = Command::new(std::env::current_exe()?)
        .args(arguments)
        // Those of this process.
        .env_remove(process_title::VARIABLE)
        .stdin(OwnedFd::from(theirs))
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let read = move || {
        let mut line = String::new();
        BufReader::new(ours).read_line(&mut line).map(|_| line)
    };
    let line = tokio::task::spawn_blocking(read).await??;
    let mut output = Output::choose(Form::of(args), &plan);
    match serde_json::from_str(&line) {
        Ok(Response::Accepted { .. }) => {
            output.detached(&plan.id, process.id(), &log_of(&directory));
        }
        Ok(Response::SavedBefore(job)) => output.saved_before(&job, &plan.saving.path()),
        Ok(Response::Failed(message)) => return Err(Failure(message)),
        _ => {
            let log = log_of(&directory);
            return Err(Failure(format!("the new process has ended; see {}", log.display())));
        }
    }
    Ok(Outcome::Success)
}

/// Without sessions and sockets, this is not possible.
#[cfg(not(unix))]
pub(crate) async fn start(_: &Get) -> Result<Outcome, Failure> {
    Err(Failure("--detach is not available on this system".into()))
}

/// Opens the log at its end. It begins anew when it has become long.
#[cfg(unix)]
fn open_log(directory: &Path) -> std::io::Result<std::fs::File> {
    use std::fs::{OpenOptions, Permissions};
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};

    /// In bytes.
    const LONGEST: u64 = 1 << 20;

    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = OpenOptions::new();
    let log = options.append(true).create(true).mode(0o600).custom_flags(flags);
    let log = log.open(log_of(directory))?;
    // Whatever the umask is.
    log.set_permissions(Permissions::from_mode(0o600))?;
    if log.metadata()?.len() > LONGEST {
        log.set_len(0)?;
    }
    Ok(log)
}

/// The process that waits until a detached one has begun.
pub(crate) struct Parent {
    #[cfg(unix)]
    stream: Option<std::os::unix::net::UnixStream>,
}

impl Parent {
    /// Leaves the parent's session and terminal.
    ///
    /// # Errors
    ///
    /// Those of the system.
    #[cfg(unix)]
    pub(crate) fn leave() -> Result<Self, Failure> {
        use std::os::fd::AsFd as _;

        rustix::process::setsid()?;
        let stream = std::io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Self { stream: Some(stream.into()) })
    }

    /// There are no sessions.
    #[cfg(not(unix))]
    pub(crate) fn leave() -> Result<Self, Failure> {
        Err(Failure("--detached is not available on this system".into()))
    }

    /// Sends the first response; the parent waits for no other.
    pub(crate) fn tell(&mut self, response: &Response) {
        #[cfg(unix)]
        if let Some(mut stream) = self.stream.take() {
            use std::io::Write as _;
            // The parent may have been ended by Ctrl-C.
            serde_json::to_writer(&stream, response).unwrap_or_default();
            writeln!(stream).unwrap_or_default();
        }
        #[cfg(not(unix))]
        let _: &Response = response;
    }
}
