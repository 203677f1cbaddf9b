//! Origins that stop, restart and end; HTTP/2 and TLS.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use crate::raw::{get, read_to_end, send};
use bgfetch_testkit::{Ending, Frames, Gate, MIB, Origin, Reply, Resource, Serve};
use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

#[test]
fn a_stopped_origin_refuses_and_comes_back_on_its_port() {
    let origin = Origin::start();
    origin.serve("/a", Reply::status(503).then(Resource::new(1, 3)));
    assert_eq!(get(origin.address(), "/a", &[]).status(), 503);
    for _ in 0..3 {
        origin.stop();
        let refused = TcpStream::connect(origin.address()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        origin.start_again();
        assert_eq!(get(origin.address(), "/a", &[]).status(), 200);
    }
    assert_eq!(origin.requests().len(), 4);
}

#[test]
fn stopping_ends_what_is_under_way() {
    let origin = Origin::start();
    origin.serve("/a", Resource::new(1, MIB).stall_after(10));
    let socket = send(origin.address(), "GET /a", &[]);
    origin.blocking_wait_until(|log| log.iter().any(|request| request.sent == 10));
    origin.stop();
    assert_eq!(read_to_end(socket).body.len(), 10);
    assert_eq!(origin.open_connections(), 0);
    assert_eq!(origin.requests()[0].ended, Some(Ending::Abandoned));
}

#[test]
fn a_dropped_origin_leaves_nothing() {
    let gate = Gate::new();
    let origin = Origin::start();
    origin.serve("/a", Reply::status(200).hold_head(&gate));
    let address = origin.address();
    let mut held = send(address, "GET /a", &[]);
    let idle = TcpStream::connect(address).unwrap();
    gate.blocking_reached();
    drop(origin);

    assert_eq!(held.read(&mut [0; 1]).unwrap_or(0), 0);
    drop(idle);
    let refused = TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test(start_paused = true)]
async fn tests_in_paused_time_can_wait_for_real_sockets() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.serve("/a", Resource::new(1, 10).hold_at(5, &gate));
    let begun = tokio::time::Instant::now();
    let client = std::thread::spawn({
        let address = origin.address();
        move || get(address, "/a", &[])
    });
    // A timer that would fire at once if time advanced during the wait.
    let stalled = tokio::spawn(tokio::time::sleep(Duration::from_secs(1)));

    assert_eq!(origin.wait_for_requests(1).await[0].path, "/a");
    gate.reached().await;
    gate.open();
    origin.wait_until(|log| log[0].ended == Some(Ending::Complete)).await;
    origin.wait_for_connections(0).await;
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert!(!stalled.is_finished());
    assert_eq!(client.join().unwrap().body.len(), 10);
}

/// A client that trusts the origin's certificate, or none, and speaks one protocol.
fn tls(origin: Option<&Origin>, protocol: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(origin.map(|origin| origin.certificates().root_der()));
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.into()];
    TlsConnector::from(Arc::new(config))
}

async fn http2<S>(stream: S) -> SendRequest<Empty<Bytes>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(
    sender: &mut SendRequest<Empty<Bytes>>,
    origin: &Origin,
    path: &str,
) -> Response<Incoming> {
    let request = Request::get(origin.url(path).as_str()).body(Empty::new()).unwrap();
    sender.send_request(request).await.unwrap()
}

#[tokio::test]
async fn http2_is_spoken_over_tls_with_the_given_root() {
    let origin = Origin::start_tls();
    let resource = Resource::new(1, MIB);
    origin.serve("/a", resource.clone());

    let connector = tls(Some(&origin), "h2");
    for name in ["127.0.0.1", "localhost"] {
        let tcp = tokio::net::TcpStream::connect(origin.address()).await.unwrap();
        let tls = connector.connect(name.try_into().unwrap(), tcp).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let response = ask(&mut http2(tls).await, &origin, "/a").await;
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, resource.bytes());
    }
    let log = origin.requests();
    assert_eq!(log[0].version, Version::HTTP_2);
    assert_ne!(log[0].connection, log[1].connection);
    assert!(origin.url("/a").as_str().starts_with("https://127.0.0.1:"));
    assert!(origin.certificates().root_pem().contains("BEGIN CERTIFICATE"));
}

