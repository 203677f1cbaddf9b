//! Fetch's [handle content codings](https://fetch.spec.whatwg.org/#handle-content-codings).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use tokio::io::{AsyncRead, BufReader, ReadBuf};
use tokio::task::coop;
use tokio_util::io::{ReaderStream, StreamReader};

use super::coding::Coding;
use super::decoder_memory::{DecoderMemory, Memory};
use super::error;
use super::limits::ServerLimits;
use super::members::{Members, Reader};
use crate::fetch::TransportRequest;
use crate::fetcher::FetchError;
use crate::partition::Partition;
use crate::slot::Slot;

type Body = BoxStream<'static, Result<Bytes, FetchError>>;

/// How much is decoded at once.
const CHUNK: usize = 64 << 10;

/// The codings of a response in the order in which they were applied. Empty if one of them is
/// unknown: Fetch does not decode such a body.
///
/// # Errors
/// If there are more than `most`.
pub(super) fn codings(headers: &HeaderMap, most: usize) -> Result<Vec<Coding>, FetchError> {
    let mut codings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in value.as_bytes().split(|&byte| byte == b',') {
            let name = name.trim_ascii().to_ascii_lowercase();
            codings.push(match name.as_slice() {
                b"" | b"identity" => continue,
                b"gzip" | b"x-gzip" => Coding::Gzip,
                b"deflate" => Coding::Deflate,
                b"br" => Coding::Brotli,
                b"zstd" => Coding::Zstd,
                _ => return Ok(Vec::new()),
            });
        }
    }
    if codings.len() > most {
        return Err(error::protocol("too many content codings"));
    }
    Ok(codings)
}

/// A response's claim to memory for its decoders.
pub(super) struct Claim {
    memory: Arc<DecoderMemory>,
    partition: Partition,
    slot: Slot,
    set_aside: Option<Memory>,
}

impl Claim {
    /// `set_aside` is what the request's partition has for it already.
    pub(super) fn new(
        memory: &Arc<DecoderMemory>,
        request: &TransportRequest,
        set_aside: Option<Memory>,
    ) -> Self {
        let (memory, partition) = (Arc::clone(memory), request.partition.clone());
        Self { memory, partition, slot: request.slot.clone(), set_aside }
    }

    /// Waits for the memory to decode data that starts with `first`.
    async fn take(self, codings: &[Coding], first: u8) -> Option<Memory> {
        // The coding that was applied last is decoded first.
        let inner = codings.split_last().map_or(codings, |(_, inner)| inner);
        let outer = codings.last().map_or(0, |outer| outer.memory(Some(first)));
        let needed = outer + inner.iter().map(|coding| coding.memory(None)).sum::<u32>();
        let taking = self.memory.take(&self.partition, self.set_aside, needed);
        self.slot.memory(taking).await
    }
}

/// Decodes `codings`, and fails if the output exceeds what `limits` allow for the received bytes.
/// After the first bytes, it waits for the memory that this needs.
pub(super) fn decode(
    body: Body,
    codings: Vec<Coding>,
    limits: &ServerLimits,
    claim: Claim,
) -> Body {
    if codings.is_empty() {
        return body;
    }
    stream::once(begin(body, codings, *limits, claim)).flatten().boxed()
}

async fn begin(mut body: Body, codings: Vec<Coding>, limits: ServerLimits, claim: Claim) -> Body {
    let start = loop {
        match body.next().await {
            Some(Ok(bytes)) if bytes.is_empty() => {}
            start => break start,
        }
    };
    let memory = match start.as_ref().and_then(|start| start.as_ref().ok()?.first()) {
        Some(first) => claim.take(&codings, *first).await,
        None => None,
    };
    let body = stream::iter(start).chain(body).boxed();
    let plain = decoders(body, codings, limits);
    // The memory is returned with the decoders.
    plain
        .inspect(move |_| {
            let _held = &memory;
        })
        .boxed()
}

