//! What the program answers to arguments that it cannot run.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::args::Args;
use crate::exit::complain;

/// Shows the help, or why the arguments are wrong, in one line like every other error.
pub(crate) fn answer(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
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
