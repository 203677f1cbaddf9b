//! The fault-injecting origin server.

mod body;
mod log;
mod range;
mod raw;
mod reply;
mod respond;
mod server;
mod wire;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc as blocking};
use std::thread::JoinHandle;

use http::Method;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use url::Url;

use self::log::Log;
pub use self::log::{Ending, Logged, Received};
pub use self::raw::Frames;
pub use self::reply::{Coding, Reply, Script, Serve};
use self::server::{Command, Server};
use crate::certificates::Certificates;
use crate::port::ReservedPort;
use crate::watched::Watched;

/// An HTTP origin on a real socket and a system-chosen port, for HTTP/1.1 and HTTP/2, whose replies
/// are scripted per path. Unscripted paths are answered with 404.
///
/// It runs on its own thread in real time, independently of the clock of the test's runtime.
/// Dropping it ends the thread and all its connections.
#[derive(Debug)]
pub struct Origin {
    shared: Arc<Shared>,
    port: ReservedPort,
    certificates: Option<Arc<Certificates>>,
    commands: Option<mpsc::UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    scripts: Mutex<HashMap<String, Script>>,
    log: Arc<Watched<Log>>,
    /// How many bytes were written to connections.
    written: AtomicU64,
}

impl Shared {
    fn next_reply(&self, method: &Method, path: &str) -> Reply {
        let mut scripts = self.scripts.lock();
        let with_method = format!("{method} {path}");
        let key = if scripts.contains_key(&with_method) { with_method.as_str() } else { path };
        scripts.get_mut(key).map_or_else(|| Reply::status(404), Script::next_reply)
    }
}

