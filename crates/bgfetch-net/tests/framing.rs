//! A body ends only by its framing, and a success has all announced bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

mod common;

use bgfetch_model::attempt::FaultKind;
use bgfetch_net::fetcher::{FetchError, FetchRequest, Fetcher};
use bgfetch_net::hyper::HyperFetcher;
use bytes::Bytes;
use common::http2::{DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Http2, RST_STREAM, frame};
use common::requests::{Stored, body, fetcher, get, post};
use common::{Ending, pattern, scripted};
use h2::Reason;
use proptest::prelude::*;

/// Fetches, and reads the body to its end.
async fn whole(fetcher: &HyperFetcher, request: FetchRequest) -> Result<Bytes, FetchError> {
    body(fetcher.fetch(request).await?).await
}

/// Asserts that all `length` bytes were received, or that the response was interrupted.
fn assert_end(end: Result<Bytes, FetchError>, length: usize, is_whole: bool) {
    match end {
        Ok(bytes) => {
            assert!(is_whole, "{} bytes were taken for the whole", bytes.len());
            assert_eq!(bytes, pattern(length));
        }
        Err(error) => {
            assert!(!is_whole, "{error}");
            assert_eq!((error.kind(), error.sent()), (FaultKind::Interrupted, true), "{error}");
        }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// How an HTTP/2 server ends a stream, or its connection.
#[derive(Clone, Copy, Debug)]
enum End {
    Stream,
    Reset(u32),
    StreamThenReset(u32),
    GoAway(u32),
    StreamThenGoAway(u32),
}

fn end() -> impl Strategy<Value = End> {
    let code = || prop::sample::select(vec![0, 1, 2, 8, 11]);
    prop_oneof![
        Just(End::Stream),
        code().prop_map(End::Reset),
        code().prop_map(End::StreamThenReset),
        code().prop_map(End::GoAway),
        code().prop_map(End::StreamThenGoAway),
    ]
}

/// A response of which `sent` bytes are sent; `length` bytes are announced if it is set.
fn http2_response(length: Option<usize>, sent: usize, end: End) -> Vec<u8> {
    // `:status: 200` from the static table, and `content-length` without indexing.
    let mut fields = vec![0x88];
    if let Some(length) = length {
        let digits = length.to_string();
        fields.extend([0x0F, 0x0D, digits.len() as u8]);
        fields.extend(digits.as_bytes());
    }
    let mut frames = frame(HEADERS, END_HEADERS, 1, &fields);
    for chunk in pattern(sent).chunks(1000) {
        frames.extend(frame(DATA, 0, 1, chunk));
    }
    let reset = |code: u32| frame(RST_STREAM, 0, 1, &code.to_be_bytes());
    // As if the stream had never been processed.
    let go_away =
        |code: u32| frame(GOAWAY, 0, 0, &[0u32.to_be_bytes(), code.to_be_bytes()].concat());
    let last = frame(DATA, END_STREAM, 1, &[]);
    match end {
        End::Stream => frames.extend(last),
        End::Reset(code) => frames.extend(reset(code)),
        End::StreamThenReset(code) => frames.extend([last, reset(code)].concat()),
        End::GoAway(code) => frames.extend(go_away(code)),
        End::StreamThenGoAway(code) => frames.extend([last, go_away(code)].concat()),
    }
    frames
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn random_cuts_over_http2(
        length in 0usize..5000,
        cut in prop::option::of(0usize..5000),
        announced: bool,
        end in end(),
    ) {
        let sent = cut.map_or(length, |cut| cut.min(length));
        let ended = matches!(
            end,
            End::Stream | End::StreamThenReset(_) | End::StreamThenGoAway(_)
        );
        let is_whole = if announced { sent == length } else { ended };
        let response = http2_response(announced.then_some(length), sent, end);
        block_on(async {
            let server = Http2::raw(response).await;
            assert_end(whole(&server.fetcher(), get(&server.url)).await, sent, is_whole);
        });
    }

    #[test]
    fn random_cuts_over_http1(
        length in 0usize..5000,
        cut in prop::option::of(0usize..6000),
        chunked: bool,
        tls: bool,
    ) {
        let body = pattern(length);
        let mut answer = b"HTTP/1.1 200 OK\r\n".to_vec();
        let head = if chunked {
            // A length next to it is ignored.
            answer.extend(b"Content-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n");
            let head = answer.len();
            for chunk in body.chunks(1000) {
                answer.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
                answer.extend(chunk);
                answer.extend(b"\r\n");
            }
            answer.extend(b"0\r\n\r\n");
            head
        } else {
            answer.extend(format!("Content-Length: {length}\r\n\r\n").as_bytes());
            let head = answer.len();
            answer.extend(&body);
            head
        };
        let until = cut.map_or(answer.len(), |cut| (head + cut).min(answer.len()));
        let is_whole = until == answer.len();
        answer.truncate(until);
        block_on(async {
            let end = if tls {
                let server = Http2::http1(answer, true).await;
                whole(&server.fetcher(), get(&server.url)).await
            } else {
                let (address, _) = scripted(answer.leak(), Ending::Close).await;
                whole(&fetcher(), get(&format!("http://{address}/"))).await
            };
            assert_end(end, length, is_whole);
        });
    }
}

#[tokio::test]
async fn a_body_that_the_end_of_the_connection_ends_needs_an_orderly_end_over_tls() {
    let mut answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    answer.extend(pattern(3000));
    for orderly in [true, false] {
        let server = Http2::http1(answer.clone(), orderly).await;
        assert_end(whole(&server.fetcher(), get(&server.url)).await, 3000, orderly);
    }
}

#[tokio::test]
async fn a_malformed_chunk_is_an_interruption() {
    for chunks in ["zz\r\nabc\r\n", "\r\n", "3\r\nabcd\r\n0\r\n\r\n", "0\r\nX Y: 1\r\n\r\n"] {
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let (address, _) = scripted(answer.into_bytes().leak(), Ending::Close).await;
        let end = whole(&fetcher(), get(&format!("http://{address}/"))).await;
        assert!(
            end.as_ref().is_err_and(|error| error.to_string().contains("malformed")),
            "{end:?}"
        );
        assert_end(end, 0, false);
    }
}

#[tokio::test]
async fn a_transfer_coding_that_nobody_undoes_is_refused() {
    for (coding, fine) in [
        ("chunked", true),
        ("identity, Chunked", true),
        ("gzip, chunked", false),
        ("x-own\r\nTransfer-Encoding: chunked", false),
    ] {
        let answer =
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        let (address, _) = scripted(answer.into_bytes().leak(), Ending::Close).await;
        match fetcher().fetch(get(&format!("http://{address}/"))).await {
            Ok(response) => assert!(fine && body(response).await.unwrap() == "abc", "{coding}"),
            Err(error) => {
                assert!(!fine && error.kind() == FaultKind::Protocol, "{coding}: {error}")
            }
        }
    }
}

#[tokio::test]
async fn a_complete_response_to_an_unfinished_upload_stays_a_success() {
    for code in [Reason::NO_ERROR, Reason::CANCEL, Reason::INTERNAL_ERROR] {
        for announced in [None, Some(3000)] {
            let end = End::StreamThenReset(code.into());
            let server = Http2::raw(http2_response(announced, 3000, end)).await;
            let request = post(&server.url, Stored::pattern(3_000_000));
            assert_end(whole(&server.fetcher(), request).await, 3000, true);
            let server = Http2::raw(http2_response(announced, 2999, End::Reset(code.into()))).await;
            let request = post(&server.url, Stored::pattern(3_000_000));
            assert_end(whole(&server.fetcher(), request).await, 3000, false);
        }
    }
}
