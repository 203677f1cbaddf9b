//! Access to a store: by opening it, or through the process that has it open.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bgfetch::control::Client;
use bgfetch::{
    Builder, Connectivity, Engine, ManualConnectivity, PrivateDirectory, Reachable, StoreError,
};

use crate::exit::{Failure, complain};
use crate::worker::ReleasingWorker;

/// How long to wait while another process opens or closes the store.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// The time between two attempts.
pub(crate) const INTERVAL: Duration = Duration::from_millis(50);

/// The process that has the store open.
pub(crate) enum Access {
    /// This process.
    Ours(Engine),
    /// Another process, which listens.
    Theirs(Client),
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

/// Opens the store, or connects to the process that has it open. If neither is possible, tries again
/// for as long as `patience`.
///
/// # Errors
///
/// The store cannot be opened or is not this user's, or another process has it open and accepts no
/// requests.
pub(crate) async fn open_or_connect(
    directory: &Path,
    builder: impl FnMut() -> Builder,
    patience: Duration,
) -> Result<Access, Failure> {
    // The socket in it is used only then, too.
    let private = PrivateDirectory::open(directory)?;
    let access = try_open_or_connect(directory, builder, patience).await?;
    tell_exposed(&private);
    Ok(access)
}

async fn try_open_or_connect(
    directory: &Path,
    mut builder: impl FnMut() -> Builder,
    patience: Duration,
) -> Result<Access, Failure> {
    let started = Instant::now();
    loop {
        let in_use = match builder().open() {
            Ok(engine) => return Ok(Access::Ours(engine)),
            Err(error) if error.store_error().is_some_and(StoreError::is_in_use) => error,
            Err(error) => return Err(error.into()),
        };
        match Client::connect(directory).await? {
            Some(client) => return Ok(Access::Theirs(client)),
            None if started.elapsed() < patience => tokio::time::sleep(INTERVAL).await,
            None => return Err(in_use.into()),
        }
    }
}

/// Opens the store without fetching anything, or connects to the process that has it open.
///
/// # Errors
///
/// Those of [`open_or_connect`].
pub(crate) async fn inspect_or_connect(directory: &Path) -> Result<Access, Failure> {
    let builder =
        || builder(directory).connectivity(nothing_reachable()).worker_host(ReleasingWorker);
    open_or_connect(directory, builder, PATIENCE).await
}

/// Keeps the store's fetches from resuming during a command that only inspects them.
fn nothing_reachable() -> ManualConnectivity {
    let offline = ManualConnectivity::default();
    offline.set(Connectivity::Offline(Reachable::default()));
    offline
}
