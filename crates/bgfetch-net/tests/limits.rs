//! The default fetcher against hostile servers, over HTTP/1.1 and HTTP/2.
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
use std::time::Duration;

use bgfetch_model::attempt::{AttemptEnd, AttemptEvent, AttemptSpec, FaultKind};
use bgfetch_model::ids::{FetchKey, StorageKey};
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_model::request::Request;
use bgfetch_net::attempt::{BodySink, Timeouts, run};
use bgfetch_net::fetcher::{FetchError, FetchRequest, Fetcher};
use bgfetch_net::hyper::{HyperFetcher, ServerLimits};
use bgfetch_net::partition::Partition;
use bgfetch_net::throttle::Throttle;
use bytes::Bytes;
use common::http2::{
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Http2, SETTINGS, frame, read_all,
};
use common::requests::{Stored, body, error, fetcher, get, post};
use common::{Ending, Origin, pattern, scripted};
use http::{Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

/// The documented defaults.
fn defaults() -> ServerLimits {
    ServerLimits::default().with(|it| {
        it.head_size = 256 << 10;
        it.headers = 256;
        it.informational = 64;
        it.idle_frames = 10_000;
        it.codings = 2;
        it.decoder_memory = 96 << 20;
        it.decoded_ratio = 1000;
        it.decoded_floor = 64 << 20;
    })
}

/// The result of fetching from an HTTP/1.1 server that sends this and closes the connection.
async fn answered(answer: impl Into<Vec<u8>>) -> Result<Bytes, FetchError> {
    let (address, _) = scripted(answer.into().leak(), Ending::Close).await;
    body(fetcher().fetch(get(&format!("http://{address}/"))).await?).await
}

/// The result of fetching from an HTTP/2 server that sends this response with an empty body.
async fn answered_http2(response: Response<()>) -> Result<u16, FetchError> {
    let (parts, ()) = response.into_parts();
    let server = Http2::start(move |_, mut respond| {
        let parts = parts.clone();
        async move {
            respond.send_response(Response::from_parts(parts, ()), true).unwrap();
        }
    })
    .await;
    server.fetcher().fetch(get(&server.url)).await.map(|response| response.head.status)
}

fn kind<T: std::fmt::Debug>(result: Result<T, FetchError>) -> FaultKind {
    result.expect_err("it was accepted").kind()
}

fn with_headers(count: usize, value: &str) -> Response<()> {
    let mut response = Response::builder();
    for n in 0..count {
        response = response.header(format!("x-{n}"), value);
    }
    response.body(()).unwrap()
}

fn as_text(response: &Response<()>) -> String {
    let mut head = String::from("HTTP/1.1 200 OK\r\n");
    for (name, value) in response.headers() {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    head + "\r\n"
}

#[test]
fn the_defaults_are_what_the_docs_say() {
    assert_eq!(ServerLimits::default(), defaults());
}

#[tokio::test]
async fn heads_are_limited_in_size_and_number_of_headers() {
    let large = "x".repeat(30_000);
    for (count, value, fine) in
        [(200, "1", true), (300, "1", false), (8, &*large, true), (9, &*large, false)]
    {
        let response = with_headers(count, value);
        let http1 = answered(as_text(&response)).await;
        let http2 = answered_http2(response).await;
        if fine {
            assert_eq!((http1.unwrap(), http2.unwrap()), (Bytes::new(), 200));
        } else {
            let (http1, http2) = (kind(http1), kind(http2));
            assert_eq!((http1, http2), (FaultKind::Protocol, FaultKind::Protocol), "{count}");
        }
    }
}

#[tokio::test]
async fn limits_can_be_set() {
    let limits = defaults().with(|it| {
        it.headers = 2;
        it.codings = 0;
    });
    let strict = || HyperFetcher::builder().limits(limits);
    for head in ["A: 1\r\nB: 2\r\nC: 3\r\n", "Content-Encoding: gzip\r\n"] {
        let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n").into_bytes();
        let (address, _) = scripted(answer.leak(), Ending::Close).await;
        let failed = error(&strict().build().unwrap(), get(&format!("http://{address}/"))).await;
        assert_eq!(failed.kind(), FaultKind::Protocol, "{head}");
    }
}

#[tokio::test]
async fn as_many_informational_responses_as_allowed_are_skipped() {
    for (count, fine) in [(defaults().informational, true), (defaults().informational + 1, false)] {
        let mut answer = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(count);
        answer += "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let http1 = answered(answer).await.map(|body| assert_eq!(body, "ok"));
        let server = Http2::start(move |_, mut respond| async move {
            for _ in 0..count {
                let hints = Response::builder().status(103).body(()).unwrap();
                // The client may have disconnected.
                if respond.send_informational(hints).is_err() {
                    return;
                }
            }
            // A final head that also ends its stream would not be counted.
            if let Ok(mut send) = respond.send_response(Response::new(()), false) {
                send.send_data(Bytes::from_static(b"ok"), true).unwrap_or_default();
            }
        })
        .await;
        let fetcher = server.fetcher();
        let http2 = fetcher.fetch(get(&server.url)).await.map(|response| {
            assert_eq!(response.head.status, 200);
        });
        for result in [http1, http2] {
            assert_eq!(result.is_ok(), fine);
            assert!(fine || kind(result) == FaultKind::Protocol);
        }
    }
}

#[tokio::test]
async fn a_flood_of_informational_responses_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let flooding = tokio::spawn(async move {
        let mut socket = asked(&listener).await;
        while socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_ok() {}
    });
    let fetcher = fetcher();
    assert_eq!(error(&fetcher, get(&url)).await.kind(), FaultKind::Protocol);
    flooding.await.unwrap();

    let (ended, mut end) = mpsc::unbounded_channel();
    let server = Http2::start(move |_, mut respond| {
        let ended = ended.clone();
        async move {
            for _ in 0..20 * defaults().informational {
                let hints = Response::builder().status(103).body(()).unwrap();
                if respond.send_informational(hints).is_err() {
                    break;
                }
            }
            // No response is ever sent, so this ends when the client disconnects.
            let gone = std::future::poll_fn(|context| respond.poll_reset(context)).await;
            ended.send(gone.is_err()).unwrap();
        }
    })
    .await;
    let fetcher = server.fetcher();
    assert_eq!(error(&fetcher, get(&server.url)).await.kind(), FaultKind::Protocol);
    assert!(end.recv().await.unwrap(), "the whole connection ends");
}

const STATUS_200: u8 = 0x88;

/// Frames that neither a head nor data has come with.
fn idle_frames() -> [(&'static str, Vec<u8>); 6] {
    [
        ("WINDOW_UPDATE", frame(8, 0, 0, &1_u32.to_be_bytes())),
        ("PRIORITY", frame(2, 0, 1, &[0, 0, 0, 0, 9])),
        ("unknown", frame(0xFA, 0, 1, b"anything")),
        ("PING", frame(6, 0, 0, &[7; 8])),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        ("GOAWAY", frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])),
    ]
}

