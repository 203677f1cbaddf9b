//! Uploads by the default fetcher: their memory is bounded, and they are never sent twice.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

mod common;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bgfetch_model::attempt::FaultKind;
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_net::fetcher::{BodySource, FetchRequest, Fetcher};
use bgfetch_net::hyper::HyperFetcher;
use bytes::Bytes;
use common::http2::{GOAWAY, Http2, frame, read_all};
use common::requests::{Stored, body, error, fetcher, get, post};
use common::{Ending, Origin, scripted};
use futures_util::stream::{self, BoxStream, StreamExt};
use h2::Reason;
use http::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// A body that takes no memory, and counts how much of it was read.
struct Endless {
    length: u64,
    read: Arc<AtomicU64>,
}

const CHUNK: usize = 64 << 10;

impl BodySource for Endless {
    fn length(&self) -> u64 {
        self.length
    }

    fn open(&self) -> BoxStream<'static, io::Result<Bytes>> {
        static ZEROS: [u8; CHUNK] = [0; CHUNK];
        let read = Arc::clone(&self.read);
        stream::iter(0..self.length / CHUNK as u64)
            .map(move |_| {
                read.fetch_add(CHUNK as u64, Ordering::Relaxed);
                Ok(Bytes::from_static(&ZEROS))
            })
            .boxed()
    }
}

/// Waits until nothing more is read.
async fn at_rest(read: &AtomicU64) -> u64 {
    loop {
        let before = read.load(Ordering::Relaxed);
        for _ in 0..2000 {
            tokio::task::yield_now().await;
        }
        if read.load(Ordering::Relaxed) == before && before > 0 {
            return before;
        }
    }
}

/// More than all buffers between the two ends hold; sockets take a few MiB each.
const AHEAD: u64 = 24 << 20;
const LENGTH: u64 = 96 << 20;

async fn reads_no_further_than_the_server(
    fetcher: HyperFetcher,
    url: &str,
    go_on: oneshot::Sender<()>,
) {
    let read = Arc::new(AtomicU64::new(0));
    let request = post(url, Arc::new(Endless { length: LENGTH, read: Arc::clone(&read) }));
    let fetch = tokio::spawn(fetcher.fetch(request));
    let ahead = at_rest(&read).await;
    assert!(ahead < AHEAD, "{ahead} bytes were read of which the server took none");
    go_on.send(()).unwrap();
    let response = fetch.await.unwrap().unwrap();
    assert_eq!(body(response).await.unwrap(), LENGTH.to_string());
}

#[tokio::test]
async fn a_body_is_read_no_faster_than_it_goes_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (go_on, wait) = oneshot::channel();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut left = LENGTH - read_head(&mut socket).await.unwrap();
        wait.await.unwrap();
        let mut buffer = vec![0; 256 << 10];
        while left > 0 {
            left -= socket.read(&mut buffer).await.unwrap() as u64;
        }
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{LENGTH}");
        socket.write_all(answer.as_bytes()).await.unwrap();
    });
    reads_no_further_than_the_server(fetcher(), &url, go_on).await;

    let (go_on, wait) = oneshot::channel();
    let wait = Arc::new(parking_lot::Mutex::new(Some(wait)));
    let server = Http2::start(move |request, mut respond| {
        let wait = wait.lock().take().unwrap();
        async move {
            wait.await.unwrap();
            let length = read_all(request.into_body()).await;
            let mut send = respond.send_response(Response::new(()), false).unwrap();
            send.send_data(length.to_string().into(), true).unwrap();
        }
    })
    .await;
    reads_no_further_than_the_server(server.fetcher(), &server.url, go_on).await;
}

/// Reads a request's head, and returns how much of its body was read with it.
async fn read_head(socket: &mut TcpStream) -> Option<u64> {
    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
    loop {
        let length = socket.read(&mut buffer).await.ok().filter(|&length| length > 0)?;
        head.extend_from_slice(&buffer[..length]);
        if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            return Some((head.len() - end - 4) as u64);
        }
    }
}

