//! The test server: the counterpart of upstream's `wptserve`, inside this program.
//!
//! It listens on loopback, on ports that the system chooses. Only the fetcher that it creates, and
//! browsers that are told, know its host names and its certificate.

mod content_type;
mod faults;
mod files;
mod handlers;
mod message;
mod pipes;
mod site;
mod substitute;
mod wrappers;

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bgfetch::HyperFetcher;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _,
};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use url::Url;

use self::files::Files;
pub(crate) use self::files::has_harness;
use self::message::{Body, Reply, Request};
use self::site::{Resolver, Site};

/// The maximum length of a request's body.
const LONGEST_REQUEST: usize = 64 << 20;

/// The options of the server.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The folder of the tests.
    pub root: PathBuf,
    /// Whether a file whose URL names a pipe answers every method. Upstream's server does not, and
    /// so fails preflights that tests expect to succeed.
    pub pipe_any_method: bool,
    /// The multiplier of pages' timeouts, for slow machines.
    pub timeout_multiplier: u32,
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    site: Site,
    root_certificate: CertificateDer<'static>,
    key_hash: String,
    _listeners: JoinSet<()>,
}

impl Server {
    /// Starts the server on this runtime.
    ///
    /// # Errors
    ///
    /// When the system assigns no ports, or a certificate cannot be created.
    pub async fn start(options: ServerOptions) -> io::Result<Self> {
        let ServerOptions { root, pipe_any_method, timeout_multiplier } = options;
        let Certificates { root: root_certificate, server, key_hash } =
            Certificates::make().map_err(io::Error::other)?;
        let tls = TlsAcceptor::from(Arc::new(server));
        let sockets = [listen().await?, listen().await?, listen().await?, listen().await?];
        let mut ports = [0; 4];
        for (port, socket) in ports.iter_mut().zip(&sockets) {
            *port = socket.local_addr()?.port();
        }
        let [http, http2, https, https2] = ports;
        let site = Site { http: [http, http2], https: [https, https2] };
        let content =
            Arc::new(Content { site, files: Files { root, pipe_any_method, timeout_multiplier } });
        let mut listeners = JoinSet::new();
        for (socket, tls) in sockets.into_iter().zip([None, None, Some(&tls), Some(&tls)]) {
            listeners.spawn(accept(Arc::clone(&content), socket, tls.cloned()));
        }
        Ok(Self { site, root_certificate, key_hash, _listeners: listeners })
    }

    /// The URL for a path, a query and a fragment, from which tests are loaded.
    ///
    /// # Errors
    ///
    /// When it cannot be part of a URL.
    pub fn url(&self, path: &str) -> Result<Url, url::ParseError> {
        self.site.url(path)
    }

    /// Rules for Chromium that resolve the server's names, and no other names.
    pub(crate) fn host_rules(&self) -> String {
        site::host_rules()
    }

    /// The hash of the server's public key by which Chromium trusts its certificate: SHA-256 of the
    /// SubjectPublicKeyInfo, in base64.
    pub(crate) fn key_hash(&self) -> &str {
        &self.key_hash
    }

    /// A network stack that resolves the server's names and trusts its certificate.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up.
    pub fn fetcher(&self) -> Result<HyperFetcher, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root_certificate.clone())?;
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        HyperFetcher::builder().tls(tls).resolver(Resolver::new()).build()
    }
}

async fn listen() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}

/// What is served.
struct Content {
    site: Site,
    files: Files,
}

/// A certificate authority for one run, and the server's certificate.
struct Certificates {
    root: CertificateDer<'static>,
    server: ServerConfig,
    key_hash: String,
}

impl Certificates {
    fn make() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority_key = KeyPair::generate()?;
        let root = authority.self_signed(&authority_key)?.der().clone();
        let key = KeyPair::generate()?;
        let names: Vec<String> =
            site::names().into_iter().chain(["localhost".into(), "127.0.0.1".into()]).collect();
        let issuer = Issuer::new(authority, authority_key);
        let certificate = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
        let key_hash = STANDARD.encode(Sha256::digest(key.subject_public_key_info()));
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        Ok(Self { root, server, key_hash })
    }
}

/// Serves the connections of a port. Dropping this ends them.
async fn accept(content: Arc<Content>, socket: TcpListener, tls: Option<TlsAcceptor>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(Arc::clone(&content), stream, tls.clone()));
                }
                Err(error) => tracing::warn!(%error, "a connection was not accepted"),
            },
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection's task failed");
                }
            }
        }
    }
}

async fn connection(content: Arc<Content>, stream: TcpStream, tls: Option<TlsAcceptor>) {
    let served = match tls {
        None => serve(content, "http", stream).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => serve(content, "https", stream).await,
            Err(error) => Err(error.into()),
        },
    };
    // Clients may disconnect at any time.
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended");
    }
}

async fn serve(
    content: Arc<Content>,
    scheme: &'static str,
    stream: impl AsyncRead + AsyncWrite + Unpin,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let service = service_fn(|request| {
        let content = Arc::clone(&content);
        async move { Ok::<_, Infallible>(answer(&content, scheme, request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await?;
    Ok(())
}

async fn answer(
    content: &Content,
    scheme: &str,
    request: http::Request<Incoming>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body: Bytes = match Limited::new(body, LONGEST_REQUEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Reply::error(StatusCode::BAD_REQUEST, error).into_response(),
    };
    if head.uri.path().starts_with(faults::PREFIX) {
        return faults::respond(&head, body).await;
    }
    let reply = match Request::new(scheme, head, body) {
        None => Reply::error(StatusCode::BAD_REQUEST, "the request names no URL"),
        Some(request) => match handlers::respond(&request) {
            Some(reply) => reply,
            None => content.files.respond(&request, &content.site).await,
        },
    };
    reply.into_response()
}
