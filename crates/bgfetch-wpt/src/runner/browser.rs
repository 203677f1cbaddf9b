//! Runs a test in a browser, over WebDriver.

use std::error::Error;
use std::time::Duration;

use fantoccini::error::{CmdError, NewSessionError};
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::results::{NoResults, Results, failed, page_result, timed_out};
use super::{LONG_LIMIT, RunError};
use crate::report::{PageResult, Product};
use crate::server::Server;
use crate::suite::TestPage;

/// Takes the next thing that a page has for the runner: see testharnessreport.js.
const TAKE: &str = "testCommands.take().then(arguments[0]);";

/// Answers the command that was taken.
const ANSWER: &str = "testCommands.answer(arguments[0]);";

/// A browser that a WebDriver server starts.
#[derive(Debug)]
pub(super) struct Browser {
    webdriver: Url,
    pub(super) product: Product,
}

impl Browser {
    /// Starts the browser once, which shows that it can be started and which one it is.
    pub(super) async fn find(webdriver: Url, server: &Server) -> Result<Self, RunError> {
        let unusable = |error: String| RunError::Browser(webdriver.clone(), error);
        if webdriver.scheme() != "http" {
            return Err(unusable("the URL of a WebDriver server begins with http://".into()));
        }
        let session = open(&webdriver, server, LONG_LIMIT).await;
        let session = session.map_err(|error| unusable(reason(&error)))?;
        let text = |name| {
            let value = session.capabilities()?.get(name)?;
            Some(value.as_str()?.to_owned())
        };
        let name = text("browserName").unwrap_or_else(|| "browser".into());
        let version = text("browserVersion").unwrap_or_default();
        session.close().await.map_err(|error| unusable(error.to_string()))?;
        Ok(Self { webdriver, product: Product { name, version } })
    }

    /// Runs a test in a new session, whose profile is empty.
    pub(super) async fn run_page(
        &self,
        server: &Server,
        page: &TestPage,
        limit: Duration,
    ) -> PageResult {
        // The session has a limit of its own, after which it can still be closed.
        let whole = self.test(server, page, limit);
        let results = tokio::time::timeout(limit + LONG_LIMIT, whole).await;
        page_result(&page.id, results.unwrap_or_else(|_| Err(failed("the browser hangs"))))
    }

    async fn test(
        &self,
        server: &Server,
        page: &TestPage,
        limit: Duration,
    ) -> Result<Results, NoResults> {
        let url = server.url(&page.id).map_err(failed)?;
        let session = open(&self.webdriver, server, limit).await.map_err(failed)?;
        let results = results(&session, url, limit).await;
        session.close().await.map_err(failed)?;
        results
    }
}

/// Opens a session. Each step in it has that limit.
async fn open(
    webdriver: &Url,
    server: &Server,
    limit: Duration,
) -> Result<Client, NewSessionError> {
    let mut builder = ClientBuilder::new(HttpConnector::new());
    builder.capabilities(capabilities(server, limit)).connect(webdriver.as_str()).await
}

/// Why there is no session. The client's own text does not say why a server cannot be reached.
fn reason(error: &NewSessionError) -> String {
    let NewSessionError::FailedC(unreachable) = error else { return error.to_string() };
    let mut cause: &dyn Error = unreachable;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn capabilities(server: &Server, limit: Duration) -> Capabilities {
    let milliseconds = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let mut arguments = vec![
        "--headless=new".to_owned(),
        format!("--host-resolver-rules={}", server.host_rules()),
        format!("--ignore-certificate-errors-spki-list={}", server.key_hash()),
    ];
    // Chromium's sandbox does not work for root.
    #[cfg(unix)]
    if rustix::process::geteuid().is_root() {
        arguments.push("--no-sandbox".to_owned());
    }
    // Chromium would allow a site one background fetch only. 1 stands for "allow".
    let preferences = json!({ "profile.default_content_setting_values.automatic_downloads": 1 });
    Capabilities::from_iter([
        // For browsers that cannot be told to trust a single key.
        ("acceptInsecureCerts".to_owned(), json!(true)),
        // The harness runs while the page is loaded.
        ("pageLoadStrategy".to_owned(), json!("eager")),
        ("timeouts".to_owned(), json!({ "script": milliseconds, "pageLoad": milliseconds })),
        ("goog:chromeOptions".to_owned(), json!({ "args": arguments, "prefs": preferences })),
    ])
}

/// What a page has for the runner.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Taken {
    Results(Results),
    SetPermission(SetPermission),
}

/// Loads the page, carries out its commands, and returns its results.
async fn results(session: &Client, url: Url, limit: Duration) -> Result<Results, NoResults> {
    let unanswered = |error: CmdError| match error {
        error if error.is_timeout() || error.is_script_timeout() => timed_out(limit),
        // An error of the browser's own, such as Chromium's "tab crashed".
        CmdError::NotW3C(Value::String(error)) => failed(error),
        error => failed(error),
    };
    session.goto(url.as_str()).await.map_err(unanswered)?;
    loop {
        let taken = session.execute_async(TAKE, Vec::new()).await.map_err(unanswered)?;
        let carried_out = match serde_json::from_value(taken).map_err(failed)? {
            Taken::Results(results) => return Ok(results),
            Taken::SetPermission(command) => session.issue_cmd(command).await,
        };
        let answer = carried_out.err().map(|error| error.to_string());
        session.execute(ANSWER, vec![json!(answer)]).await.map_err(unanswered)?;
    }
}

/// [Set Permission](https://w3c.github.io/permissions/#webdriver-command-set-permission), with its
/// parameters.
#[derive(Debug, Deserialize, Serialize)]
struct SetPermission {
    descriptor: Value,
    state: String,
}

impl WebDriverCompatibleCommand for SetPermission {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/permissions", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!(self).to_string()))
    }
}