impl Origin {
    /// Starts on 127.0.0.1 without encryption: HTTP/1.1, and HTTP/2 with prior knowledge.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST.into())
    }

    /// Starts on another of this machine's addresses, as needed with a [`Netns`](crate::Netns).
    #[must_use]
    pub fn start_on(ip: IpAddr) -> Self {
        Self::launch(ip, None)
    }

    /// Starts on 127.0.0.1 with TLS and ALPN for HTTP/2 and HTTP/1.1; see [`Self::certificates`].
    #[must_use]
    pub fn start_tls() -> Self {
        Self::start_tls_with(&["h2", "http/1.1"])
    }

    /// Like [`Self::start_tls`], with other protocols for ALPN.
    #[must_use]
    pub fn start_tls_with(protocols: &[&str]) -> Self {
        let ip = Ipv4Addr::LOCALHOST.into();
        Self::launch(ip, Some((Arc::new(Certificates::for_server(ip)), protocols)))
    }

    /// Starts like another origin with TLS and both protocols, on a port of its own but with the
    /// same certificate, so that whoever trusts the other trusts this one.
    ///
    /// # Panics
    ///
    /// If the other was started without TLS.
    #[must_use]
    pub fn start_tls_like(other: &Self) -> Self {
        let certificates = other.certificates.clone().expect("the other was started with TLS");
        Self::launch(other.address().ip(), Some((certificates, &["h2", "http/1.1"])))
    }

    fn launch(ip: IpAddr, tls: Option<(Arc<Certificates>, &[&str])>) -> Self {
        let shared = Arc::<Shared>::default();
        let port = ReservedPort::new(ip);
        let (commands, inbox) = mpsc::unbounded_channel();
        let acceptor = tls.as_ref().map(|(certificates, protocols)| {
            TlsAcceptor::from(Arc::new(certificates.server_config(protocols)))
        });
        let server = Server::new(Arc::clone(&shared), port.address(), acceptor);
        let thread = std::thread::Builder::new()
            .name(String::from("origin"))
            .spawn(move || server.run(inbox))
            .expect("a thread can be started");
        let origin = Self {
            shared,
            port,
            certificates: tls.map(|(it, _)| it),
            commands: Some(commands),
            thread: Some(thread),
        };
        origin.start_again();
        origin
    }

    /// Scripts the replies for a route, from the next request on. The route is a path without a
    /// query, for every method (`/a.bin`), or a method and a path (`OPTIONS /a.bin`), which takes
    /// precedence.
    pub fn serve(&self, route: impl Into<String>, script: impl Into<Script>) {
        self.shared.scripts.lock().insert(route.into(), script.into());
    }

    /// The URL of a path, with the server's IP address: `http://127.0.0.1:PORT/path`.
    #[must_use]
    pub fn url(&self, path: &str) -> Url {
        let scheme = self.certificates.as_ref().map_or("http", |_| "https");
        Url::parse(&format!("{scheme}://{}{path}", self.address())).expect("a path")
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The certificates of an origin with TLS.
    ///
    /// # Panics
    ///
    /// If it was started without TLS.
    #[must_use]
    pub fn certificates(&self) -> &Certificates {
        self.certificates.as_deref().expect("this origin was started without TLS")
    }

    /// Ends every connection and refuses new ones, until [`Self::start_again`]. Both have happened
    /// when this returns.
    pub fn stop(&self) {
        self.command(Command::Stop);
    }

    /// Listens again on the same port; the scripts and the log are kept.
    pub fn start_again(&self) {
        self.command(Command::Listen);
    }

    fn command(&self, command: impl FnOnce(blocking::Sender<()>) -> Command) {
        let (done, is_done) = blocking::channel();
        self.commands
            .as_ref()
            .and_then(|commands| commands.send(command(done)).ok())
            .expect("the thread runs until the drop");
        is_done.recv().expect("the thread obeys");
    }

    /// Every request so far, in the order in which their heads arrived.
    #[must_use]
    pub fn requests(&self) -> Vec<Logged> {
        self.shared.log.read(|log| log.requests.clone())
    }

    /// The requests so far without the first `count`.
    #[must_use]
    pub fn requests_after(&self, count: usize) -> Vec<Logged> {
        self.shared.log.read(|log| log.requests.get(count..).unwrap_or_default().to_vec())
    }

    /// The requests to one path, with or without a query.
    #[must_use]
    pub fn requests_to(&self, path: &str) -> Vec<Logged> {
        let mut requests = self.requests();
        requests.retain(|request| request.path.split('?').next() == Some(path));
        requests
    }

    /// How many bytes it has written to its connections, heads and frames included. What TLS adds
    /// is not counted.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// How many connections are open at the server's end.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.shared.log.read(|log| log.open_connections)
    }

    /// Waits until `count` requests have arrived, and returns all of them.
    ///
    /// # Panics
    ///
    /// With the log, after [`DEADLINE`](crate::DEADLINE).
    pub async fn wait_for_requests(&self, count: usize) -> Vec<Logged> {
        self.wait_until(move |requests| requests.len() >= count).await
    }

    /// Like [`Self::wait_for_requests`], outside async code.
    pub fn blocking_wait_for_requests(&self, count: usize) -> Vec<Logged> {
        self.blocking_wait_until(|requests| requests.len() >= count)
    }

    /// Waits until the log satisfies `holds` (for example, until a response ended), and returns it.
    ///
    /// # Panics
    ///
    /// With the log, after [`DEADLINE`](crate::DEADLINE).
    pub async fn wait_until(
        &self,
        mut holds: impl FnMut(&[Logged]) -> bool + Send + 'static,
    ) -> Vec<Logged> {
        let log = &self.shared.log;
        log.wait(move |log| holds(&log.requests).then(|| log.requests.clone()), Log::describe).await
    }

    /// Like [`Self::wait_until`], outside async code.
    pub fn blocking_wait_until(&self, mut holds: impl FnMut(&[Logged]) -> bool) -> Vec<Logged> {
        self.shared
            .log
            .blocking_wait(|log| holds(&log.requests).then(|| log.requests.clone()), Log::describe)
    }

    /// Waits until exactly `count` connections are open at the server's end.
    ///
    /// # Panics
    ///
    /// With the log, after [`DEADLINE`](crate::DEADLINE).
    pub async fn wait_for_connections(&self, count: usize) {
        let log = &self.shared.log;
        log.wait(move |log| (log.open_connections == count).then_some(()), Log::describe).await;
    }

    /// Like [`Self::wait_for_connections`], outside async code.
    pub fn blocking_wait_for_connections(&self, count: usize) {
        self.shared
            .log
            .blocking_wait(|log| (log.open_connections == count).then_some(()), Log::describe);
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the origin's thread panicked");
        }
    }
}