#[tokio::test]
async fn a_flood_of_frames_without_content_ends_the_connection() {
    let head = frame(HEADERS, END_HEADERS, 1, &[STATUS_200]);
    for (kind, idle) in idle_frames() {
        let flood = idle.repeat(defaults().idle_frames + 2);
        // Before the head, and in the middle of the body.
        for start in [vec![], [&head[..], &frame(DATA, 0, 1, b"part")].concat()] {
            let server = Http2::raw([start, flood.clone()].concat()).await;
            let end = match server.fetcher().fetch(get(&server.url)).await {
                Ok(response) => body(response).await.map(drop),
                Err(error) => Err(error),
            };
            let failed = end.expect_err(kind);
            assert_eq!(failed.kind(), FaultKind::Protocol, "{kind}: {failed}");
            assert!(failed.to_string().contains("without content"), "{kind}: {failed}");
        }
    }
    // The library has limits of its own for these.
    let empty_data = [head, frame(DATA, 0, 1, &[]).repeat(defaults().idle_frames + 2)].concat();
    let unfinished = frame(HEADERS, 0, 1, &[STATUS_200]);
    let continuations =
        [unfinished, frame(9, 0, 1, &[]).repeat(defaults().idle_frames + 2)].concat();
    for flood in [empty_data, continuations] {
        let server = Http2::raw(flood).await;
        let end = match server.fetcher().fetch(get(&server.url)).await {
            Ok(response) => body(response).await.map(drop),
            Err(error) => Err(error),
        };
        assert_eq!(kind(end), FaultKind::Protocol);
    }
}