/// The decoders of `codings`, one after the other.
fn decoders(body: Body, codings: Vec<Coding>, limits: ServerLimits) -> Body {
    let received = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&received);
    let body = body.inspect_ok(move |bytes| {
        counter.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    });
    let coded = StreamReader::new(body.map_err(io::Error::other));
    let plain = codings.into_iter().rfold(Box::pin(coded) as Reader, |reader, coding| {
        let inner = Members::new(reader, coding);
        let received = Arc::clone(&received);
        Box::pin(BufReader::with_capacity(CHUNK, Guarded { inner, received, decoded: 0, limits }))
    });
    ReaderStream::with_capacity(plain, CHUNK).map_err(from_io).boxed()
}

/// The output of one decoder, which may be the input of the next, checked against the limits.
struct Guarded {
    inner: Members,
    /// How many bytes were received from the network.
    received: Arc<AtomicU64>,
    decoded: u64,
    limits: ServerLimits,
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Input that the next decoder decodes to nothing must not starve other tasks.
        let coop = ready!(coop::poll_proceed(context));
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        coop.made_progress();
        self.decoded += (buffer.filled().len() - before) as u64;
        if self.limits.is_inflated(self.received.load(Ordering::Relaxed), self.decoded) {
            let bomb = error::protocol("the response decodes to far more than was received");
            return Poll::Ready(Err(io::Error::other(bomb)));
        }
        Poll::Ready(Ok(()))
    }
}

