//! `bgfetch run`: a page, its service worker, and the user.
//!
//! [`app`] is the argument. A folder gets a host name of its own ([`folders`]) and is served on
//! loopback to this process alone ([`server`], [`beneath`]). The [`session`] connects the page, the
//! engine and the user; it reports to [`output`], which uses a [`screen`] if there is one, and
//! [`history`] makes its summary.

mod app;
mod beneath;
mod console;
mod folders;
mod history;
mod lines;
mod output;
mod screen;
mod server;
mod session;
mod windows;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgfetch::control::{Client, Request};
use bgfetch::{HyperFetcher, SqliteStore, StoreError};
use bgfetch_host::{
    Console, OpenError, OpenWindow, PermissionState, ShowNotification, UserAgent, UserAgentOptions,
};
use tokio::signal::ctrl_c;
use tokio::sync::mpsc;

use self::app::App;
use self::console::{Said, console};
use self::folders::{Folders, LocalNames};
use self::output::Output;
use self::server::Server as FolderServer;
use self::session::Session;
use self::windows::{Wanted, windows};
use crate::access;
use crate::args::Run;
use crate::control::server::Server as ControlServer;
use crate::exit::{self, Failure, Outcome, complain};

/// How long a service worker without events keeps running. Short, because the program ends when
/// none is running.
const IDLE_LIMIT: Duration = Duration::from_secs(1);

/// How long a service worker's event may take, as in browsers.
const EVENT_LIMIT: Duration = Duration::from_secs(5 * 60);

/// The inputs of a session: the output of scripts, and the clicks on the command line.
struct Told {
    said: mpsc::UnboundedReceiver<Said>,
    wanted: mpsc::UnboundedReceiver<Wanted>,
    /// Selectors of the elements to click, in order.
    clicks: VecDeque<String>,
}

/// Runs the command.
///
/// # Errors
///
/// The arguments are wrong, or the store or the page cannot be opened; fetches of earlier runs are
/// unchanged.
pub(crate) async fn run(args: Run) -> Result<Outcome, Failure> {
    let app = args.app.as_deref().map(App::new).transpose()?.filter(|_| !args.no_page);
    let store = access::directory(args.store.directory)?;
    // Without a page, nothing would be done in a new store.
    if app.is_none() && !SqliteStore::exists(&store)? {
        return Err(Failure(format!("there is no store in {}", store.display())));
    }
    access::make_private(&store)?;
    let folders = Arc::new(Folders::open(&store)?);
    let server = FolderServer::start(Arc::clone(&folders), args.slow).await?;
    let names = LocalNames { folders: Arc::clone(&folders), server: server.address() };
    let fetcher = Arc::new(HyperFetcher::builder().resolver(names).build()?);
    let (console, show_notification, said) = console();
    let (open_window, wanted) = windows();
    let agent =
        open(&store, || options(&store, &fetcher, &console, &show_notification, &open_window))
            .await?;
    let told = Told { said, wanted, clicks: args.click.into() };
    let output = Output::choose(args.json);
    let outcome = attend(&agent, app, &store, &folders, output, told).await;
    let closed = tokio::select! {
        closed = agent.shutdown() => closed,
        _ = ctrl_c() => exit::immediately(),
    };
    if let Ok(Outcome::Interrupted) = outcome {
        complain("stopped; run the same command again to resume");
    }
    let outcome = outcome?;
    closed?;
    Ok(outcome)
}

fn options(
    store: &Path,
    fetcher: &Arc<HyperFetcher>,
    console: &Console,
    show_notification: &ShowNotification,
    open_window: &OpenWindow,
) -> UserAgentOptions {
    let directory = store.to_owned();
    UserAgentOptions {
        folder: Some(store.to_owned()),
        fetcher: Arc::clone(fetcher) as _,
        console: Arc::clone(console),
        idle_limit: IDLE_LIMIT,
        event_limit: EVENT_LIMIT,
        // The other commands expect the engine's store directly in this directory.
        configure: Arc::new(move |builder| builder.directory(&directory)),
        prelude: None,
        open_window: Some(Arc::clone(open_window)),
        // A user who runs a page here wants it to work.
        query_permission: Arc::new(|_, _| PermissionState::Granted),
        show_notification: Arc::clone(show_notification),
    }
}

/// Opens the store. Another command may have it open for a moment.
async fn open(store: &Path, options: impl Fn() -> UserAgentOptions) -> Result<UserAgent, Failure> {
    let started = Instant::now();
    loop {
        let error = match UserAgent::open(options()).await {
            Ok(agent) => return Ok(agent),
            Err(error) => error,
        };
        let may_pass = match &error {
            OpenError::Engine(error) => error.store_error().is_some_and(StoreError::is_in_use),
            OpenError::Caches(_) => true,
            OpenError::Io(_) => false,
        };
        if let Some(client) = Client::connect(store).await? {
            client.ask(&Request::List {}).await?;
            // A process that answers keeps the store open.
            let store = store.display();
            return Err(Failure(format!("another process is at work on the store in {store}")));
        }
        if !may_pass || started.elapsed() > access::PATIENCE {
            return Err(error.into());
        }
        tokio::time::sleep(access::INTERVAL).await;
    }
}

/// Opens the page, and returns when there is nothing left to do.
async fn attend(
    agent: &UserAgent,
    app: Option<App>,
    store: &Path,
    folders: &Folders,
    output: Output,
    told: Told,
) -> Result<Outcome, Failure> {
    let Some(engine) = agent.engine() else {
        return Err(Failure("the engine has stopped".into()));
    };
    let control = ControlServer::start(store, engine.clone(), None);
    if let Err(error) = &control {
        complain(&format!("other processes cannot control these fetches: {error}"));
    }
    let url = app.map(|app| app.url(folders)).transpose()?;
    let outcome = Session::new(agent, engine, output).run(url, told).await;
    // The socket is removed before the store is closed: the next owner binds its own.
    drop(control);
    outcome
}
