//! Servers that violate HTTP in ways that browsers tolerate.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_compression::tokio::write::GzipEncoder;
use bgfetch_model::attempt::FaultKind;
use bgfetch_model::ip_address_space::IpAddressSpace;
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_net::fetcher::{FetchRequest, Fetcher};
use bgfetch_net::hyper::HyperFetcher;
use common::http2::{DATA, END_HEADERS, GOAWAY, HEADERS, Http2, RST_STREAM, frame};
use common::requests::{Stored, body, error, fetcher, get, post};
use common::{Ending, scripted};
use http::{Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A server that answers with these headers and `hello`. Returns its URL and the number of
/// requests.
async fn answering(headers: &str) -> (String, Arc<AtomicUsize>) {
    let answer = format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\nhello").into_bytes();
    let (address, requests) = scripted(answer.leak(), Ending::Close).await;
    (format!("http://{address}/"), requests)
}

async fn text(fetcher: &HyperFetcher, request: FetchRequest) -> String {
    let response = fetcher.fetch(request).await.unwrap();
    String::from_utf8(body(response).await.unwrap().into()).unwrap()
}

#[tokio::test]
async fn a_head_that_browsers_read_is_asked_for_once_more_and_read() {
    for line in [
        "X-A : true",
        "X: a\r\n  b",
        "PHP Warning: PHP Startup: no",
        "garbage line here",
        "X\u{1}Y: z",
        ": nameless",
        "X-Content-Length : 3",
    ] {
        let (url, requests) = answering(&format!("{line}\r\nContent-Length: 5")).await;
        let response = fetcher().fetch(get(&url)).await.unwrap();
        assert_eq!(response.head.headers.get("content-length").as_deref(), Some("5"), "{line}");
        assert_eq!(body(response).await.unwrap(), "hello", "{line}");
        assert_eq!(requests.load(Ordering::Relaxed), 2, "{line}");

        let (url, requests) = answering(&format!("{line}\r\nContent-Length: 5")).await;
        let failed = error(&fetcher(), post(&url, Stored::pattern(3))).await;
        assert_eq!((failed.kind(), failed.sent()), (FaultKind::Protocol, true), "{line}");
        assert_eq!(requests.load(Ordering::Relaxed), 1, "an upload is not sent twice: {line}");
    }
}

#[tokio::test]
async fn a_connection_that_was_read_tolerantly_serves_no_other_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    // How many requests each connection had carried when the client closed it.
    let (closed, mut connections) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let closed = closed.clone();
            tokio::spawn(async move {
                let (mut requests, mut seen) = (0, Vec::new());
                while let Ok(byte) = socket.read_u8().await {
                    seen.push(byte);
                    if seen.ends_with(b"\r\n\r\n") {
                        requests += 1;
                        let answer =
                            b"HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length: 5\r\n\r\nhello";
                        socket.write_all(answer).await.unwrap();
                    }
                }
                closed.send(requests).unwrap();
            });
        }
    });
    let fetcher = fetcher();
    for _ in 0..2 {
        assert_eq!(text(&fetcher, get(&url)).await, "hello");
    }
    for _ in 0..4 {
        assert_eq!(connections.recv().await, Some(1));
    }
}

#[tokio::test]
async fn nobody_guesses_where_a_response_ends() {
    for lines in [
        "Content-Length : 5",
        "Content-Length: 5\r\n ",
        "Content-Length:\r\n 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +5",
        "Content-Length: five",
        "Content-Length: 5\u{1}",
        "X: a\r\n Content-Length: 5",
        "Content-Length",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: chunked\r\n , gzip",
    ] {
        let (url, _) = answering(&format!("garbage line here\r\n{lines}")).await;
        let failed = error(&fetcher(), get(&url)).await;
        assert_eq!(failed.kind(), FaultKind::Protocol, "{lines}: {failed}");
    }
}

