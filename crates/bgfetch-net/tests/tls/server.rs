//! A server with configurable TLS, over HTTP/1.1 and HTTP/2.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, HandshakeKind, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// A certificate and its key.
pub(crate) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        // Different from that of other authorities.
        let name = format!("{:?}", key.public_key_raw());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// A certificate for `name`, valid in the years `from` to `until`.
    pub(crate) fn sign(&self, name: &str, from: i32, until: i32) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([String::from(name)]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 12, 31);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        (vec![certificate], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    pub(crate) fn valid(&self) -> Identity {
        self.sign("localhost", 2000, 9998)
    }

    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        Arc::new(roots)
    }

    /// A client that trusts this authority, with or without a client certificate.
    pub(crate) fn client(&self, identity: Option<Identity>) -> ClientConfig {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots());
        match identity {
            None => config.with_no_client_auth(),
            Some((chain, key)) => config.with_client_auth_cert(chain, key).unwrap(),
        }
    }
}

/// Whether the server asks for a client certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    None,
    Optional,
    Required,
}

/// The handshake of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handshake {
    pub(crate) client_certificate: bool,
    pub(crate) resumed: bool,
}

/// Answers everything with 200, and closes its HTTP/1.1 connections.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    handshakes: Arc<Mutex<Vec<Handshake>>>,
}

impl Server {
    pub(crate) async fn start(
        authority: &Authority,
        (chain, key): Identity,
        auth: ClientAuth,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &str,
    ) -> Self {
        let verifier = WebPkiClientVerifier::builder_with_provider(authority.roots(), provider());
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap();
        let mut config = match auth {
            ClientAuth::None => config.with_no_client_auth(),
            ClientAuth::Optional => {
                config.with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
            }
            ClientAuth::Required => config.with_client_cert_verifier(verifier.build().unwrap()),
        }
        .with_single_cert(chain, key)
        .unwrap();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            accepted: Arc::default(),
            handshakes: Arc::default(),
        };
        let (accepted, log) = (Arc::clone(&server.accepted), Arc::clone(&server.handshakes));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(socket, acceptor.clone(), Arc::clone(&log)));
            }
        });
        server
    }

    pub(crate) fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/", self.address.port())
    }

    /// How many connections were opened.
    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// The handshakes that the server completed.
    pub(crate) fn handshakes(&self) -> Vec<Handshake> {
        self.handshakes.lock().clone()
    }
}

async fn serve(socket: TcpStream, acceptor: TlsAcceptor, log: Arc<Mutex<Vec<Handshake>>>) {
    let socket = match acceptor.accept(socket).into_fallible().await {
        Ok(socket) => socket,
        Err((_, mut socket)) => {
            // Closing with unread bytes would reset the connection, and the reset could overtake
            // the alert.
            while matches!(socket.read(&mut [0; 4096]).await, Ok(1..)) {}
            return;
        }
    };
    let (_, tls) = socket.get_ref();
    log.lock().push(Handshake {
        client_certificate: tls.peer_certificates().is_some(),
        resumed: tls.handshake_kind() == Some(HandshakeKind::Resumed),
    });
    let service = service_fn(|request: Request<hyper::body::Incoming>| async move {
        let mut response = Response::new(Full::new(Bytes::from_static(b"fine")));
        if request.version() == hyper::Version::HTTP_11 {
            let close = hyper::header::HeaderValue::from_static("close");
            response.headers_mut().insert(hyper::header::CONNECTION, close);
        }
        Ok::<_, Infallible>(response)
    });
    let server = auto::Builder::new(TokioExecutor::new());
    // The client may disconnect at any time.
    drop(server.serve_connection(TokioIo::new(socket), service).await);
}