#[tokio::test]
async fn frames_without_content_between_others_are_fine() {
    let head = frame(HEADERS, END_HEADERS, 1, &[STATUS_200]);
    for (kind, idle) in idle_frames() {
        // The server's first settings, and the acknowledgement of the client's, count too.
        let idle = idle.repeat(defaults().idle_frames - 2);
        let data = frame(DATA, 0, 1, b"part");
        let last = frame(DATA, END_STREAM, 1, b"end");
        let answer = [&idle[..], &head, &idle, &data, &idle, &last].concat();
        let server = Http2::raw(answer).await;
        let fetcher = server.fetcher();
        let response = fetcher.fetch(get(&server.url)).await.expect(kind);
        assert_eq!(body(response).await.expect(kind), "partend", "{kind}");
    }
}

#[tokio::test]
async fn an_upload_gets_any_number_of_window_updates() {
    let server = Http2::start(|request, mut respond| async move {
        let length = read_all(request.into_body()).await.to_string();
        let mut send = respond.send_response(Response::new(()), false).unwrap();
        send.send_data(length.into(), true).unwrap();
    })
    .await;
    let limits = defaults().with(|it| it.idle_frames = 20);
    let fetcher = server.builder().limits(limits).build().unwrap();
    let length = 8 << 20;
    let response = fetcher.fetch(post(&server.url, Stored::pattern(length))).await.unwrap();
    assert_eq!(body(response).await.unwrap(), length.to_string());
}

#[tokio::test]
async fn a_flood_of_empty_lines_before_a_head_ends_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let flooding = tokio::spawn(async move {
        // The head is parsed once more, tolerantly.
        for _ in 0..2 {
            let mut socket = asked(&listener).await;
            while socket.write_all(&b"\r\n".repeat(1000)).await.is_ok() {}
        }
    });
    assert_eq!(error(&fetcher(), get(&url)).await.kind(), FaultKind::Protocol);
    flooding.await.unwrap();
}

