//! The `bgfetch` program: a small headless user agent for background fetches.
//!
//! It is an ordinary embedder. The user takes the place of the page, and the program itself takes
//! the place of the service worker: where a page's worker would put the responses into its cache,
//! the `worker` module writes them to the output directory.
//!
//! All state is in the engine's store. This includes what the worker needs to know if another
//! process finishes the job: the scope of the service worker registration is the `file:` URL of the
//! output directory, with what was asked for beside it in its query. So there is one registration per
//! directory and way of saving.
//!
//! Code map: `args` is the command line, and `usage` answers to a wrong one. `get` is the command
//! that downloads; `plan` has the options of its fetch (`urls`, `headers`, and `saving`: where and
//! how files are saved), and `network` those of its engine; `output` prints what happens, and
//! `failure` says why something failed and what to do. The process that owns the store works on the
//! fetches of all `get`s: `owner` follows them, `register` finds or registers them, `worker` handles
//! their settling events and `file_names` chooses the names of the files. `detach` starts a `get`
//! without a terminal, whose lines are those of a `log`. `process_title` hides secrets. `shell` makes
//! completions and manual pages. With the feature `js`, `run` is a user agent for pages and `wpt` one
//! for tests. `watch` shows all fetches of a store and `commands` has the other commands. They reach
//! a store through `access`, which opens it or, if another process has it open, connects to its
//! `control` socket. `jobs` formats what they show.
//!
//! # Cargo features
//!
//! `js` adds `bgfetch run` and `bgfetch wpt`, and with them a JavaScript engine, which needs cmake
//! to build.

mod access;
mod args;
mod checksum;
mod commands;
mod content_disposition;
mod control;
mod detach;
mod exit;
mod failure;
mod file_names;
mod get;
mod headers;
mod jobs;
mod log;
mod netrc;
mod network;
mod output;
mod owner;
mod plan;
mod process_title;
mod register;
#[cfg(feature = "js")]
mod run;
mod saving;
mod secret;
mod shell;
mod text;
mod urls;
mod usage;
mod watch;
mod worker;
#[cfg(feature = "js")]
mod wpt;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Args;
use crate::exit::{Failure, Outcome};

/// Runs the program with the arguments of this process and returns its exit code: 0 for success, 1
/// for a failure, 2 for wrong usage, 130 after Ctrl-C.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = process_title::arguments();
    let args = match Args::try_parse_from(&arguments) {
        Ok(args) => args,
        Err(error) => return usage::answer(&error, &arguments),
    };
    process_title::hide(&arguments, &args.secrets());
    exit::report(run(args))
}

fn run(args: Args) -> Result<Outcome, Failure> {
    // The engine has a thread of its own; this one runs the terminal and the control socket.
    #[cfg(not(feature = "js"))]
    let mut builder = tokio::runtime::Builder::new_current_thread();
    // A script that blocks on another script must not block that script, too.
    #[cfg(feature = "js")]
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().build()?.block_on(commands::run(args.command))
}
