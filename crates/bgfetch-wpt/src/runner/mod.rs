//! Runs tests: a fresh user agent for each page.

mod browser;
mod headless;
mod results;
mod testing;

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use thiserror::Error;
use url::Url;

use self::browser::Browser;
use crate::expectations::Expectations;
use crate::report::{PageResult, Product, Report};
use crate::server::{Server, ServerOptions, has_harness};
use crate::suite::{Suite, SuiteError, TestPage};

/// The harness's timeouts for pages: normal and long.
const LIMIT: Duration = Duration::from_secs(10);
const LONG_LIMIT: Duration = Duration::from_secs(60);

/// How much longer the runner waits, for pages whose harness has no timeout or does not run.
const GRACE: Duration = Duration::from_secs(10);

/// The options of a run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The options of the test server.
    pub server: ServerOptions,
    /// What runs the tests.
    pub agent: Agent,
    /// Folders and files of tests, relative to the root.
    pub paths: Vec<PathBuf>,
    /// The known failures.
    pub expectations: Expectations,
}

/// A user agent that runs tests.
#[derive(Clone, Debug)]
pub enum Agent {
    /// The headless user agent of this project.
    Headless {
        /// A script that runs in each window before the test and can use `bgfetchTesting`.
        prelude: Option<UserPrelude>,
    },
    /// A browser, driven by the WebDriver server at this URL. There is no `bgfetchTesting` in it.
    ///
    /// Chromium is told the names of the test server and its certificate. Other browsers must be
    /// able to resolve these names by themselves.
    Browser(Url),
}

/// A script supplied by the user.
#[derive(Clone, Debug)]
pub struct UserPrelude {
    /// Its name in error messages.
    pub name: String,
    /// Its source.
    pub source: String,
}

/// Why nothing was run.
#[derive(Debug, Error)]
pub enum RunError {
    /// No tests were found.
    #[error(transparent)]
    Suite(#[from] SuiteError),
    /// The tests cannot run, because there is no harness below the root.
    #[error(
        "there is no testharness.js for the tests in {0}; \
         `make setup` installs it for the tests of this project"
    )]
    NoHarness(PathBuf),
    /// The test server did not start.
    #[error("the test server did not start: {0}")]
    Server(#[from] std::io::Error),
    /// TLS could not be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// No browser could be started.
    #[error("no browser at {0}: {1}")]
    Browser(Url, String),
}

/// Runs tests one after the other, and reports each one when it is over. Call it in a
/// multi-threaded tokio runtime.
///
/// # Errors
///
/// See [`RunError`]. A test that cannot be run is part of the report.
pub async fn run(
    options: RunOptions,
    mut over: impl FnMut(&PageResult),
) -> Result<Report, RunError> {
    let RunOptions { server, agent, paths, expectations } = options;
    let started = SystemTime::now();
    let suite = Suite::find(&server.root, &paths)?;
    if !has_harness(&server.root).await? {
        return Err(RunError::NoHarness(server.root));
    }
    let multiplier = server.timeout_multiplier.max(1);
    let server = Server::start(server).await?;
    let runner = match agent {
        Agent::Headless { prelude } => Runner::Headless { prelude },
        Agent::Browser(webdriver) => Runner::Browser(Browser::find(webdriver, &server).await?),
    };
    let mut pages = Vec::new();
    for page in &suite.pages {
        let begun = Instant::now();
        let limit = multiplier * if page.long { LONG_LIMIT } else { LIMIT } + GRACE;
        let mut result = runner.run_page(&server, page, limit).await?;
        result.duration = begun.elapsed();
        over(&result);
        pages.push(result);
    }
    let surprises = expectations.surprises(&pages, |test| suite.covers(test));
    let known = expectations.known(&pages);
    let (product, not_run) = (runner.product(), suite.not_run);
    let ended = SystemTime::now();
    Ok(Report { product, started, ended, pages, not_run, known, surprises })
}

/// An agent that is ready to run tests.
enum Runner {
    Headless { prelude: Option<UserPrelude> },
    Browser(Browser),
}

impl Runner {
    async fn run_page(
        &self,
        server: &Server,
        page: &TestPage,
        limit: Duration,
    ) -> Result<PageResult, rustls::Error> {
        Ok(match self {
            Self::Headless { prelude } => {
                headless::run_page(server, server.fetcher()?, prelude.as_ref(), page, limit).await
            }
            Self::Browser(browser) => browser.run_page(server, page, limit).await,
        })
    }

    fn product(self) -> Product {
        match self {
            Self::Headless { .. } => {
                Product { name: "bgfetch".into(), version: env!("CARGO_PKG_VERSION").into() }
            }
            Self::Browser(browser) => browser.product,
        }
    }
}
