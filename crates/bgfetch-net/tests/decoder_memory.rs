//! The memory of a process that decodes many responses at once.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

mod common;

use std::sync::Arc;

use async_compression::Level;
use async_compression::brotli::EncoderParams;
use async_compression::tokio::write::{BrotliEncoder, ZstdEncoder};
use async_compression::zstd::CParameter;
use bgfetch_net::fetcher::Fetcher;
use bytes::Bytes;
use common::http2::Http2;
use common::requests::get;
use futures_util::TryStreamExt;
use http::Response;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

const MIB: usize = 1 << 20;
const STREAMS: usize = 60;
const DECODED: usize = 9 * MIB;

/// Twice coded, so that each decoder fills the largest window it may have.
async fn bomb() -> Bytes {
    let window = [CParameter::window_log(23)];
    let mut encoder = ZstdEncoder::with_quality_and_params(Vec::new(), Level::Fastest, &window);
    encoder.write_all(&vec![0; DECODED]).await.unwrap();
    encoder.shutdown().await.unwrap();
    // A frame to skip, which fills the window of the outer coding alone.
    let skipped = 17 * MIB as u32;
    let mut inner = [0x184D_2A50_u32.to_le_bytes(), skipped.to_le_bytes()].concat();
    inner.resize(inner.len() + skipped as usize, 0);
    inner.extend(encoder.into_inner());
    let window = EncoderParams::default().quality(Level::Fastest).window_size(24);
    let mut encoder = BrotliEncoder::with_params(Vec::new(), window);
    encoder.write_all(&inner).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner().into()
}

/// The most memory that this process had so far.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() << 10
}

#[tokio::test]
async fn many_coded_responses_take_no_more_memory_than_a_few() {
    let body = bomb().await;
    // Encoding has its own peak, which the kernel can forget.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    assert!(peak() < 100 * MIB, "{}", peak());
    let server = Http2::start(move |_, mut respond| {
        let body = body.clone();
        async move {
            let head = Response::builder().header("content-encoding", "zstd, br");
            let mut send = respond.send_response(head.body(()).unwrap(), false).unwrap();
            send.send_data(body, true).unwrap();
        }
    })
    .await;
    let fetcher = Arc::new(server.fetcher());
    // The others use its connection.
    fetcher.fetch(get(&server.url)).await.unwrap();
    let mut streams = JoinSet::new();
    for _ in 0..STREAMS {
        let (fetcher, request) = (Arc::clone(&fetcher), get(&server.url));
        streams.spawn(async move {
            let mut body = fetcher.fetch(request).await.unwrap().body;
            let mut length = 0;
            while let Some(bytes) = body.try_next().await.unwrap() {
                length += bytes.len();
                tokio::task::yield_now().await;
            }
            assert_eq!(length, DECODED);
        });
    }
    while let Some(ended) = streams.join_next().await {
        ended.unwrap();
    }
    println!("{} MiB", peak() / MIB);
    assert!(peak() < 200 * MIB, "{} MiB", peak() / MIB);
}
