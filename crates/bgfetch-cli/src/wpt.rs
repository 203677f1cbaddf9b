//! `bgfetch wpt`: runs web-platform-tests and reports unexpected results.

use std::fmt::Display;
use std::fs;
use std::path::Path;

use bgfetch_wpt::{Agent, Expectations, RunOptions, ServerOptions, UserPrelude};

use crate::args::Wpt;
use crate::exit::{Failure, Outcome};
use crate::output::Stdout;

/// Runs the command.
///
/// # Errors
///
/// A file cannot be read or written, or a path contains no tests.
pub(crate) async fn run(args: Wpt) -> Result<Outcome, Failure> {
    let prelude = args.prelude.as_deref().map(|path| {
        Ok::<_, Failure>(UserPrelude { name: path.display().to_string(), source: read(path)? })
    });
    let expectations = match args.expectations.as_deref() {
        Some(path) => Expectations::parse(&read(path)?).map_err(|error| about(path, error))?,
        None => Expectations::default(),
    };
    let agent = match args.webdriver {
        Some(webdriver) => Agent::Browser(webdriver),
        None => Agent::Headless { prelude: prelude.transpose()? },
    };
    let options = RunOptions {
        server: ServerOptions {
            root: args.wpt_root,
            pipe_any_method: args.pipe_any_method,
            timeout_multiplier: args.timeout_multiplier,
        },
        agent,
        paths: args.paths,
        expectations,
    };
    let mut stdout = Stdout::default();
    let report = bgfetch_wpt::run(options, |page| print(&mut stdout, page)).await?;
    print(&mut stdout, &report);
    if let Some(path) = args.json.as_deref() {
        let json = serde_json::to_string_pretty(&report.to_json())?;
        fs::write(path, json).map_err(|error| about(path, error))?;
    }
    Ok(if report.surprises.is_empty() { Outcome::Success } else { Outcome::Failed })
}

fn print(stdout: &mut Stdout, what: &impl Display) {
    for line in what.to_string().lines() {
        stdout.line(line);
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| about(path, error))
}

fn about(path: &Path, error: impl Display) -> Failure {
    Failure(format!("{}: {error}", path.display()))
}
