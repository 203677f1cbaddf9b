//! Runs tests: a fresh user agent for each page.

mod testing;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bgfetch::HyperFetcher;
use bgfetch_host::{ConsoleLevel, Page, Realm, UserAgent, UserAgentOptions};
use parking_lot::Mutex;
use serde::Deserialize;
use thiserror::Error;

use self::testing::Testing;
use crate::expectations::Expectations;
use crate::report::{PageResult, Report, Status, Subtest};
use crate::server::{Server, ServerOptions};
use crate::suite::{Start, Suite, SuiteError, TestPage};

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
    /// Folders and files of tests, relative to the root.
    pub paths: Vec<PathBuf>,
    /// A script that runs in each window before the test and can use `bgfetchTesting`.
    pub prelude: Option<UserPrelude>,
    /// The known failures.
    pub expectations: Expectations,
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
    /// The test server did not start.
    #[error("the test server did not start: {0}")]
    Server(#[from] std::io::Error),
    /// TLS could not be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
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
    let RunOptions { server, paths, prelude, expectations } = options;
    let started = SystemTime::now();
    let suite = Suite::find(&server.root, &paths)?;
    let multiplier = server.timeout_multiplier.max(1);
    let server = Server::start(server).await?;
    let mut pages = Vec::new();
    for page in &suite.pages {
        let begun = Instant::now();
        let limit = multiplier * if page.long { LONG_LIMIT } else { LIMIT } + GRACE;
        let mut result = run_page(&server, server.fetcher()?, prelude.as_ref(), page, limit).await;
        result.duration = begun.elapsed();
        over(&result);
        pages.push(result);
    }
    let surprises = expectations.surprises(&pages, |test| suite.covers(test));
    let ended = SystemTime::now();
    Ok(Report { started, ended, pages, not_run: suite.not_run, surprises })
}

async fn run_page(
    server: &Server,
    fetcher: HyperFetcher,
    prelude: Option<&UserPrelude>,
    page: &TestPage,
    limit: Duration,
) -> PageResult {
    let errors = Arc::<Mutex<Vec<String>>>::default();
    let tested = test(server, fetcher, prelude, page, limit, &errors).await;
    let mut result = match tested {
        Ok(results) => results.into_page(page.id.clone()),
        Err((status, message)) => PageResult::without_results(page.id.clone(), status, message),
    };
    result.errors = std::mem::take(&mut *errors.lock());
    result
}

/// Why there are no results, for the user.
type NoResults = (Status, String);

fn failed(error: impl ToString) -> NoResults {
    (Status::Error, error.to_string())
}

/// Opens a user agent with the test, and waits for the results.
async fn test(
    server: &Server,
    fetcher: HyperFetcher,
    prelude: Option<&UserPrelude>,
    page: &TestPage,
    limit: Duration,
    errors: &Arc<Mutex<Vec<String>>>,
) -> Result<Results, NoResults> {
    let testing = Testing::new();
    let (configure, permissions) = (testing.clone(), testing.clone());
    let console = Arc::clone(errors);
    let agent = UserAgent::open(UserAgentOptions {
        open_window: None,
        query_permission: Arc::new(move |name, _| permissions.query_permission(name)),
        show_notification: Arc::new(|_, _| ()),
        folder: None,
        fetcher: Arc::new(fetcher),
        console: Arc::new(move |source, level, message| {
            if matches!(level, ConsoleLevel::Error | ConsoleLevel::Uncaught) {
                console.lock().push(format!("{}: {message}", source.url.path()));
            }
        }),
        idle_limit: Duration::from_secs(30),
        event_limit: LONG_LIMIT,
        configure: Arc::new(move |builder| configure.configure(builder)),
        prelude: Some(testing.prelude(prelude)),
    });
    let agent = Arc::new(agent.await.map_err(failed)?);
    testing.attach(&agent);
    let results = match Test::start(server, &agent, page).await {
        Ok(test) => {
            let results = tokio::time::timeout(limit, test.results()).await;
            drop_realm(test).await;
            testing.close_pages().await;
            results.unwrap_or_else(|_| {
                let message = format!("there were no results within {} s", limit.as_secs());
                Err((Status::Timeout, message))
            })
        }
        Err(error) => Err(error),
    };
    // A command that timed out may still hold it, and drops it later.
    if let Some(agent) = Arc::into_inner(agent)
        && let Err(error) = agent.shutdown().await
    {
        errors.lock().push(format!("the user agent did not shut down cleanly: {error}"));
    }
    results
}

/// A running test.
enum Test {
    Page(Page),
    Worker(Realm),
}

impl Test {
    async fn start(server: &Server, agent: &UserAgent, page: &TestPage) -> Result<Self, NoResults> {
        match &page.start {
            Start::Page => {
                let url = server.url(&page.id).map_err(failed)?;
                Ok(Self::Page(agent.open_page(url).await.map_err(failed)?))
            }
            Start::Worker(kind, script) => {
                let url = server.url(script).map_err(failed)?;
                Ok(Self::Worker(agent.open_worker(*kind, url).await.map_err(failed)?))
            }
        }
    }

    async fn results(&self) -> Result<Results, NoResults> {
        let realm = match self {
            Self::Page(page) => {
                page.loaded().await;
                page.realm()
            }
            Self::Worker(realm) => realm,
        };
        let told = realm.run_script("the runner", "testResults").await.map_err(failed)?;
        serde_json::from_value(told)
            .map_err(|error| failed(format!("the harness reported no results: {error}")))
    }
}

/// Ends realms on a thread that may block.
async fn drop_realm(realm: impl Send + 'static) {
    if tokio::task::spawn_blocking(move || drop(realm)).await.is_err() {
        tracing::error!("the end of a realm panicked");
    }
}

/// The report of testharnessreport.js.
#[derive(Debug, Deserialize)]
struct Results {
    status: u64,
    message: Option<String>,
    subtests: Vec<SubtestResult>,
}

#[derive(Debug, Deserialize)]
struct SubtestResult {
    name: String,
    status: u64,
    message: Option<String>,
}

impl Results {
    fn into_page(self, test: String) -> PageResult {
        let subtest = |subtest: SubtestResult| Subtest {
            name: subtest.name,
            status: Status::of_subtest(subtest.status),
            message: subtest.message,
        };
        PageResult {
            test,
            status: Status::of_harness(self.status),
            message: self.message,
            duration: Duration::ZERO,
            subtests: self.subtests.into_iter().map(subtest).collect(),
            errors: Vec::new(),
        }
    }
}
