//! Runs a test in a headless user agent of its own.

use std::sync::Arc;
use std::time::Duration;

use bgfetch::HyperFetcher;
use bgfetch_host::{ConsoleLevel, Page, Realm, UserAgent, UserAgentOptions};
use parking_lot::Mutex;

use super::results::{NoResults, Results, failed, page_result, timed_out};
use super::testing::Testing;
use super::{LONG_LIMIT, UserPrelude};
use crate::report::PageResult;
use crate::server::Server;
use crate::suite::{Start, TestPage};

pub(super) async fn run_page(
    server: &Server,
    fetcher: HyperFetcher,
    prelude: Option<&UserPrelude>,
    page: &TestPage,
    limit: Duration,
) -> PageResult {
    let errors = Arc::<Mutex<Vec<String>>>::default();
    let tested = test(server, fetcher, prelude, page, limit, &errors).await;
    let mut result = page_result(&page.id, tested);
    result.errors = std::mem::take(&mut *errors.lock());
    result
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
            results.unwrap_or_else(|_| Err(timed_out(limit)))
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
pub(super) async fn drop_realm(realm: impl Send + 'static) {
    if tokio::task::spawn_blocking(move || drop(realm)).await.is_err() {
        tracing::error!("the end of a realm panicked");
    }
}
