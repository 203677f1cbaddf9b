//! HTTP/2 servers that misbehave.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bgfetch_net::hyper::{HyperFetcher, HyperFetcherBuilder};
use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

const PREFACE: usize = 24;
const FRAME_HEADER: usize = 9;

/// A server that only speaks HTTP/2, with a certificate for `localhost`.
pub(crate) struct Http2 {
    pub(crate) url: String,
    /// How many requests were received.
    pub(crate) requests: Arc<AtomicUsize>,
    /// How many connections were made.
    pub(crate) connections: Arc<AtomicUsize>,
    client: ClientConfig,
}

impl Http2 {
    /// Answers each request with `answer`.
    pub(crate) async fn start<F, R>(answer: F) -> Self
    where
        F: Fn(Request<RecvStream>, SendResponse<Bytes>) -> R + Clone + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self::listen(&[b"h2"], move |socket, requests| {
            let answer = answer.clone();
            async move {
                let mut connection = h2::server::handshake(socket).await.unwrap();
                while let Some(Ok((request, respond))) = connection.accept().await {
                    requests.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(answer(request, respond));
                }
            }
        })
        .await
    }

    /// Sends `frames` after the first request's head, then waits until the client disconnects.
    pub(crate) async fn raw(frames: Vec<u8>) -> Self {
        Self::listen(&[b"h2"], move |socket, requests| {
            let frames = frames.clone();
            async move {
                requests.fetch_add(1, Ordering::Relaxed);
                answer_raw(socket, &frames).await;
            }
        })
        .await
    }

    /// Sends `answer` over HTTP/1.1 after a request's head, then closes the connection; without
    /// TLS's close notification unless `orderly`.
    pub(crate) async fn http1(answer: Vec<u8>, orderly: bool) -> Self {
        Self::listen(&[b"http/1.1"], move |mut socket, requests| {
            let answer = answer.clone();
            async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(socket.read_u8().await.unwrap());
                }
                requests.fetch_add(1, Ordering::Relaxed);
                socket.write_all(&answer).await.unwrap();
                socket.flush().await.unwrap();
                if orderly {
                    socket.shutdown().await.unwrap();
                }
            }
        })
        .await
    }

    /// Offers HTTP/2 and answers the first request with `frames`. Over HTTP/1.1, it answers with
    /// the number of bytes of the request's body. Counts the requests over HTTP/2.
    pub(crate) async fn requiring_http1(frames: Vec<u8>) -> Self {
        Self::listen(&[b"h2", b"http/1.1"], move |mut socket, requests| {
            let frames = frames.clone();
            async move {
                if socket.get_ref().1.alpn_protocol() == Some(b"h2") {
                    requests.fetch_add(1, Ordering::Relaxed);
                    return answer_raw(socket, &frames).await;
                }
                let service = service_fn(|request: Request<hyper::body::Incoming>| async move {
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(
                        body.len().to_string(),
                    ))))
                });
                let server = hyper::server::conn::http1::Builder::new();
                // The client may disconnect at any time.
                drop(server.serve_connection(TokioIo::new(&mut socket), service).await);
            }
        })
        .await
    }

    async fn listen<F, R>(alpn: &[&[u8]], serve: F) -> Self
    where
        F: Fn(TlsStream<TcpStream>, Arc<AtomicUsize>) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let made = rcgen::generate_simple_self_signed([String::from("localhost")]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let certificate = made.cert.der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        let requests = Arc::new(AtomicUsize::new(0));
        let connections = Arc::new(AtomicUsize::new(0));
        let (seen, accepted) = (Arc::clone(&requests), Arc::clone(&connections));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                if let Ok(socket) = acceptor.accept(socket).await {
                    tokio::spawn(serve(socket, Arc::clone(&seen)));
                }
            }
        });
        Self { url, requests, connections, client }
    }

    /// A fetcher that trusts this server.
    pub(crate) fn fetcher(&self) -> HyperFetcher {
        self.builder().build().unwrap()
    }

    /// A builder of such a fetcher.
    pub(crate) fn builder(&self) -> HyperFetcherBuilder {
        HyperFetcher::builder().tls(self.client.clone())
    }
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// The wire format of a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Sends `frames` after the first request's head, then waits until the client disconnects.
async fn answer_raw(mut socket: TlsStream<TcpStream>, frames: &[u8]) {
    socket.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    let mut seen = vec![0; PREFACE];
    socket.read_exact(&mut seen).await.unwrap();
    while read_frame(&mut socket).await != Some(HEADERS) {}
    socket.write_all(frames).await.unwrap();
    while read_frame(&mut socket).await.is_some() {}
}

/// The next frame's type, or `None` at the end.
async fn read_frame(socket: &mut TlsStream<TcpStream>) -> Option<u8> {
    let mut header = [0; FRAME_HEADER];
    socket.read_exact(&mut header).await.ok()?;
    let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
    let mut payload = vec![0; length as usize];
    socket.read_exact(&mut payload).await.ok()?;
    Some(header[3])
}

/// Reads a whole request body and returns its length.
pub(crate) async fn read_all(mut body: RecvStream) -> usize {
    let mut length = 0;
    while let Some(Ok(bytes)) = poll_fn(|context| body.poll_data(context)).await {
        length += bytes.len();
        body.flow_control().release_capacity(bytes.len()).unwrap();
    }
    length
}
