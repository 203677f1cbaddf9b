//! The default fetcher against real servers on loopback.
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
use std::sync::atomic::Ordering;
use std::time::Duration;

use bgfetch_model::attempt::FaultKind;
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_model::request::RedirectMode;
use bgfetch_model::response::ResponseType;
use bgfetch_net::fetcher::{BodySource, FetchError, FetchRequest, Fetcher};
use bgfetch_net::hyper::{HyperFetcher, Resolve};
use bytes::Bytes;
use common::requests::{Stored, body, error, fetcher, get, post, resume, with};
use common::{Ending, Origin, pattern, scripted};
use futures_util::future::{BoxFuture, join_all, pending};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn trusting(origin: &Origin) -> HyperFetcher {
    HyperFetcher::builder().tls(origin.client()).build().unwrap()
}

async fn text(fetcher: &HyperFetcher, request: FetchRequest) -> String {
    let response = fetcher.fetch(request).await.unwrap();
    String::from_utf8(body(response).await.unwrap().into()).unwrap()
}

/// Fetches, and returns the error of the body.
async fn body_error(url: &str) -> FetchError {
    let response = fetcher().fetch(get(url)).await.unwrap();
    body(response).await.expect_err("the body was complete")
}

fn redirect(origin: &Origin, status: u16, location: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("status", &status.to_string())
        .append_pair("location", location)
        .finish();
    origin.url(&format!("/to?{query}"))
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request_until_the_network_changes() {
    let origin = Origin::http().await;
    let fetcher = fetcher();
    for _ in 0..3 {
        let response = fetcher.fetch(get(&origin.url("/bytes/100000"))).await.unwrap();
        assert!(!response.multiplexed);
        assert_eq!(response.head.status, 200);
        assert_eq!(response.head.headers.get("Content-Length").unwrap(), "100000");
        assert_eq!(response.head.response_type, ResponseType::Default);
        assert_eq!(body(response).await.unwrap(), pattern(100_000));
        // The connection returns to the pool in separate tasks, which are ready to run.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(origin.connections.load(Ordering::Relaxed), 1);
    fetcher.network_changed();
    text(&fetcher, get(&origin.url("/headers"))).await;
    assert_eq!(origin.connections.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn http2_carries_many_requests_on_one_connection() {
    let origin = Origin::https(&[b"h2", b"http/1.1"]).await;
    let fetcher = trusting(&origin);
    let url = origin.url("/bytes/300000");
    let first = fetcher.fetch(get(&url)).await.unwrap();
    assert!(first.multiplexed);
    let others = join_all((0..20).map(|_| fetcher.fetch(get(&url)))).await;
    for response in others.into_iter().map(Result::unwrap).chain([first]) {
        assert!(response.multiplexed);
        assert_eq!(body(response).await.unwrap(), pattern(300_000));
    }
    assert_eq!(origin.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn https_without_alpn_is_http1() {
    let origin = Origin::https(&[]).await;
    let response = trusting(&origin).fetch(get(&origin.url("/bytes/9"))).await.unwrap();
    assert!(!response.multiplexed);
    assert_eq!(body(response).await.unwrap(), pattern(9));
}

#[tokio::test]
async fn codings_are_undone_and_their_header_stays() {
    let origin = Origin::http().await;
    let fetcher = fetcher();
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let url = origin.url(&format!("/coded/{coding}"));
        let response = fetcher.fetch(get(&url)).await.unwrap();
        assert!(response.head.is_content_coded());
        assert_eq!(body(response).await.unwrap(), pattern(100_000), "{coding}");
    }
}

#[tokio::test]
async fn a_resume_asks_for_a_range_of_the_identity() {
    let origin = Origin::http().await;
    let fetcher = fetcher();
    let url = origin.url("/headers");
    let mut request = get(&url);
    request.resume = Some(resume(&url, 1000, "\"v\""));
    let seen = text(&fetcher, request).await;
    for line in ["range: bytes=1000-\n", "if-range: \"v\"\n", "accept-encoding: identity\n"] {
        assert!(seen.contains(line), "{seen}");
    }
    let from_page = || {
        let page = PolicySnapshot::of(&url.parse().unwrap());
        get(&url).with(|it| it.principal = Arc::new(Principal::Page(page)))
    };
    let seen = text(&fetcher, from_page()).await;
    assert!(!seen.contains("range:") && seen.contains("accept-encoding: gzip, deflate, br, zstd"));
    // The user wants the file as it is.
    for request in [from_page().with(|it| it.identity = true), get(&url)] {
        assert!(text(&fetcher, request).await.contains("accept-encoding: identity\n"));
    }
}

#[tokio::test]
async fn redirects_are_followed_and_listed() {
    let (origin, other) = (Origin::http().await, Origin::http().await);
    let last = other.url("/headers");
    let first = redirect(&origin, 302, &redirect(&other, 301, &last));
    let request = with(&format!("{first}#top"), |request| {
        request.headers.append("Authorization", "secret");
    });
    let response = fetcher().fetch(request).await.unwrap();
    assert_eq!(response.head.url_list.len(), 3);
    assert_eq!(response.head.url().unwrap().as_str(), format!("{last}#top"));
    let seen = body(response).await.unwrap();
    assert!(!String::from_utf8_lossy(&seen).contains("secret"));
}

#[tokio::test]
async fn a_redirect_loop_and_bad_targets_fail_for_good() {
    let origin = Origin::http().await;
    let fetcher = fetcher();
    let (address, requests) = scripted(
        b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n",
        Ending::Close,
    )
    .await;
    let looping = error(&fetcher, get(&format!("http://{address}/"))).await;
    assert_eq!(looping.kind(), FaultKind::Blocked);
    assert_eq!(requests.load(Ordering::Relaxed), 21);
    for location in ["ftp://a.test/", "http://127.0.0.1:25/", "http://u:p@127.0.0.1/", "http://"] {
        let failed = error(&fetcher, get(&redirect(&origin, 302, location))).await;
        assert_eq!((failed.kind(), failed.sent()), (FaultKind::Blocked, true), "{location}");
    }
    let refused = error(&fetcher, get("http://127.0.0.1:6667/")).await;
    assert_eq!((refused.kind(), refused.sent()), (FaultKind::Blocked, false));
}

#[tokio::test]
async fn redirect_modes_error_and_manual() {
    let origin = Origin::http().await;
    let fetcher = fetcher();
    let url = redirect(&origin, 302, "/bytes/1");
    let forbidden = with(&url, |request| request.redirect = RedirectMode::Error);
    assert_eq!(error(&fetcher, forbidden).await.kind(), FaultKind::Blocked);
    let manual = with(&url, |request| request.redirect = RedirectMode::Manual);
    let response = fetcher.fetch(manual).await.unwrap();
    assert_eq!(response.head.response_type, ResponseType::OpaqueRedirect);
    assert_eq!((response.head.status, response.head.headers.len()), (0, 0));
    assert_eq!(body(response).await.unwrap(), "");
}

#[tokio::test]
async fn a_large_body_is_uploaded_with_progress() {
    const LENGTH: usize = 3_000_001;
    let plain = Origin::http().await;
    let h2 = Origin::https(&[b"h2"]).await;
    for (origin, fetcher) in [(&plain, fetcher()), (&h2, trusting(&h2))] {
        let request = post(&origin.url("/upload"), Stored::pattern(LENGTH));
        let uploaded = request.uploaded.clone();
        assert_eq!(text(&fetcher, request).await, format!("true {LENGTH}"));
        assert_eq!(uploaded.get(), LENGTH as u64);
    }
    let seen = text(&fetcher(), post(&plain.url("/headers"), Stored::pattern(5))).await;
    assert!(seen.contains("method: POST") && seen.contains("content-length: 5"), "{seen}");
    let empty = with(&plain.url("/headers"), |request| request.method = "POST".into());
    let seen = text(&fetcher(), empty).await;
    assert!(seen.contains("content-length: 0"), "{seen}");
}

#[tokio::test]
async fn a_307_sends_the_body_again_and_counts_it_once() {
    let origin = Origin::http().await;
    let stored = Stored::pattern(200_000);
    let request = post(&redirect(&origin, 307, "/upload"), stored.clone());
    let uploaded = request.uploaded.clone();
    assert_eq!(text(&fetcher(), request).await, "true 200000");
    assert_eq!(stored.opened.load(Ordering::Relaxed), 2);
    assert_eq!(uploaded.get(), 200_000);

    let request = post(&redirect(&origin, 303, "/headers"), stored);
    let seen = text(&fetcher(), request).await;
    assert!(seen.contains("method: GET") && !seen.contains("content-length"), "{seen}");
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_a_storage_fault() {
    struct Broken;
    impl BodySource for Broken {
        fn length(&self) -> u64 {
            1_000_000
        }
        fn open(&self) -> BoxStream<'static, io::Result<Bytes>> {
            let failed = Err(io::Error::other("bad sector"));
            stream::iter([Ok(pattern(1000)), failed]).boxed()
        }
    }
    struct Short;
    impl BodySource for Short {
        fn length(&self) -> u64 {
            1_000_000
        }
        fn open(&self) -> BoxStream<'static, io::Result<Bytes>> {
            stream::iter([Ok(pattern(1000))]).boxed()
        }
    }
    let plain = Origin::http().await;
    let h2 = Origin::https(&[b"h2"]).await;
    for (origin, fetcher) in [(&plain, fetcher()), (&h2, trusting(&h2))] {
        let bodies: [(Arc<dyn BodySource>, &str); 2] =
            [(Arc::new(Broken), "bad sector"), (Arc::new(Short), "too short")];
        for (body, reason) in bodies {
            let failed = error(&fetcher, post(&origin.url("/bytes/1"), body)).await;
            assert_eq!((failed.kind(), failed.sent()), (FaultKind::Storage, true), "{failed}");
            assert!(failed.to_string().contains(reason), "{failed}");
        }
    }
}

#[tokio::test]
async fn cut_and_reset_bodies_are_interrupted() {
    let cut: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this";
    let chunked: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    for (answer, ending) in [(cut, Ending::Close), (cut, Ending::Reset), (chunked, Ending::Close)] {
        let (address, _) = scripted(answer, ending).await;
        let failed = body_error(&format!("http://{address}/")).await;
        assert_eq!((failed.kind(), failed.sent()), (FaultKind::Interrupted, true), "{failed}");
    }
    // No response at all.
    for ending in [Ending::Close, Ending::Reset] {
        let (address, _) = scripted(b"", ending).await;
        let failed = error(&fetcher(), get(&format!("http://{address}/"))).await;
        assert_eq!((failed.kind(), failed.sent()), (FaultKind::Interrupted, true), "{failed}");
    }
}

#[tokio::test]
async fn the_reason_phrase_is_kept_as_it_came() {
    for (answer, phrase) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[..], "OK"),
        (b"HTTP/1.1 200 Not really\tOK\r\nContent-Length: 0\r\n\r\n", "Not really\tOK"),
        (b"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", ""),
        (b"HTTP/1.1 299\r\nContent-Length: 0\r\n\r\n", ""),
        (b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n", "Not Found"),
    ] {
        let (address, _) = scripted(answer, Ending::Close).await;
        let response = fetcher().fetch(get(&format!("http://{address}/"))).await.unwrap();
        assert_eq!(response.head.status_text, phrase);
    }
    let origin = Origin::https(&[b"h2"]).await;
    let response = trusting(&origin).fetch(get(&origin.url("/bytes/1"))).await.unwrap();
    assert_eq!(response.head.status_text, "");
}

#[tokio::test]
async fn what_is_not_http_is_permanent() {
    let (address, _) = scripted(b"SSH-2.0-OpenSSH_9\r\n\r\n", Ending::Close).await;
    let failed = error(&fetcher(), get(&format!("http://{address}/"))).await;
    assert_eq!(failed.kind(), FaultKind::Protocol, "{failed}");
    let bad_gzip = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello";
    let (address, _) = scripted(bad_gzip, Ending::Close).await;
    let failed = body_error(&format!("http://{address}/")).await;
    assert_eq!(failed.kind(), FaultKind::Protocol, "{failed}");
}

#[tokio::test]
async fn a_post_is_never_sent_twice() {
    let (address, requests) = scripted(b"", Ending::Close).await;
    let request = post(&format!("http://{address}/"), Stored::pattern(10));
    let failed = error(&fetcher(), request).await;
    assert_eq!((failed.kind(), failed.sent()), (FaultKind::Interrupted, true));
    assert_eq!(requests.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn who_does_not_listen_is_unreachable_and_nothing_was_sent() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let request = post(&format!("http://{address}/"), Stored::pattern(10));
    let uploaded = request.uploaded.clone();
    let failed = error(&fetcher(), request).await;
    assert_eq!((failed.kind(), failed.sent()), (FaultKind::Unreachable, false), "{failed}");
    let told = failed.to_string();
    assert_eq!(told, "could not connect: the server refused the connection");
    assert_eq!(uploaded.get(), 0);
    // After a redirect, a request was sent, although not to this server.
    let origin = Origin::http().await;
    let url = redirect(&origin, 307, &format!("http://{address}/"));
    let failed = error(&fetcher(), get(&url)).await;
    assert_eq!((failed.kind(), failed.sent()), (FaultKind::Unreachable, true));
}

#[tokio::test]
async fn names_go_through_the_resolver() {
    struct Fake(Option<std::net::IpAddr>);
    impl Resolve for Fake {
        fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<std::net::IpAddr>>> {
            assert_eq!(host, "some.test");
            let found = self.0.ok_or_else(|| io::Error::other("no such host"));
            Box::pin(async move { Ok(vec![found?]) })
        }
    }
    let origin = Origin::http().await;
    let url = format!("http://some.test:{}/headers", origin.address.port());
    let knowing = Fake(Some(origin.address.ip()));
    let knowing = HyperFetcher::builder().resolver(knowing).build().unwrap();
    assert!(text(&knowing, get(&url)).await.contains("host: some.test:"));
    let ignorant = HyperFetcher::builder().resolver(Fake(None)).build().unwrap();
    let failed = error(&ignorant, get(&url)).await;
    assert_eq!((failed.kind(), failed.sent()), (FaultKind::NoRoute, false), "{failed}");
    assert!(failed.to_string().contains("no such host"), "{failed}");
}

#[tokio::test]
async fn a_resolver_s_port_is_taken_where_the_url_names_none() {
    struct Elsewhere(std::net::SocketAddr);
    impl Resolve for Elsewhere {
        fn resolve(&self, _host: &str) -> BoxFuture<'static, io::Result<Vec<std::net::IpAddr>>> {
            let ip = self.0.ip();
            Box::pin(async move { Ok(vec![ip]) })
        }
        fn port(&self, host: &str) -> Option<u16> {
            (host == "some.test").then_some(self.0.port())
        }
    }
    let origin = Origin::http().await;
    let fetcher = HyperFetcher::builder().resolver(Elsewhere(origin.address)).build().unwrap();
    let headers = text(&fetcher, get("http://some.test/headers")).await;
    assert!(headers.contains("host: some.test\n"), "{headers}");
    let url = format!("http://other.test:{}/headers", origin.address.port());
    assert!(text(&fetcher, get(&url)).await.contains("host: other.test:"));
}

#[tokio::test]
async fn a_resolver_s_preamble_comes_before_requests_to_the_port_that_it_names() {
    struct Secret(u16);
    impl Resolve for Secret {
        fn resolve(&self, _host: &str) -> BoxFuture<'static, io::Result<Vec<std::net::IpAddr>>> {
            Box::pin(async { Ok(vec![std::net::Ipv4Addr::LOCALHOST.into()]) })
        }
        fn port(&self, host: &str) -> Option<u16> {
            (host == "some.test").then_some(self.0)
        }
        fn preamble(&self, host: &str) -> Option<Vec<u8>> {
            (host == "some.test").then(|| b"secret ".to_vec())
        }
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let fetcher = HyperFetcher::builder().resolver(Secret(port)).build().unwrap();
    // A server on an explicit port must not learn it.
    for (url, first) in [
        ("http://some.test/x".to_owned(), "secret GET /x "),
        (format!("http://some.test:{port}/x"), "GET /x "),
        (format!("http://other.test:{port}/x"), "GET /x "),
    ] {
        let answer = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut received = vec![0; first.len()];
            stream.read_exact(&mut received).await.unwrap();
            stream
                .write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                .await
                .unwrap();
            String::from_utf8(received).unwrap()
        };
        let (received, fetched) = tokio::join!(answer, fetcher.fetch(get(&url)));
        assert_eq!(received, first, "{url}");
        assert_eq!(fetched.unwrap().head.status, 204);
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_up_has_a_time_limit() {
    struct Never;
    impl Resolve for Never {
        fn resolve(&self, _host: &str) -> BoxFuture<'static, io::Result<Vec<std::net::IpAddr>>> {
            Box::pin(pending())
        }
    }
    let fetcher = HyperFetcher::builder().resolver(Never).build().unwrap();
    let began = tokio::time::Instant::now();
    let failed = error(&fetcher, get("http://a.test/")).await;
    assert_eq!((failed.kind(), failed.sent()), (FaultKind::NoRoute, false), "{failed}");
    assert_eq!(began.elapsed(), Duration::from_secs(30));
}

#[tokio::test]
async fn a_cut_handshake_is_no_fault_of_tls() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let cutter = async {
        let accepted = listener.accept().await;
        drop(accepted);
    };
    let fetcher = fetcher();
    let (failed, ()) = tokio::join!(error(&fetcher, get(&url)), cutter);
    assert_eq!((failed.kind(), failed.sent()), (FaultKind::Interrupted, false), "{failed}");
}

#[tokio::test]
async fn a_dropped_body_closes_the_connection() {
    let (address, requests) =
        scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart", Ending::Hold).await;
    let fetcher = fetcher();
    let url = format!("http://{address}/");
    let mut response = fetcher.fetch(get(&url)).await.unwrap();
    assert_eq!(response.body.try_next().await.unwrap().unwrap(), "part");
    drop(response);
    let response = fetcher.fetch(get(&url)).await.unwrap();
    assert_eq!(response.head.status, 200);
    assert_eq!(requests.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn retry_after_is_read_from_any_response() {
    let (address, _) = scripted(
        b"HTTP/1.1 503 Busy\r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n",
        Ending::Close,
    )
    .await;
    let response = fetcher().fetch(get(&format!("http://{address}/"))).await.unwrap();
    assert_eq!(response.head.status, 503);
    assert_eq!(response.retry_after, Some(Duration::from_secs(17)));
}
