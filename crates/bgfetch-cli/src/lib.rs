//! The `bgfetch` program: a small headless user agent for background fetches.
//!
//! It is an embedder like any other. The user takes the place of the page, and the program itself
//! that of the service worker: where a page's worker would put the responses into its cache, the
//! `worker` module writes them to the directory that was asked for.
//!
//! There is no second truth beside the engine's store. What the worker must know when another
//! process finishes the job is in the store already: the scope of the service worker registration
//! is the `file:` URL of the output directory, so there is one registration for each directory.
//!
//! Code map: `args` is the command line; `get` the one command that downloads, `plan` what it was
//! asked for, `worker` its handler of settling events, `file_names` the names of the files and
//! `output` what it tells; `run`, with the feature `js`, is a user agent for pages, `wpt` one for tests; `commands` are
//! the others, which reach a store through `access`: opened where nobody has it, and else through
//! the owner's `control` socket. `jobs` is what they show.
//!
//! # Cargo features
//!
//! `js` brings `bgfetch run` and `bgfetch wpt`, and with them a JavaScript engine, which needs cmake to build.

mod access;
mod args;
mod commands;
mod control;
mod exit;
mod file_names;
mod get;
mod jobs;
mod output;
mod plan;
#[cfg(feature = "js")]
mod run;
mod text;
mod worker;
#[cfg(feature = "js")]
mod wpt;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Args;
use crate::exit::{Failure, Outcome};

/// Runs the program with the arguments of this process, and tells what to exit with: 0 for
/// success, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C.
#[must_use]
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return exit::usage(&error),
    };
    exit::report(run(args))
}

fn run(args: Args) -> Result<Outcome, Failure> {
    // The engine has a thread of its own; this one serves the terminal and the control socket.
    #[cfg(not(feature = "js"))]
    let mut builder = tokio::runtime::Builder::new_current_thread();
    // Scripts that wait for another must not hold up what they wait for.
    #[cfg(feature = "js")]
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().build()?.block_on(commands::run(args.command))
}
