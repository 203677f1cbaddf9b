//! A real nginx.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use tempfile::TempDir;
use url::Url;

use crate::certificates::Certificates;
use crate::port::ReservedPort;
use crate::resource::Resource;
use crate::watched::Watched;

/// The configuration of an [`Nginx`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NginxConfig {
    /// The address to listen on; 127.0.0.1 by default.
    pub ip: IpAddr,
    /// The maximum bytes per second sent to one connection; unlimited by default.
    pub limit_rate: Option<u64>,
    /// TLS with HTTP/2 and HTTP/1.1 instead of plain HTTP/1.1; off by default.
    pub tls: bool,
}

impl Default for NginxConfig {
    fn default() -> Self {
        Self { ip: Ipv4Addr::LOCALHOST.into(), limit_rate: None, tls: false }
    }
}

impl NginxConfig {
    /// Listens on another of this machine's addresses.
    #[must_use]
    pub fn on(self, ip: IpAddr) -> Self {
        Self { ip, ..self }
    }

    /// Limits the bytes per second sent to each connection.
    #[must_use]
    pub fn limit_rate(self, bytes_per_second: u64) -> Self {
        Self { limit_rate: Some(bytes_per_second), ..self }
    }

    /// TLS with HTTP/2.
    #[must_use]
    pub fn tls(self) -> Self {
        Self { tls: true, ..self }
    }
}

/// A request as nginx logged it at the end of its response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NginxRequest {
    /// The method.
    pub method: String,
    /// The path and query as sent.
    pub uri: String,
    /// The response's status.
    pub status: u16,
    /// The `Range` header.
    pub range: Option<String>,
    /// How many bytes of the body nginx sent.
    pub body_bytes_sent: u64,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: String,
}

const LOG_FORMAT: &str = "$request_method\\t$request_uri\\t$status\\t$http_range\\t\
                          $body_bytes_sent\\t$server_protocol";

impl NginxRequest {
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split('\t').collect();
        let &[method, uri, status, range, sent, protocol] = fields.as_slice() else {
            return None;
        };
        Some(Self {
            method: method.to_owned(),
            uri: uri.to_owned(),
            status: status.parse().ok()?,
            range: (range != "-").then(|| range.to_owned()),
            body_bytes_sent: sent.parse().ok()?,
            protocol: protocol.to_owned(),
        })
    }
}

/// A real nginx on a system-chosen port that serves a folder. It is killed on drop.
#[derive(Debug)]
pub struct Nginx {
    root: PathBuf,
    dir: TempDir,
    port: ReservedPort,
    certificates: Option<Certificates>,
    log: Arc<Watched<Vec<NginxRequest>>>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    process: Child,
    readers: [JoinHandle<()>; 2],
}

impl Nginx {
    /// Starts nginx over `root`, or returns none if nginx is not installed.
    ///
    /// # Panics
    ///
    /// If it is installed and does not start.
    #[must_use]
    pub fn try_start(root: impl Into<PathBuf>) -> Option<Self> {
        Self::try_start_with(root, NginxConfig::default())
    }

    /// Like [`Self::try_start`], with a configuration.
    ///
    /// # Panics
    ///
    /// If it is installed and does not start.
    #[must_use]
    pub fn try_start_with(root: impl Into<PathBuf>, config: NginxConfig) -> Option<Self> {
        let probe = Command::new("nginx").arg("-v").stderr(Stdio::null()).status();
        if !probe.is_ok_and(|status| status.success()) {
            return None;
        }
        let mut nginx = Self {
            root: root.into(),
            dir: tempfile::tempdir().expect("a temporary folder"),
            port: ReservedPort::new(config.ip),
            certificates: config.tls.then(|| Certificates::for_server(config.ip)),
            log: Arc::default(),
            running: None,
        };
        nginx.configure(&config);
        nginx.start_again();
        Some(nginx)
    }