#[tokio::test]
async fn nobody_switches_to_another_protocol() {
    let switched = answered("HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    assert_eq!(kind(switched.await), FaultKind::Protocol);
}

/// Accepts the next connection and reads its request's head.
async fn asked(listener: &TcpListener) -> TcpStream {
    let (mut socket, _) = listener.accept().await.unwrap();
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    while !head.ends_with(b"\r\n\r\n") {
        let length = socket.read(&mut buffer).await.unwrap();
        head.extend_from_slice(&buffer[..length]);
    }
    socket
}

#[tokio::test]
async fn a_head_that_drips_ends_with_the_time_for_heads() {
    for (start, drip) in [("HTTP/1.1 200 OK\r\nX: ", "x"), ("", "HTTP/1.1 102 Processing\r\n\r\n")]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (began, begins) = oneshot::channel();
        let drops = Arc::new(AtomicUsize::new(0));
        let dropped = Arc::clone(&drops);
        tokio::spawn(async move {
            let mut socket = asked(&listener).await;
            socket.write_all(start.as_bytes()).await.unwrap();
            began.send(()).unwrap();
            while socket.write_all(drip.as_bytes()).await.is_ok() {
                dropped.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_secs(5)).await;
            }
        });
        let (report, mut events) = mpsc::unbounded_channel();
        let (_commands, receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let no_sink = |_, _| -> std::io::Result<Box<dyn BodySink>> { panic!("no head came") };
            let reporter = move |event| report.send(event).unwrap();
            let timeouts = Timeouts::default();
            let share = Throttle::new(None).share(Partition::User, FetchKey(1));
            run(&fetcher(), get(&url), timeouts, share, no_sink, receiver, reporter).await;
        });
        begins.await.unwrap();
        // From here on, time only passes when everything is waiting for it.
        tokio::time::pause();
        let began = Instant::now();
        let Some(AttemptEvent::Ended { stored: None, end }) = events.recv().await else {
            panic!("not the end")
        };
        let AttemptEnd::Failed(fault) = end else { panic!("{end:?}") };
        assert_eq!(fault.kind, FaultKind::Interrupted, "{fault:?}");
        assert!(began.elapsed() <= Timeouts::default().head + Duration::from_millis(10));
        assert!(drops.load(Ordering::Relaxed) > 10, "it dripped");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn framing_that_contradicts_itself_is_refused() {
    const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
    for (head, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n", "abc"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n", "abc"),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n", "abc"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n", "abc"),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ("HTTP/1.1 200 OK\r\nX: a\0b\r\n", ""),
        ("HTTP/1.1 200 OK\r\nX: a\rb\r\n", ""),
        ("HTTP/1.1 2000 OK\r\n", ""),
        ("HTTP/3.0 200 OK\r\n", ""),
        ("ICY 200 OK\r\n", ""),
    ] {
        let answer = format!("{head}\r\n{body}");
        assert_eq!(kind(answered(answer).await), FaultKind::Protocol, "{head:?}");
    }
    // The chunks determine where it ends, whatever length is given in addition.
    let both = format!("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n{CHUNKED}\r\n2\r\nok\r\n0\r\n\r\n");
    assert_eq!(answered(both).await.unwrap(), "ok");
    // Bytes after the end are not a second response.
    let more = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\nno";
    assert_eq!(answered(more).await.unwrap(), "ok");
}

#[tokio::test]
async fn chunk_extensions_and_trailers_are_bounded() {
    let long = "x".repeat(20_000);
    let one_byte_chunks = format!("1;{}\r\na\r\n", "y".repeat(100)).repeat(200);
    for chunks in [
        format!("2;{long}\r\nok\r\n0\r\n\r\n"),
        format!("{one_byte_chunks}0\r\n\r\n"),
        format!("2\r\nok\r\n0\r\nX: {long}\r\n\r\n"),
        format!("2\r\nok\r\n0\r\n{}\r\n", "X: 1\r\n".repeat(defaults().headers + 1)),
        String::from("FFFFFFFFFFFFFFFFF\r\nok\r\n"),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let start: String = chunks.chars().take(20).collect();
        assert_eq!(kind(answered(answer).await), FaultKind::Protocol, "{start:?}");
    }
}

/// The HTTP/2 encoding of a header field without compression.
fn field(name: &str, value: &[u8]) -> Vec<u8> {
    let mut field = vec![0, name.len() as u8];
    field.extend(name.as_bytes());
    field.push(value.len() as u8);
    field.extend(value);
    field
}

#[tokio::test]
async fn http2_heads_that_are_not_http_are_refused() {
    let ok = vec![STATUS_200];
    for fields in [
        [&ok[..], &field("x", b"a\0b")].concat(),
        [&ok[..], &field("x", b"a\nb")].concat(),
        [&ok[..], &field("X", b"upper")].concat(),
        [&ok[..], &field("connection", b"close")].concat(),
        field("x", b"no status"),
        vec![0xFF; 9],
    ] {
        let head = frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields);
        let server = Http2::raw(head).await;
        let failed = error(&server.fetcher(), get(&server.url)).await;
        assert_eq!(failed.kind(), FaultKind::Protocol, "{fields:?}: {failed}");
    }
    // Frames for streams that were never opened.
    for wrong in [frame(DATA, 0, 1, b"early"), frame(HEADERS, END_HEADERS, 7, &ok)] {
        let server = Http2::raw(wrong).await;
        let failed = error(&server.fetcher(), get(&server.url)).await;
        assert_eq!(failed.kind(), FaultKind::Protocol, "{failed}");
    }
}

