//! Loopback servers for the tests: a small origin over HTTP/1.1 and HTTP/2, and a scripted socket.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod http2;
pub(crate) mod requests;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use bgfetch_model::attempt::AttemptSpec;
use bgfetch_model::ids::StorageKey;
use bgfetch_model::policy::Principal;
use bgfetch_net::fetcher::FetchRequest;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A body that differs at all offsets that a test could confuse.
pub(crate) fn pattern(length: usize) -> Bytes {
    (0..length).map(|offset| (offset % 251) as u8).collect()
}

/// An origin. Its paths:
/// - `/bytes/N`: the pattern's first N bytes
/// - `/coded/CODING`: the pattern's first 100 000 bytes in this coding
/// - `/headers`: the request's method and headers, one per line
/// - `/upload`: whether the request's body is the pattern, and its length
/// - `/to?status=S&location=L`: a redirect
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
    certificate: Option<CertificateDer<'static>>,
}

impl Origin {
    pub(crate) async fn http() -> Self {
        Self::start(None, &[]).await
    }

    /// Over TLS with a certificate for `localhost`, which offers these ALPN protocols.
    pub(crate) async fn https(alpn: &[&[u8]]) -> Self {
        let made = rcgen::generate_simple_self_signed([String::from("localhost")]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        Self::start(Some((made.cert.der().clone(), key)), alpn).await
    }

    async fn start(
        identity: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
        alpn: &[&[u8]],
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let certificate = identity.as_ref().map(|(certificate, _)| certificate.clone());
        let acceptor = identity.map(|(certificate, key)| {
            let mut config = ServerConfig::builder_with_provider(Arc::new(
                rustls::crypto::ring::default_provider(),
            ))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
            config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
            TlsAcceptor::from(Arc::new(config))
        });
        let accepted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(socket, acceptor.clone()));
            }
        });
        Self { address, connections, certificate }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        match self.certificate {
            Some(_) => format!("https://localhost:{}{path}", self.address.port()),
            None => format!("http://{}{path}", self.address),
        }
    }

    /// A TLS client that trusts this origin.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone().unwrap()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

async fn serve(socket: TcpStream, acceptor: Option<TlsAcceptor>) {
    let server = auto::Builder::new(TokioExecutor::new());
    let service = service_fn(answer);
    let served = match acceptor {
        None => server.serve_connection(TokioIo::new(socket), service).await,
        Some(acceptor) => match acceptor.accept(socket).await {
            Ok(socket) => server.serve_connection(TokioIo::new(socket), service).await,
            Err(_) => return,
        },
    };
    // The tests' clients may disconnect in the middle of a response; only their side is tested.
    drop(served);
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let mut parts = path.split('/').skip(1);
    let response = Response::builder();
    let (kind, argument) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let response = match kind {
        "bytes" => response.body(pattern(argument.parse().unwrap()).into()),
        "coded" => response
            .header("content-encoding", argument)
            .body(encode(&pattern(100_000), argument).await.into()),
        "headers" => {
            let mut lines = format!("method: {}\n", request.method());
            for (name, value) in request.headers() {
                lines += &format!("{name}: {}\n", value.to_str().unwrap());
            }
            response.body(lines.into())
        }
        "upload" => {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let intact = body == pattern(body.len());
            response.body(format!("{intact} {}", body.len()).into())
        }
        "to" => {
            let query = request.uri().query().unwrap_or("").to_owned();
            let pairs: HashMap<_, _> =
                url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            // A server may answer before it has read the body; this one reads it.
            request.into_body().collect().await.unwrap();
            response
                .status(pairs["status"].as_str())
                .header("location", &pairs["location"])
                .body("moved".into())
        }
        _ => response.status(404).body("no".into()),
    };
    Ok(response.unwrap())
}

async fn encode(bytes: &[u8], coding: &str) -> Vec<u8> {
    macro_rules! with {
        ($encoder:ident) => {{
            let mut encoder = $encoder::new(Vec::new());
            encoder.write_all(bytes).await.unwrap();
            encoder.shutdown().await.unwrap();
            encoder.into_inner()
        }};
    }
    match coding {
        "gzip" => with!(GzipEncoder),
        "deflate" => with!(ZlibEncoder),
        "br" => with!(BrotliEncoder),
        "zstd" => with!(ZstdEncoder),
        other => panic!("coding {other}"),
    }
}

/// How a scripted socket ends its one connection.
pub(crate) enum Ending {
    Close,
    Reset,
    Hold,
}

/// A server that reads a request's head, sends `answer` verbatim, and ends the connection as
/// `ending` says. Counts the requests.
pub(crate) async fn scripted(
    answer: &'static [u8],
    ending: Ending,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&requests);
    let ending = Arc::new(ending);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(play(socket, answer, Arc::clone(&ending), Arc::clone(&seen)));
        }
    });
    (address, requests)
}

async fn play(
    mut socket: TcpStream,
    answer: &'static [u8],
    ending: Arc<Ending>,
    seen: Arc<AtomicUsize>,
) {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => head.extend_from_slice(&buffer[..length]),
        }
    }
    seen.fetch_add(1, Ordering::Relaxed);
    socket.write_all(answer).await.unwrap();
    match *ending {
        Ending::Close => {}
        Ending::Reset => socket.set_zero_linger().unwrap(),
        // Until the client disconnects.
        Ending::Hold => while matches!(socket.read(&mut buffer).await, Ok(1..)) {},
    }
}

/// A fetch for the user.
pub(crate) fn user_request(
    request: bgfetch_model::request::Request,
    spec: AttemptSpec,
) -> FetchRequest {
    let key = StorageKey("user".into());
    FetchRequest::new(key, Arc::new(Principal::User), Arc::new(request), spec, None)
}
