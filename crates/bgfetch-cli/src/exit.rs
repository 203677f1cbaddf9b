//! The end of the program: one line on standard error if it failed, and the exit code.

use std::error::Error;
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use console::Term;

use crate::args::Args;
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

/// Shows the help, or why the arguments are wrong, in one line like every other error.
pub(crate) fn usage(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    if let ErrorKind::DisplayHelp
    | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    | ErrorKind::DisplayVersion = error.kind()
    {
        // A closed standard output is not the user's error.
        write!(std::io::stdout(), "{}", error.render()).unwrap_or_default();
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    let hint = missing_feature(error).map_or_else(|| help_of(arguments), String::from);
    complain(&format!("{} ({hint})", first_paragraph(&text)));
    ExitCode::from(2)
}

/// Where the arguments are explained that are wrong.
fn help_of(arguments: &[OsString]) -> String {
    let command = arguments.get(1).and_then(|name| Args::command().find_subcommand(name).cloned());
    let name = command.map(|command| format!(" {}", command.get_name()));
    format!("see bgfetch{} --help", name.unwrap_or_default())
}

/// A hint for commands that need a build with JavaScript.
fn missing_feature(error: &clap::Error) -> Option<&'static str> {
    let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    // With the feature, these commands exist.
    matches!(name.as_str(), "run" | "wpt").then_some("build it with --features js for that")
}

/// The first paragraph of clap's text, in one line and without its own prefix.
fn first_paragraph(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let paragraph: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    let paragraph = paragraph.join(" ");
    paragraph.strip_prefix("error: ").unwrap_or(&paragraph).to_owned()
}

/// Exits immediately, after a second Ctrl-C. This is like a crash, so the store loses nothing.
#[expect(
    clippy::disallowed_methods,
    reason = "a destructor may be what hangs when the user gives up waiting"
)]
pub(crate) fn immediately() -> ! {
    std::process::exit(INTERRUPTED.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[test]
    #[cfg(not(feature = "js"))]
    fn commands_that_need_a_feature_name_it() {
        let hint = |command| {
            let error = Args::try_parse_from(["bgfetch", command, "x"]).unwrap_err();
            missing_feature(&error)
        };
        assert_eq!(hint("run"), Some("build it with --features js for that"));
        assert_eq!(hint("fly"), None);
    }

    #[test]
    fn wrong_usage_names_the_help_of_its_command() {
        let hint =
            |arguments: &[&str]| help_of(&arguments.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(hint(&["bgfetch", "get", "--speed"]), "see bgfetch get --help");
        assert_eq!(hint(&["bgfetch", "watch", "x"]), "see bgfetch watch --help");
        for arguments in [&["bgfetch"][..], &["bgfetch", "fly"], &["bgfetch", "--get", "get"]] {
            assert_eq!(hint(arguments), "see bgfetch --help");
        }
    }

    #[test]
    fn wrong_usage_is_told_in_one_line() {
        let error = Args::try_parse_from(["bgfetch", "get"]).unwrap_err();
        let line = first_paragraph(&error.render().to_string());
        assert!(line.contains("required arguments were not provided: <URL>..."), "{line}");
        assert!(!line.contains('\n') && !line.starts_with("error"), "{line}");
    }
}
