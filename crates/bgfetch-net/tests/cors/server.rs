//! A server whose responses are given in the URL, over HTTP/1.1 and HTTP/2.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use url::Url;

/// A request as received, without its body.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// Counts connections from 0.
    pub(crate) connection: usize,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// `localhost` and `127.0.0.1` are two origins of it, and every other server is a third.
pub(crate) struct Server {
    address: SocketAddr,
    certificate: CertificateDer<'static>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// `alpn` is what the server speaks: `h2` or `http/1.1`.
    pub(crate) async fn start(alpn: &str) -> Self {
        let names = [String::from("localhost"), String::from("127.0.0.1")];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            let mut connections = 0..;
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, log) = (acceptor.clone(), Arc::clone(&log));
                let connection = connections.next().unwrap();
                tokio::spawn(async move {
                    let Ok(socket) = acceptor.accept(socket).await else { return };
                    let service =
                        service_fn(move |request| answer(request, connection, Arc::clone(&log)));
                    let server = auto::Builder::new(TokioExecutor::new());
                    // The client may disconnect at any time.
                    drop(server.serve_connection(TokioIo::new(socket), service).await);
                });
            }
        });
        Self { address, certificate, seen }
    }

    /// The URL for a response with `status=S`, `h=Name: value` and `body=LENGTH`; a `p` before any
    /// of these makes it apply to the preflight. With `wait`, the response never comes.
    pub(crate) fn url(&self, host: &str, path: &str, answer: &[(&str, &str)]) -> Url {
        let base = format!("https://{host}:{}{path}", self.address.port());
        Url::parse_with_params(&base, answer).unwrap()
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// Returns the methods and paths so far, and clears them.
    pub(crate) fn take(&self) -> Vec<String> {
        let seen = std::mem::take(&mut *self.seen.lock());
        seen.into_iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect()
    }

    /// Waits until a request has come.
    pub(crate) async fn asked(&self) {
        while self.seen.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn client(servers: &[&Self]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        for server in servers {
            roots.add(server.certificate.clone()).unwrap();
        }
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

async fn answer(
    request: Request<Incoming>,
    connection: usize,
    log: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    drop(body.collect().await);
    log.lock().push(Seen {
        method: parts.method.to_string(),
        path: parts.uri.path().into(),
        headers: parts.headers,
        connection,
    });
    let prefix = if parts.method == "OPTIONS" { "p" } else { "" };
    let mut response = Response::new(Full::default());
    for (name, value) in url::form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes()) {
        match name.strip_prefix(prefix) {
            Some("status") => *response.status_mut() = value.parse().unwrap(),
            Some("wait") => std::future::pending().await,
            Some("body") => *response.body_mut() = vec![b'x'; value.parse().unwrap()].into(),
            Some("h") => {
                let (name, value) = value.split_once(": ").unwrap();
                let name = HeaderName::try_from(name).unwrap();
                response.headers_mut().append(name, HeaderValue::try_from(value).unwrap());
            }
            _ => {}
        }
    }
    Ok(response)
}