    fn configure(&self, config: &NginxConfig) {
        let dir = self.dir.path();
        let write = |name: &str, text: &str| {
            std::fs::write(dir.join(name), text).expect("the temporary folder is writable");
        };
        let mut server = format!("root \"{}\";\n", self.root.display());
        if let Some(rate) = config.limit_rate {
            writeln!(server, "limit_rate {rate};").expect("a String takes any text");
        }
        let mut protocols = "";
        if let Some(certificates) = &self.certificates {
            write("server.pem", &certificates.server_pem);
            write("server.key", &certificates.server_key_pem);
            server.push_str("ssl_certificate server.pem;\nssl_certificate_key server.key;\n");
            protocols = " ssl http2";
        }
        // One process, so that killing it leaves no worker behind.
        let text = format!(
            "daemon off;\n\
             master_process off;\n\
             pid nginx.pid;\n\
             error_log stderr notice;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n\
             log_format fields \"{LOG_FORMAT}\";\n\
             access_log /dev/stdout fields;\n\
             default_type application/octet-stream;\n\
             sendfile on;\n\
             keepalive_requests 1000000;\n\
             client_body_temp_path body;\n\
             proxy_temp_path proxy;\n\
             fastcgi_temp_path fastcgi;\n\
             uwsgi_temp_path uwsgi;\n\
             scgi_temp_path scgi;\n\
             server {{\n\
             listen {}{protocols};\n\
             {server}\
             }}\n\
             }}\n",
            self.address(),
        );
        write("nginx.conf", &text);
    }

    /// Writes a resource into the served folder.
    pub fn put(&self, name: &str, resource: &Resource) {
        resource.write_to(self.root.join(name));
    }

    /// The URL of a path, with the server's IP address.
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

    /// The served folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The certificates of an nginx with TLS.
    ///
    /// # Panics
    ///
    /// If it was started without TLS.
    #[must_use]
    pub fn certificates(&self) -> &Certificates {
        self.certificates.as_ref().expect("this nginx was started without TLS")
    }

    /// Kills nginx: its connections end without being logged, and new ones are refused until
    /// [`Self::start_again`].
    pub fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.process.kill().expect("nginx can be killed");
            running.process.wait().expect("nginx is our child");
            for reader in running.readers {
                reader.join().expect("readers do not panic");
            }
        }
    }

    /// Starts nginx again on the same port, after [`Self::stop`].
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start_again(&mut self) {
        if self.running.is_some() {
            return;
        }
        let mut process = Command::new("nginx")
            .arg("-p")
            .arg(self.dir.path())
            .args(["-e", "stderr", "-c", "nginx.conf"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nginx is installed");
        let log = Arc::clone(&self.log);
        let requests = each_line(process.stdout.take(), move |line| {
            log.update(|log| log.extend(NginxRequest::parse(line)));
        });
        let start = Arc::<Watched<Start>>::default();
        let messages = watch_start(process.stderr.take(), &start);
        self.running = Some(Running { process, readers: [requests, messages] });
        start.blocking_wait(
            |start| {
                assert!(!start.ended, "nginx does not start:\n{}", start.messages);
                start.listening.then_some(())
            },
            |start| format!("nginx does not listen:\n{}", start.messages),
        );
    }

    /// The requests whose responses have ended, in that order, including those before a restart.
    #[must_use]
    pub fn log(&self) -> Vec<NginxRequest> {
        self.log.read(Vec::clone)
    }

    /// Waits until `count` requests were logged, and returns all of them.
    ///
    /// # Panics
    ///
    /// With the log, after [`DEADLINE`](crate::DEADLINE).
    pub async fn wait_for_log(&self, count: usize) -> Vec<NginxRequest> {
        self.log
            .wait(
                move |log| (log.len() >= count).then(|| log.clone()),
                move |log| format!("waited in vain for {count} requests: {log:#?}"),
            )
            .await
    }

    /// Like [`Self::wait_for_log`], outside async code.
    #[must_use]
    pub fn blocking_wait_for_log(&self, count: usize) -> Vec<NginxRequest> {
        self.log.blocking_wait(
            |log| (log.len() >= count).then(|| log.clone()),
            |log| format!("waited in vain for {count} requests: {log:#?}"),
        )
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.stop();
    }
}

#[derive(Debug, Default)]
struct Start {
    listening: bool,
    ended: bool,
    messages: String,
}

/// Reads nginx's messages. nginx names its event method once its sockets are open.
fn watch_start(
    pipe: Option<impl Read + Send + 'static>,
    start: &Arc<Watched<Start>>,
) -> JoinHandle<()> {
    let start = Arc::clone(start);
    let mut lines = BufReader::new(pipe.expect("it was piped")).lines();
    std::thread::spawn(move || {
        while let Some(Ok(line)) = lines.next() {
            start.update(|start| {
                start.listening |= line.contains("event method");
                start.messages.push_str(&line);
                start.messages.push('\n');
            });
        }
        start.update(|start| start.ended = true);
    })
}

fn each_line(
    pipe: Option<impl Read + Send + 'static>,
    mut take: impl FnMut(&str) + Send + 'static,
) -> JoinHandle<()> {
    let mut lines = BufReader::new(pipe.expect("it was piped")).lines();
    std::thread::spawn(move || {
        while let Some(Ok(line)) = lines.next() {
            take(&line);
        }
    })
}
