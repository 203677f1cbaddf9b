//! Access to a store: by opening it, or through the process that has it open.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bgfetch::{Builder, Engine, PrivateDirectory, StoreError};

use crate::control::client;
use crate::control::protocol::{Request, Response};
use crate::exit::{Failure, complain};

/// How long to wait while another process opens or closes the store.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// The time between two attempts.
pub(crate) const INTERVAL: Duration = Duration::from_millis(50);

/// The process that has the store open.
pub(crate) enum Access {
    /// This process.
    Ours(Engine),
    /// Another process, which answered.
    Theirs {
        answer: Response,
        /// Why the store was not opened; names the process.
        in_use: bgfetch::Error,
    },
}

/// The store's directory: the given one, or the user's default.
pub(crate) fn directory(given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    given.or_else(user_directory).ok_or_else(|| {
        Failure("--store is needed: there is neither XDG_DATA_HOME nor a home directory".into())
    })
}

fn user_directory() -> Option<PathBuf> {
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    // The XDG specification wants relative paths ignored.
    let data = data
        .filter(|path| path.is_absolute())
        .or_else(|| Some(std::env::home_dir()?.join(".local/share")))?;
    Some(data.join("bgfetch"))
}

/// An engine's builder with this program's settings.
pub(crate) fn builder(directory: &Path) -> Builder {
    Engine::builder()
        .directory(directory)
        .configure(|config| {
            // A page wants to know soon that a server cannot be reached. A user can press Ctrl-C,
            // and prefers that a restart of the server does not fail the files that were not
            // started.
            let never_reached = &mut config.retry.never_reached;
            never_reached.retries = u32::MAX;
            never_reached.cap = Duration::from_secs(3);
            never_reached.budget = Duration::from_secs(15);
        })
        .event_timeouts(bgfetch::EventTimeouts::default().with(|it| {
            // Copying to another disk takes as long as it takes.
            it.start_and_dispatch = Duration::MAX;
            it.lifetime = Duration::MAX;
        }))
}

/// Creates the store's directory if it is missing, and keeps other users out of it.
///
/// # Errors
///
/// Another user may have made it or changed what is in it.
#[cfg(feature = "js")]
pub(crate) fn make_private(directory: &Path) -> Result<(), Failure> {
    tell_exposed(&PrivateDirectory::open(directory)?);
    Ok(())
}

fn tell_exposed(directory: &PrivateDirectory) {
    if directory.was_exposed() {
        let path = directory.path().display();
        complain(&format!("other users had access to {path}; it is private now"));
    }
}

/// Opens the store, or sends a request to the process that has it open.
///
/// # Errors
///
/// The store cannot be opened or is not this user's, or another process has it open and accepts no
/// requests.
pub(crate) async fn open_or_ask(
    directory: &Path,
    builder: impl FnMut() -> Builder,
    request: &Request,
) -> Result<Access, Failure> {
    // The socket in it is used only then, too.
    let private = PrivateDirectory::open(directory)?;
    let access = try_open_or_ask(directory, builder, request).await?;
    tell_exposed(&private);
    Ok(access)
}

async fn try_open_or_ask(
    directory: &Path,
    mut builder: impl FnMut() -> Builder,
    request: &Request,
) -> Result<Access, Failure> {
    let started = Instant::now();
    loop {
        let in_use = match builder().open() {
            Ok(engine) => return Ok(Access::Ours(engine)),
            Err(error) if error.store_error().is_some_and(StoreError::is_in_use) => error,
            Err(error) => return Err(error.into()),
        };
        match client::ask(directory, request).await? {
            Some(answer) => return Ok(Access::Theirs { answer, in_use }),
            None if started.elapsed() < PATIENCE => tokio::time::sleep(INTERVAL).await,
            None => return Err(in_use.into()),
        }
    }
}
