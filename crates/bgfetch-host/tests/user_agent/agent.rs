//! A user agent, a server, and the output of the scripts' consoles.

use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bgfetch::embedder::BoxFuture;
use bgfetch::{HyperFetcher, Resolve};
use bgfetch_host::{Page, PermissionState, Prelude, UserAgent, UserAgentOptions};
use bgfetch_testkit::{Origin, Reply};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::mpsc;

pub(crate) struct Agent {
    pub(crate) user_agent: UserAgent,
    pub(crate) origin: Origin,
    lines: Mutex<mpsc::UnboundedReceiver<String>>,
}

struct ToLoopback;

impl Resolve for ToLoopback {
    fn resolve(&self, _: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async { Ok(vec![Ipv4Addr::LOCALHOST.into()]) })
    }
}

impl Agent {
    pub(crate) async fn start() -> Self {
        Self::with(None).await
    }

    pub(crate) async fn with(prelude: Option<Prelude>) -> Self {
        Self::over(HyperFetcher::new().unwrap(), prelude).await
    }

    /// An agent that resolves every name to the server.
    pub(crate) async fn insecure() -> Self {
        let fetcher = HyperFetcher::builder().resolver(ToLoopback).build().unwrap();
        Self::over(fetcher, None).await
    }

    async fn over(fetcher: HyperFetcher, prelude: Option<Prelude>) -> Self {
        let (sender, lines) = mpsc::unbounded_channel();
        let user_agent = UserAgent::open(UserAgentOptions {
            open_window: None,
            query_permission: Arc::new(|_, _| PermissionState::Granted),
            show_notification: Arc::new(|_, _| ()),
            folder: None,
            fetcher: Arc::new(fetcher),
            console: Arc::new(move |_, _, message| drop(sender.send(message.to_owned()))),
            idle_limit: Duration::from_secs(3600),
            event_limit: Duration::from_secs(60),
            configure: Arc::new(|builder| builder),
            prelude,
        });
        let user_agent = user_agent.await.unwrap();
        Self { user_agent, origin: Origin::start(), lines: Mutex::new(lines) }
    }

    /// Whether the consoles have no more lines at the moment.
    pub(crate) fn no_line(&self) -> bool {
        self.lines.lock().try_recv().is_err()
    }

    pub(crate) fn serve_html(&self, path: &str, html: &str) {
        self.origin.serve(path, html_reply(html));
    }

    pub(crate) fn serve_script(&self, path: &str, source: &str) {
        self.origin.serve(path, script_reply(source));
    }

    /// Opens a page with that HTML, and waits for its `load` event.
    pub(crate) async fn page(&self, html: &str) -> Page {
        self.serve_html("/page.html", html);
        self.open("/page.html").await
    }

    /// Opens a page, and waits for its `load` event.
    pub(crate) async fn open(&self, path: &str) -> Page {
        let page = self.user_agent.open_page(self.origin.url(path)).await.unwrap();
        page.loaded().await;
        page
    }

    /// The next line that a script writes to its console.
    #[expect(clippy::await_holding_lock, reason = "tests wait for one line at a time")]
    pub(crate) async fn next_line(&self) -> String {
        self.lines.lock().recv().await.unwrap()
    }
}

pub(crate) fn html_reply(html: &str) -> Reply {
    Reply::text("text/html", html.to_owned())
}

pub(crate) fn script_reply(source: &str) -> Reply {
    Reply::text("text/javascript", source.to_owned())
}

/// Runs the body of an async function in a page and returns its result.
pub(crate) async fn run(page: &Page, body: impl Display) -> Value {
    let source = format!("(async () => {{ {body} }})()");
    let value = page.realm().run_script("test.js", source).await;
    value.unwrap_or_else(|error| panic!("{error}"))
}
