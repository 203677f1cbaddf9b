//! Tests in a browser, as a WebDriver server sees them. The server here is a scripted one, so that
//! no browser is needed; `make chromium` runs tests in a real one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use bgfetch_wpt::{Agent, Expectations, Report, RunError, RunOptions, ServerOptions, Status};
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Url;

/// A command, as it was received: its method, its path below the session, and its parameters.
type Command = (String, String, Value);

/// A WebDriver server that answers `execute/async` with these values, in turn.
struct Driver {
    url: Url,
    commands: Arc<Mutex<Vec<Command>>>,
    _task: JoinSet<()>,
}

impl Driver {
    async fn start(answers: Vec<Result<Value, &'static str>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let commands = Arc::<Mutex<Vec<Command>>>::default();
        let log = Arc::clone(&commands);
        let answers = Arc::new(Mutex::new(answers.into_iter()));
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (log, answers) = (Arc::clone(&log), Arc::clone(&answers));
                connections.spawn(async move {
                    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
                        let (log, answers) = (Arc::clone(&log), Arc::clone(&answers));
                        async move {
                            let (head, body) = request.into_parts();
                            let body = body.collect().await.unwrap().to_bytes();
                            let parameters = serde_json::from_slice(&body).unwrap_or(Value::Null);
                            let path = head.uri.path().trim_start_matches("/session");
                            let path = path.trim_start_matches("/one").to_owned();
                            let method = head.method.to_string();
                            let answer = match path.as_str() {
                                "" if method == "POST" => Ok(json!({
                                    "sessionId": "one",
                                    "capabilities": { "browserName": "a browser", "browserVersion": "5" },
                                })),
                                "/url" if method == "GET" => Ok(json!("about:blank")),
                                "/execute/async" => answers.lock().unwrap().next().unwrap(),
                                _ => Ok(Value::Null),
                            };
                            log.lock().unwrap().push((method, path, parameters));
                            Ok::<_, Infallible>(response(answer))
                        }
                    });
                    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                    // The client may disconnect.
                    served.await.unwrap_or_default();
                });
            }
        });
        Self { url, commands, _task: task }
    }

    /// The parameters of the commands to that path.
    fn parameters(&self, path: &str) -> Vec<Value> {
        let commands = self.commands.lock().unwrap();
        commands.iter().filter(|(_, it, _)| it == path).map(|(_, _, it)| it.clone()).collect()
    }

    /// How many sessions were closed.
    fn closed(&self) -> usize {
        let commands = self.commands.lock().unwrap();
        commands.iter().filter(|(method, path, _)| method == "DELETE" && path.is_empty()).count()
    }
}

fn response(answer: Result<Value, &str>) -> Response<Full<Bytes>> {
    let (status, value) = match answer {
        Ok(value) => (StatusCode::OK, value),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            json!({ "error": error, "message": "as the test says", "stacktrace": "" }),
        ),
    };
    Response::builder()
        .status(status)
        .header("content-type", "application/json; charset=utf-8")
        .body(Full::new(json!({ "value": value }).to_string().into()))
        .unwrap()
}

/// A folder with a test. The harness is empty, because the scripted browser runs nothing.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.any.js"), "// META: global=sharedworker\n").unwrap();
    std::fs::create_dir(folder.path().join("resources")).unwrap();
    std::fs::write(folder.path().join("resources/testharness.js"), "").unwrap();
    folder
}

async fn run(webdriver: Url) -> Result<Report, RunError> {
    run_in(&folder(), webdriver).await
}

async fn run_in(folder: &TempDir, webdriver: Url) -> Result<Report, RunError> {
    let root = folder.path().to_owned();
    let options = RunOptions {
        server: ServerOptions { root, pipe_any_method: false, timeout_multiplier: 1 },
        agent: Agent::Browser(webdriver),
        paths: vec!["a.any.js".into()],
        expectations: Expectations::default(),
    };
    bgfetch_wpt::run(options, |_| ()).await
}

fn results() -> Value {
    let subtest = json!({ "name": "one", "status": 0, "message": null });
    json!({ "results": { "status": 0, "message": null, "subtests": [subtest] } })
}