/// The network's own error if that was the cause; otherwise a decoder's.
fn from_io(error: io::Error) -> FetchError {
    match error.downcast::<FetchError>() {
        Ok(error) => error,
        Err(error) => error::protocol(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_compression::tokio::write::{
        BrotliEncoder, DeflateEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder,
    };
    use bgfetch_model::attempt::FaultKind;
    use http::HeaderValue;
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;

    async fn encode(bytes: &[u8], coding: Coding) -> Vec<u8> {
        macro_rules! with {
            ($encoder:ident) => {{
                let mut encoder = $encoder::new(Vec::new());
                encoder.write_all(bytes).await.unwrap();
                encoder.shutdown().await.unwrap();
                encoder.into_inner()
            }};
        }
        match coding {
            Coding::Gzip => with!(GzipEncoder),
            Coding::Deflate => with!(ZlibEncoder),
            Coding::Brotli => with!(BrotliEncoder),
            Coding::Zstd => with!(ZstdEncoder),
        }
    }

    fn claim() -> Claim {
        Claim {
            memory: Arc::new(DecoderMemory::new(96 << 20)),
            partition: Partition::User,
            slot: Slot::default(),
            set_aside: None,
        }
    }

    /// Decodes `coded` arriving in pieces of `piece` bytes, followed by `end` if that is an error.
    async fn run(
        coded: &[u8],
        piece: usize,
        codings: &[Coding],
        end: Option<FetchError>,
    ) -> Result<Vec<u8>, FetchError> {
        let pieces: Vec<_> = coded
            .chunks(piece)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .chain(end.map(Err))
            .collect();
        decode(stream::iter(pieces).boxed(), codings.to_vec(), &ServerLimits::default(), claim())
            .try_fold(Vec::new(), |mut all, bytes| async move {
                all.extend_from_slice(&bytes);
                Ok(all)
            })
            .await
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_was_encoded_comes_back_however_it_arrives(
            bytes in prop::collection::vec(0u8..4, 1..5000),
            piece in 1usize..700,
            codings in prop::collection::vec(prop::sample::select(ALL.to_vec()), 1..3),
        ) {
            block_on(async {
                let mut coded = bytes.clone();
                for &coding in &codings {
                    coded = encode(&coded, coding).await;
                }
                assert_eq!(run(&coded, piece, &codings, None).await.unwrap(), bytes);
            });
        }
    }

    #[tokio::test]
    async fn members_are_concatenated_and_nothing_is_empty() {
        for coding in [Coding::Gzip, Coding::Zstd] {
            let mut two = encode(b"one ", coding).await;
            two.extend(encode(b"two", coding).await);
            assert_eq!(run(&two, 3, &[coding], None).await.unwrap(), b"one two");
        }
        for coding in ALL {
            assert_eq!(run(b"", 1, &[coding], None).await.unwrap(), b"");
        }
    }

    #[tokio::test]
    async fn damage_is_permanent_and_a_cut_is_an_interruption() {
        for coding in ALL {
            let coded = encode(&[7; 4000], coding).await;
            // Cut within the coded data, when the end of the connection is the end of the body.
            for end in 1..coded.len() {
                let cut = run(&coded[..end], 64, &[coding], None).await;
                assert_eq!(cut.unwrap_err().kind(), FaultKind::Interrupted, "{coding:?} {end}");
            }
            // Cut within the framing, even if all of the coded data was received.
            for end in [coded.len() / 2, coded.len()] {
                let cut = FetchError::new(FaultKind::Interrupted, true, "cut");
                let error = run(&coded[..end], 64, &[coding], Some(cut)).await;
                assert_eq!(error.unwrap_err().to_string(), "cut", "{coding:?}");
            }
        }
        for coding in [Coding::Gzip, Coding::Zstd] {
            let garbage = run(&[0xAA; 500], 500, &[coding], None).await;
            assert_eq!(garbage.unwrap_err().kind(), FaultKind::Protocol, "{coding:?}");
        }
    }

    #[tokio::test]
    async fn what_follows_the_coded_data_is_passed_over_but_read() {
        let rests: [&[u8]; 6] = [b"\0", &[0; 5000], b"\n \n", b"\x1f", b"\x1f\0", b"\x28\xb5"];
        for coding in ALL {
            for rest in rests {
                let coded = [&encode(b"plain", coding).await, rest].concat();
                for piece in [1, 7, 1 << 20] {
                    let plain = run(&coded, piece, &[coding], None).await;
                    assert_eq!(plain.unwrap(), b"plain", "{coding:?} {rest:?}");
                }
                let cut = FetchError::new(FaultKind::Interrupted, true, "cut");
                let error = run(&coded, 64, &[coding], Some(cut)).await;
                assert_eq!(error.unwrap_err().to_string(), "cut", "{coding:?} {rest:?}");
            }
        }
    }

    #[tokio::test]
    async fn deflate_may_lack_its_zlib_header() {
        for length in [1, 5, 4000] {
            for bytes in [vec![0; length], vec![b'x'; length]] {
                let mut encoder = DeflateEncoder::new(Vec::new());
                encoder.write_all(&bytes).await.unwrap();
                encoder.shutdown().await.unwrap();
                let coded = encoder.into_inner();
                for piece in [1, 1 << 20] {
                    let plain = run(&coded, piece, &[Coding::Deflate], None).await;
                    assert_eq!(plain.unwrap(), bytes);
                }
                let cut = run(&coded[..coded.len() - 1], 64, &[Coding::Deflate], None).await;
                assert_eq!(cut.unwrap_err().kind(), FaultKind::Interrupted);
            }
        }
    }

    #[tokio::test]
    async fn many_members_need_no_more_room_than_one() {
        let member = encode(b"x", Coding::Gzip).await;
        let coded = member.repeat(50_000);
        let plain = run(&coded, 1000, &[Coding::Gzip], None).await.unwrap();
        assert_eq!(plain, vec![b'x'; 50_000]);
    }

    /// Decodes under small limits; returns how many bytes were decoded, and how it ended.
    async fn run_small(coded: Vec<u8>, codings: &[Coding]) -> (u64, Option<FaultKind>) {
        let limits =
            ServerLimits { decoded_ratio: 10, decoded_floor: 1 << 18, ..ServerLimits::default() };
        let pieces: Vec<_> =
            coded.chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let mut plain = decode(stream::iter(pieces).boxed(), codings.to_vec(), &limits, claim());
        let mut came = 0;
        loop {
            match plain.next().await {
                Some(Ok(bytes)) => came += bytes.len() as u64,
                Some(Err(error)) => return (came, Some(error.kind())),
                None => return (came, None),
            }
        }
    }

    #[tokio::test]
    async fn a_bomb_ends_at_the_first_chunk_too_many() {
        for coding in ALL {
            let most = encode(&vec![0; 1 << 18], coding).await;
            assert_eq!(run_small(most, &[coding]).await, (1 << 18, None), "{coding:?}");
            let bomb = encode(&vec![0; 3 << 18], coding).await;
            let (came, end) = run_small(bomb, &[coding]).await;
            assert_eq!(end, Some(FaultKind::Protocol), "{coding:?}");
            assert!(came <= 1 << 18, "{coding:?}: {came}");
        }
        // Data that was not compressed may have any length.
        let mut state = 1u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .take(3 << 18)
        .collect();
        let honest = encode(&noise, Coding::Zstd).await;
        assert_eq!(run_small(honest, &[Coding::Zstd]).await, (3 << 18, None));
    }

    /// A gzip member with a long extra field and no data.
    fn empty_member() -> Vec<u8> {
        let mut member = vec![0x1F, 0x8B, 8, 4, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF];
        member.resize(member.len() + 0xFFFF, 0);
        member.extend([3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        member
    }

    #[tokio::test]
    async fn a_bomb_inside_of_a_coding_is_found_although_nothing_comes_out() {
        let empty = empty_member();
        let empties = empty.repeat((3 << 18) / empty.len());
        let bomb = encode(&empties, Coding::Zstd).await;
        assert!(bomb.len() < 10_000);
        let end = run_small(bomb, &[Coding::Gzip, Coding::Zstd]).await;
        assert_eq!(end, (0, Some(FaultKind::Protocol)));
    }

    #[tokio::test]
    async fn decoding_that_yields_nothing_lets_other_tasks_run() {
        let empty = empty_member();
        let empties = empty.repeat((40 << 20) / empty.len());
        let coded = encode(&empties, Coding::Zstd).await;
        let codings = vec![Coding::Gzip, Coding::Zstd];
        let body = stream::iter([Ok(Bytes::from(coded))]).boxed();
        let mut plain = decode(body, codings, &ServerLimits::default(), claim());
        let polled = coop::cooperative(std::future::poll_fn(|context| {
            Poll::Ready(plain.poll_next_unpin(context).is_pending())
        }));
        assert!(polled.await, "it went on for 40 MiB");
    }

    #[test]
    fn names_are_listed_in_order_and_an_unknown_one_leaves_the_body_alone() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for &value in values {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            codings(&headers, 2).ok()
        };
        assert_eq!(of(&[]), Some(vec![]));
        assert_eq!(of(&["identity, , GZIP"]), Some(vec![Coding::Gzip]));
        assert_eq!(of(&["br", " zstd"]), Some(vec![Coding::Brotli, Coding::Zstd]));
        assert_eq!(of(&["gzip, compress"]), Some(vec![]));
        assert_eq!(of(&["gzip,gzip,gzip"]), None);
    }

    #[tokio::test]
    async fn windows_beyond_the_standards_are_refused() {
        // Empty, with a window of 2^30 bytes.
        let large = run(&[0x11, 0xDE], 1, &[Coding::Brotli], None).await;
        assert_eq!(large.unwrap_err().kind(), FaultKind::Protocol);
        let inner = encode(&[0x11, 0xDE], Coding::Gzip).await;
        let large = run(&inner, 100, &[Coding::Brotli, Coding::Gzip], None).await;
        assert_eq!(large.unwrap_err().kind(), FaultKind::Protocol);
        // A frame with a window of 8 MiB or 16 MiB, and an empty last block.
        for (window_log, fine) in [(23, true), (24, false)] {
            let frame = [0x28, 0xB5, 0x2F, 0xFD, 0, (window_log - 10) << 3, 1, 0, 0];
            let plain = run(&frame, 100, &[Coding::Zstd], None).await;
            assert_eq!(plain.is_ok(), fine, "{window_log}");
        }
    }
}