/// Answers each request on any connection with this; an empty answer closes the connection. Returns
/// the URL and the number of requests.
async fn keep_alive(answers: &'static [&'static str]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                while read_head(&mut socket).await.is_some() {
                    let nth = seen.fetch_add(1, Ordering::Relaxed);
                    let answer = answers[nth.min(answers.len() - 1)];
                    if answer.is_empty() || socket.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, requests)
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn a_body_is_not_sent_again_when_the_connection_ends() {
    let part: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart";
    for (answer, ending) in [
        (&b""[..], Ending::Close),
        (b"", Ending::Reset),
        (b"HTTP/1.1 200 OK\r\nContent-", Ending::Close),
        (part, Ending::Close),
        (part, Ending::Reset),
    ] {
        let (address, requests) = scripted(answer, ending).await;
        let request = post(&format!("http://{address}/"), Stored::pattern(10));
        let failed = match fetcher().fetch(request).await {
            Ok(response) => body(response).await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!((failed.kind(), failed.sent()), (FaultKind::Interrupted, true), "{failed}");
        assert_eq!(requests.load(Ordering::Relaxed), 1);
    }
    // In the middle of the request's body.
    let (address, requests) = scripted(b"", Ending::Reset).await;
    let failed =
        error(&fetcher(), post(&format!("http://{address}/"), Stored::pattern(50_000_000))).await;
    assert_eq!((failed.kind(), failed.sent()), (FaultKind::Interrupted, true), "{failed}");
    assert_eq!(requests.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_kept_connection_that_ends_under_a_request_does_not_send_it_again() {
    for method in ["POST", "GET"] {
        let (url, requests) = keep_alive(&[OK, "", OK]).await;
        let fetcher = fetcher();
        let first = fetcher.fetch(get(&url)).await.unwrap();
        assert_eq!(body(first).await.unwrap(), "ok");
        let request = match method {
            "POST" => post(&url, Stored::pattern(10)),
            _ => get(&url),
        };
        let failed = error(&fetcher, request).await;
        assert_eq!((failed.kind(), failed.sent()), (FaultKind::Interrupted, true), "{failed}");
        assert_eq!(requests.load(Ordering::Relaxed), 2, "{method}");
    }
}

#[tokio::test]
async fn an_answer_that_asks_for_a_repeat_is_an_answer() {
    for (status, answer) in [
        (408, "HTTP/1.1 408 Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        (421, "HTTP/1.1 421 Misdirected\r\nContent-Length: 0\r\n\r\n"),
        (503, "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"),
    ] {
        let answers = vec![OK, answer, OK].leak();
        let (url, requests) = keep_alive(answers).await;
        let fetcher = fetcher();
        assert_eq!(body(fetcher.fetch(get(&url)).await.unwrap()).await.unwrap(), "ok");
        let response = fetcher.fetch(post(&url, Stored::pattern(10))).await.unwrap();
        assert_eq!(response.head.status, status);
        assert_eq!(requests.load(Ordering::Relaxed), 2, "{status}");

        let server = Http2::start(move |request, mut respond| async move {
            read_all(request.into_body()).await;
            let head = Response::builder().status(status).body(()).unwrap();
            respond.send_response(head, true).unwrap();
        })
        .await;
        let response = server.fetcher().fetch(post(&server.url, Stored::pattern(10))).await;
        assert_eq!(response.unwrap().head.status, status);
        assert_eq!(server.requests.load(Ordering::Relaxed), 1, "{status}");
    }
}

#[tokio::test]
async fn an_http2_stream_that_ends_may_have_been_acted_on_unless_the_server_says_otherwise() {
    for reason in [Reason::REFUSED_STREAM, Reason::CANCEL, Reason::INTERNAL_ERROR] {
        for reads in [true, false] {
            let server = Http2::start(move |request, mut respond| async move {
                if reads {
                    read_all(request.into_body()).await;
                }
                respond.send_reset(reason);
            })
            .await;
            let fetcher = server.fetcher();
            let failed = error(&fetcher, post(&server.url, Stored::pattern(1_000_000))).await;
            let how = (failed.kind(), failed.sent());
            let sent = reason != Reason::REFUSED_STREAM;
            assert_eq!(how, (FaultKind::Interrupted, sent), "{reason:?}: {failed}");
            assert_eq!(server.requests.load(Ordering::Relaxed), 1, "{reason:?}");
        }
    }
    // The server says that it did not process the request.
    for code in [0u8, 0xB] {
        let server = Http2::raw(frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, code])).await;
        let failed = error(&server.fetcher(), post(&server.url, Stored::pattern(10))).await;
        assert_eq!((failed.kind(), failed.sent()), (FaultKind::Interrupted, false), "{failed}");
        assert_eq!(server.requests.load(Ordering::Relaxed), 1, "{code}");
    }
}

fn redirect(origin: &Origin, status: u16, location: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("status", &status.to_string())
        .append_pair("location", location)
        .finish();
    origin.url(&format!("/to?{query}"))
}

#[tokio::test]
async fn redirects_send_the_body_again_by_their_status_to_any_origin() {
    let (plain, other) = (Origin::http().await, Origin::http().await);
    let h2 = Origin::https(&[b"h2"]).await;
    let over_h2 = || HyperFetcher::builder().tls(h2.client()).build().unwrap();
    for (from, fetcher) in [(&plain, fetcher()), (&h2, over_h2())] {
        for (status, again) in [(301, false), (302, false), (303, false), (307, true), (308, true)]
        {
            for to in [from, &other] {
                let stored = Stored::pattern(100_000);
                let path = if again { "/upload" } else { "/headers" };
                let request = post(&redirect(from, status, &to.url(path)), stored.clone());
                let uploaded = request.uploaded.clone();
                let seen = body(fetcher.fetch(request).await.unwrap()).await.unwrap();
                let seen = String::from_utf8(seen.into()).unwrap();
                let expected = if again { "true 100000" } else { "method: GET\n" };
                assert!(seen.starts_with(expected), "{status}: {seen}");
                assert_eq!(stored.opened.load(Ordering::Relaxed), 1 + usize::from(again));
                assert_eq!(uploaded.get(), 100_000);
            }
        }
    }
}

/// A simple upload by a page, which needs no preflight.
fn page_post(page: &str, url: &str) -> FetchRequest {
    let mut fetch = post(url, Stored::pattern(100_000));
    let page = PolicySnapshot::of(&page.parse().unwrap());
    fetch.principal = Arc::new(Principal::Page(page));
    fetch
}

#[tokio::test]
async fn a_redirect_to_another_origin_hides_the_progress_there() {
    // The first hop reads nothing of the body, the second reads all of it and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let elsewhere = format!("http://{}/", listener.local_addr().unwrap());
    let moved = format!("HTTP/1.1 307 Moved\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n");
    let (own, _) = scripted(moved.into_bytes().leak(), Ending::Hold).await;
    let page = format!("http://{own}/app");
    let request = page_post(&page, &format!("http://{own}/"));
    let uploaded = request.uploaded.clone();
    let fetcher = fetcher();
    let fetch = tokio::spawn(fetcher.fetch(request));
    let (mut socket, _) = listener.accept().await.unwrap();
    assert!(read_head(&mut socket).await.is_some());
    // Progress beyond that of the first hop is counted but not shown.
    let before = uploaded.shown();
    uploaded.advance_to(1 << 40);
    assert_eq!((uploaded.get(), uploaded.shown()), (1 << 40, before));
    fetch.abort();
}