#[tokio::test]
async fn a_page_is_loaded_and_its_results_are_reported() {
    let driver = Driver::start(vec![Ok(results())]).await;
    let report = run(driver.url.clone()).await.unwrap();
    assert_eq!(report.surprises, [] as [String; 0]);
    assert_eq!(report.pages.len(), 1);
    assert_eq!((report.product.name.as_str(), report.product.version.as_str()), ("a browser", "5"));
    let urls = driver.parameters("/url");
    let url = urls.last().unwrap()["url"].as_str().unwrap();
    assert!(url.starts_with("https://web-platform.test:"), "{url}");
    assert!(url.ends_with("/a.any.sharedworker.html"), "{url}");
    // One session shows which browser it is, the other one ran the page.
    assert_eq!(driver.closed(), 2);
}

#[tokio::test]
async fn the_browser_is_told_the_hosts_and_the_certificate() {
    let driver = Driver::start(vec![Ok(results())]).await;
    run(driver.url.clone()).await.unwrap();
    for session in driver.parameters("") {
        let Some(capabilities) = session.pointer("/capabilities/alwaysMatch") else { continue };
        assert_eq!(capabilities["timeouts"]["script"].as_u64().unwrap() % 10_000, 0);
        let arguments = capabilities["goog:chromeOptions"]["args"].as_array().unwrap();
        let value = |name: &str| {
            let mut values = arguments.iter().filter_map(|it| it.as_str()?.strip_prefix(name));
            values.next().unwrap().to_owned()
        };
        let rules = value("--host-resolver-rules=");
        assert!(rules.contains("MAP web-platform.test 127.0.0.1"), "{rules}");
        // SHA-256 in base64.
        assert_eq!(value("--ignore-certificate-errors-spki-list=").len(), 44);
    }
}

#[tokio::test]
async fn commands_of_testdriver_are_carried_out_before_the_results() {
    let descriptor = json!({ "name": "background-fetch" });
    let command = json!({ "setPermission": { "descriptor": descriptor, "state": "granted" } });
    let driver = Driver::start(vec![Ok(command), Ok(results())]).await;
    let report = run(driver.url.clone()).await.unwrap();
    assert_eq!(report.surprises, [] as [String; 0]);
    let sent = json!({ "descriptor": descriptor, "state": "granted" });
    assert_eq!(driver.parameters("/permissions"), [sent]);
    let answers = driver.parameters("/execute/sync");
    assert_eq!(answers[0]["args"], json!([null]));
}

#[tokio::test]
async fn a_page_without_results_is_reported_and_its_session_closed() {
    for (error, status, message) in [
        ("script timeout", Status::Timeout, "there were no results within 20 s"),
        ("javascript error", Status::Error, "webdriver returned error: as the test says"),
        ("tab crashed", Status::Error, "tab crashed"),
    ] {
        let driver = Driver::start(vec![Err(error)]).await;
        let report = run(driver.url.clone()).await.unwrap();
        assert_eq!(report.pages[0].status, status);
        assert_eq!(report.pages[0].message.as_deref(), Some(message));
        assert_eq!(report.surprises.len(), 1);
        assert_eq!(driver.closed(), 2);
    }
}

#[tokio::test]
async fn no_test_runs_without_a_browser() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url: Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let failed = run(url.clone()).await.unwrap_err().to_string();
    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused).to_string();
    assert!(failed.starts_with(&format!("no browser at {url}: ")), "{failed}");
    assert!(failed.to_lowercase().contains(&refused), "{failed}");
}

#[tokio::test]
async fn the_url_of_a_webdriver_server_has_a_scheme_that_the_client_knows() {
    for url in ["localhost:9515", "https://127.0.0.1:9515/"] {
        let failed = run(url.parse().unwrap()).await.unwrap_err().to_string();
        let reason = "the URL of a WebDriver server begins with http://";
        assert_eq!(failed, format!("no browser at {url}: {reason}"));
    }
}

#[tokio::test]
async fn no_test_runs_without_the_harness() {
    let folder = folder();
    std::fs::remove_file(folder.path().join("resources/testharness.js")).unwrap();
    let driver = Driver::start(vec![]).await;
    let failed = run_in(&folder, driver.url.clone()).await.unwrap_err();
    assert!(matches!(&failed, RunError::NoHarness(root) if root == folder.path()), "{failed}");
    assert_eq!(driver.closed(), 0);
}