#[tokio::test]
async fn whoever_trusts_an_origin_trusts_one_that_is_like_it() {
    let first = Origin::start_tls();
    let second = Origin::start_tls_like(&first);
    second.serve("/a", Resource::new(1, 10));
    assert_ne!(first.address(), second.address());
    let tcp = tokio::net::TcpStream::connect(second.address()).await.unwrap();
    let stream = tls(Some(&first), "h2").connect("127.0.0.1".try_into().unwrap(), tcp).await;
    let response = ask(&mut http2(stream.unwrap()).await, &second, "/a").await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_client_without_the_root_gets_no_further_than_the_handshake() {
    let origin = Origin::start_tls();
    let tcp = tokio::net::TcpStream::connect(origin.address()).await.unwrap();
    let connected = tls(None, "h2").connect("127.0.0.1".try_into().unwrap(), tcp).await;
    assert!(connected.is_err());
    origin.wait_for_connections(0).await;
    assert!(origin.requests().is_empty());
}

#[tokio::test]
async fn a_cut_of_tls_is_exact_and_a_truncation() {
    let origin = Origin::start_tls();
    let resource = Resource::new(1, MIB);
    origin.serve("/a", resource.clone().cut_after(100_000));
    let tcp = tokio::net::TcpStream::connect(origin.address()).await.unwrap();
    let mut stream =
        tls(Some(&origin), "http/1.1").connect("127.0.0.1".try_into().unwrap(), tcp).await.unwrap();
    stream.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut received = Vec::new();
    let truncated = stream.read_to_end(&mut received).await.unwrap_err();
    assert_eq!(truncated.kind(), ErrorKind::UnexpectedEof);
    let head = received.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(received.len() - head, 100_000);
    resource.verify(0, &received[head..]).unwrap();
}

#[tokio::test]
async fn faults_work_on_streams_of_one_http2_connection() {
    let gate = Gate::new();
    let whole = Resource::new(1, MIB);
    let cut = Resource::new(2, MIB);
    let origin = Origin::start();
    origin.serve("/held", whole.clone().hold_at(500_000, &gate));
    origin.serve("/small", Resource::new(3, 10));
    origin.serve("/cut", cut.clone().cut_after(100_000));
    let tcp = tokio::net::TcpStream::connect(origin.address()).await.unwrap();
    let mut sender = http2(tcp).await;

    let held = ask(&mut sender, &origin, "/held").await;
    let held = tokio::spawn(held.into_body().collect());
    gate.reached().await;
    let small = ask(&mut sender, &origin, "/small").await;
    let small = small.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(small, Resource::new(3, 10).bytes());
    gate.open();
    let held = held.await.unwrap().unwrap().to_bytes();
    assert_eq!(held, whole.bytes());

    let mut body = ask(&mut sender, &origin, "/cut").await.into_body();
    let mut received = Vec::new();
    let error = loop {
        match body.frame().await.expect("an end without an error") {
            Ok(frame) => received.extend_from_slice(frame.data_ref().unwrap()),
            Err(error) => break error,
        }
    };
    assert!(received.len() <= 100_000, "{error}");
    cut.verify(0, &received).unwrap();
    assert!(origin.requests().iter().all(|request| request.connection == 0));
}

#[tokio::test]
async fn an_http2_connection_can_be_cut_while_it_is_idle() {
    let gate = Gate::new();
    let resource = Resource::new(1, MIB);
    let origin = Origin::start();
    origin.serve("/a", resource.clone().hold_at(1000, &gate).cut_after(1000));
    let tcp = tokio::net::TcpStream::connect(origin.address()).await.unwrap();
    let mut body = ask(&mut http2(tcp).await, &origin, "/a").await.into_body();
    let mut received = Vec::new();
    while received.len() < 1000 {
        let frame = body.frame().await.unwrap().unwrap();
        received.extend_from_slice(frame.data_ref().unwrap());
    }
    gate.reached().await;
    gate.open();
    origin.wait_for_connections(0).await;
    assert!(body.frame().await.unwrap().is_err());
    assert_eq!(received, resource.slice(0..1000));
}

#[tokio::test]
async fn raw_frames_answer_each_stream_of_a_connection() {
    let origin = Origin::start();
    let resource = Resource::new(1, 40_000);
    let head = || Frames::new().head(206, &[("x", "1")]).data(&resource.bytes());
    let cancelled = Frames::new().reset(8);
    origin.serve(
        "/a",
        Reply::frames(head().end()).then(Reply::frames(head().reset(2))).then(resource.clone()),
    );
    origin.serve("/cancelled", Reply::frames(cancelled));
    let tcp = tokio::net::TcpStream::connect(origin.address()).await.unwrap();
    let mut sender = http2(tcp).await;
    for ends in [true, false] {
        let response = ask(&mut sender, &origin, "/a").await;
        assert_eq!(response.status(), 206);
        assert_eq!(response.headers()["x"], "1");
        let mut body = response.into_body();
        let mut received = Vec::new();
        let end = loop {
            match body.frame().await {
                Some(Ok(frame)) => received.extend_from_slice(frame.data_ref().unwrap()),
                end => break end.is_none(),
            }
        };
        assert_eq!((received, end), (resource.bytes(), ends));
    }
    let request = Request::get(origin.url("/cancelled").as_str()).body(Empty::new()).unwrap();
    assert!(sender.send_request(request).await.is_err());
    let whole = ask(&mut sender, &origin, "/a").await.into_body().collect().await.unwrap();
    assert_eq!(whole.to_bytes(), resource.bytes());
    assert!(origin.requests().iter().all(|request| request.connection == 0));
}
