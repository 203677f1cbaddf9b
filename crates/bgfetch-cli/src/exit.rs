//! The end of the program: one line on standard error if it failed, and the exit code.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use console::Term;

use crate::failure::{FileFailure, fitted};
use crate::log;
use crate::text::{printable, without_code};

/// How a command ended that could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Exit code 0.
    Success,
    /// Something failed and was reported already: exit code 1.
    Failed,
    /// Ctrl-C: exit code 130, as shells have it.
    Interrupted,
}

/// Why a command could not do its work: one line for the user, and exit code 1.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

// It does not implement `Error`, so that every error can be converted to it.
impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(without_code(&error.to_string()))
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => Self::SUCCESS,
            Outcome::Failed => Self::FAILURE,
            Outcome::Interrupted => Self::from(INTERRUPTED),
        }
    }
}

/// 128 and the number of SIGINT.
const INTERRUPTED: u8 = 130;

/// Reports why a command failed, if it did.
pub(crate) fn report(result: Result<Outcome, Failure>) -> ExitCode {
    match result {
        Ok(outcome) => outcome.into(),
        Err(Failure(message)) => {
            complain(&message);
            ExitCode::FAILURE
        }
    }
}

/// Writes one line to standard error.
pub(crate) fn complain(message: &str) {
    put(&format!("{}bgfetch: {}", log::stamp(), printable(message)));
}

/// The same about something with a name, which is cut if standard error is a terminal that has no room
/// for it.
pub(crate) fn complain_about(name: &str, rest: &str) {
    match error_width() {
        None => complain(&format!("{name}{rest}")),
        Some(width) => put(&fitted(&printable(name), &printable(rest), width)),
    }
}

/// The same about a file that failed.
pub(crate) fn complain_of(failure: &FileFailure<'_>) {
    match error_width() {
        None => complain(&failure.line(None)),
        width => put(&failure.line(width)),
    }
}

/// How many cells a line on standard error may have, if that is a terminal. Some terminals move to the
/// next line when the last cell is written.
fn error_width() -> Option<usize> {
    let (_, width) = Term::stderr().size_checked()?;
    Some(usize::from(width).saturating_sub(1))
}

fn put(line: &str) {
    // If standard error is closed, there is nowhere to report that.
    writeln!(std::io::stderr(), "{line}").unwrap_or_default();
}

/// Exits immediately, after a second Ctrl-C. This is like a crash, so the store loses nothing.
#[expect(
    clippy::disallowed_methods,
    reason = "a destructor may be what hangs when the user gives up waiting"
)]
pub(crate) fn immediately() -> ! {
    std::process::exit(INTERRUPTED.into())
}