#[tokio::test]
async fn a_host_that_requires_http1_gets_it_and_is_remembered() {
    let reset = frame(RST_STREAM, 0, 1, &[0, 0, 0, 13]);
    let goaway = frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 13]);
    for refusal in [reset, goaway] {
        let server = Http2::requiring_http1(refusal).await;
        let fetcher = server.fetcher();
        assert_eq!(text(&fetcher, post(&server.url, Stored::pattern(1000))).await, "1000");
        for _ in 0..3 {
            assert_eq!(text(&fetcher, get(&server.url)).await, "0");
        }
        assert_eq!(server.requests.load(Ordering::Relaxed), 1);
        fetcher.network_changed();
        assert_eq!(text(&fetcher, get(&server.url)).await, "0");
        assert_eq!(server.requests.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test]
async fn a_host_that_requires_http1_in_the_middle_of_a_body_gets_it_for_the_rest() {
    const STATUS_200: u8 = 0x88;
    let part = [frame(HEADERS, END_HEADERS, 1, &[STATUS_200]), frame(DATA, 0, 1, b"part")].concat();
    let reset = frame(RST_STREAM, 0, 1, &[0, 0, 0, 13]);
    let goaway = frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 13]);
    for refusal in [reset, goaway] {
        let server = Http2::requiring_http1([&part[..], &refusal].concat()).await;
        let fetcher = server.fetcher();
        let response = fetcher.fetch(get(&server.url)).await.unwrap();
        let end = body(response).await;
        assert!(end.is_err_and(|error| error.kind() == FaultKind::Interrupted));
        assert_eq!(text(&fetcher, get(&server.url)).await, "0");
        assert_eq!(server.requests.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn a_misdirected_request_is_sent_once_more_by_a_fresh_connection() {
    for misdirected in [1, usize::MAX] {
        let came = Arc::new(AtomicUsize::new(0));
        let server = Http2::start(move |_, mut respond| {
            let fails = came.fetch_add(1, Ordering::Relaxed) < misdirected;
            let status = if fails { StatusCode::MISDIRECTED_REQUEST } else { StatusCode::OK };
            async move {
                let head = Response::builder().status(status).body(()).unwrap();
                respond.send_response(head, true).unwrap();
            }
        })
        .await;
        let response = server.fetcher().fetch(get(&server.url)).await.unwrap();
        let status = if misdirected == 1 { 200 } else { 421 };
        assert_eq!(response.head.status, status);
        assert_eq!(server.requests.load(Ordering::Relaxed), 2);
        assert_eq!(server.connections.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test]
async fn what_needs_approval_is_asked_for_once() {
    let mut page = PolicySnapshot::of(&"http://page.test/".parse().unwrap());
    page.policy_container.ip_address_space = Some(IpAddressSpace::Loopback);
    let page = Arc::new(Principal::Page(page));
    let heads: [(&'static [u8], FaultKind); 2] = [
        (b"HTTP/1.1 200 OK\r\ngarbage line here\r\n\r\n", FaultKind::Protocol),
        (b"HTTP/1.1 421 No\r\nContent-Length: 0\r\n\r\n", FaultKind::Blocked),
    ];
    for (head, kind) in heads {
        let (address, requests) = scripted(head, Ending::Close).await;
        let url = format!("http://{address}/");
        let request = get(&url).with(|it| it.principal = Arc::clone(&page));
        assert_eq!(error(&fetcher(), request).await.kind(), kind);
        assert_eq!(requests.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn a_coding_that_is_the_file_s_own_format_stays_for_the_user_alone() {
    let mut encoder = GzipEncoder::new(Vec::new());
    encoder.write_all(b"inside").await.unwrap();
    encoder.shutdown().await.unwrap();
    let coded = encoder.into_inner();
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: x-gzip\r\nContent-Length: {}\r\n\r\n",
        coded.len()
    )
    .into_bytes();
    answer.extend(&coded);
    let (address, _) = scripted(answer.leak(), Ending::Close).await;
    for (name, from_page, kept) in
        [("x.tar.gz", false, true), ("x.tar", false, false), ("x.tar.gz", true, false)]
    {
        let mut request = get(&format!("http://{address}/{name}"));
        if from_page {
            let page = PolicySnapshot::of(&request.request.url);
            request.principal = Arc::new(Principal::Page(page));
        }
        let response = fetcher().fetch(request).await.unwrap();
        assert_eq!(response.head.is_content_coded(), !kept, "{name}");
        let expected = if kept { &coded[..] } else { b"inside" };
        assert_eq!(body(response).await.unwrap(), expected, "{name}");
    }
}

#[tokio::test]
async fn a_cookie_that_redirects_ask_for_is_named_where_none_are_kept() {
    let (address, _) = scripted(
        b"HTTP/1.1 302 Found\r\nLocation: /\r\nSet-Cookie: early=1; Path=/\r\nContent-Length: 0\r\n\r\n",
        Ending::Close,
    )
    .await;
    let url = format!("http://{address}/");
    let failed = error(&fetcher(), get(&url)).await;
    assert_eq!(failed.kind(), FaultKind::Blocked);
    assert!(failed.to_string().contains("the cookie early"), "{failed}");
    let jar = bgfetch_net::fetch::cookie_jar::CookieJar::new();
    let keeping = HyperFetcher::builder().cookies(jar).build().unwrap();
    let failed = error(&keeping, get(&url)).await;
    assert!(!failed.to_string().contains("cookie"), "{failed}");
}