#[tokio::test]
async fn a_length_that_is_not_kept_ends_an_http2_body() {
    for claimed in ["1", "3"] {
        let server = Http2::start(move |_, mut respond| async move {
            let head = Response::builder().header("content-length", claimed).body(()).unwrap();
            let mut send = respond.send_response(head, false).unwrap();
            send.send_data(Bytes::from_static(b"ok"), true).unwrap();
        })
        .await;
        let fetcher = server.fetcher();
        // The reset may arrive before the head.
        let end = match fetcher.fetch(get(&server.url)).await {
            Ok(response) => body(response).await.map(drop),
            Err(error) => Err(error),
        };
        assert!(matches!(kind(end), FaultKind::Interrupted | FaultKind::Protocol));
    }
}

#[tokio::test]
async fn a_redirect_loop_ends_over_http2() {
    let server = Http2::start(|_, mut respond| async move {
        let head = Response::builder().status(StatusCode::FOUND).header("location", "/again");
        respond.send_response(head.body(()).unwrap(), true).unwrap();
    })
    .await;
    let fetcher = server.fetcher();
    assert_eq!(error(&fetcher, get(&server.url)).await.kind(), FaultKind::Blocked);
    assert_eq!(server.requests.load(Ordering::Relaxed), 21);
}

#[tokio::test]
async fn a_bomb_is_refused_over_http1_and_http2() {
    let limits = defaults().with(|it| {
        it.decoded_ratio = 1;
        it.decoded_floor = 50_000;
    });
    let (plain, tls) = (Origin::http().await, Origin::https(&[b"h2"]).await);
    let builder = HyperFetcher::builder().limits(limits);
    let over_tls = HyperFetcher::builder().limits(limits).tls(tls.client());
    for (origin, builder) in [(plain, builder), (tls, over_tls)] {
        let fetcher = builder.build().unwrap();
        for coding in ["gzip", "deflate", "br", "zstd"] {
            let url = origin.url(&format!("/coded/{coding}"));
            let response = fetcher.fetch(get(&url)).await.unwrap();
            assert_eq!(kind(body(response).await), FaultKind::Protocol, "{coding}");
        }
    }
}

#[tokio::test]
async fn codings_with_large_windows_are_offered_as_long_as_there_is_memory_for_them() {
    let limits = defaults().with(|it| it.decoder_memory = 20 << 20);
    let fetcher = HyperFetcher::builder().limits(limits).build().unwrap();
    let origin = Origin::http().await;
    let page = PolicySnapshot::of(&origin.url("/page").parse().unwrap());
    let fetch = async |site: &str, path: &str| {
        let request = Arc::new(Request::get(origin.url(path).parse().unwrap()));
        let (key, page) = (StorageKey(site.into()), Arc::new(Principal::Page(page.clone())));
        let spec = AttemptSpec::default();
        fetcher.fetch(FetchRequest::new(key, page, request, spec, None)).await.unwrap()
    };
    let offered = async |site| {
        let sent = body(fetch(site, "/headers").await).await.unwrap();
        let sent = String::from_utf8(sent.to_vec()).unwrap();
        let line = sent.lines().find_map(|line| line.strip_prefix("accept-encoding: "));
        line.unwrap().to_owned()
    };
    assert_eq!(offered("a").await, "gzip, deflate, br, zstd");
    let coded = fetch("a", "/coded/br").await;
    assert_eq!(offered("a").await, "gzip, deflate");
    assert_eq!(offered("b").await, "gzip, deflate, br, zstd");
    assert_eq!(body(coded).await.unwrap(), pattern(100_000));
    assert_eq!(offered("a").await, "gzip, deflate, br, zstd");
}
