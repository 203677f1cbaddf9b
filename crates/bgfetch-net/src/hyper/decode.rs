//! Fetch's [handle content codings](https://fetch.spec.whatwg.org/#handle-content-codings).

use std::io;
use std::pin::Pin;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};
use tokio_util::io::{ReaderStream, StreamReader};

use super::error;
use crate::fetcher::FetchError;

type Body = BoxStream<'static, Result<Bytes, FetchError>>;
type Reader = Pin<Box<dyn AsyncBufRead + Send>>;

/// The most codings one response may stack; no real one has more than two.
const MAX_CODINGS: usize = 4;

/// How much is decoded at once.
const CHUNK: usize = 64 << 10;

/// The window RFC 9659 limits `zstd` in `Content-Encoding` to: 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;

/// A content coding, [RFC 9110 section 8.4.1](https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// The codings of a response in the order they were applied. Empty where one of them is unknown:
/// Fetch hands such a body on as it is.
///
/// # Errors
/// There are more than a sane response has.
pub(super) fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, FetchError> {
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
    if codings.len() > MAX_CODINGS {
        return Err(error::protocol("too many content codings"));
    }
    Ok(codings)
}

/// Undoes `codings`. An empty body stays empty whatever its codings, as browsers have it.
pub(super) fn decode(body: Body, codings: Vec<Coding>) -> Body {
    if codings.is_empty() {
        return body;
    }
    let mut coded = StreamReader::new(body.map_err(io::Error::other));
    let decoded = async move {
        if coded.fill_buf().await?.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let plain = codings.into_iter().rfold(Box::pin(coded) as Reader, |reader, coding| {
            Box::pin(BufReader::with_capacity(CHUNK, decoder(reader, coding)))
        });
        Ok::<_, io::Error>(ReaderStream::with_capacity(plain, CHUNK).boxed())
    };
    stream::once(decoded).try_flatten().map_err(from_io).boxed()
}

/// Every decoder reads on after a member's end, by which a cut that comes after the coded data's
/// end is noticed and the connection can be used again.
fn decoder(reader: Reader, coding: Coding) -> Pin<Box<dyn tokio::io::AsyncRead + Send>> {
    match coding {
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(reader);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        Coding::Deflate => {
            let mut decoder = ZlibDecoder::new(reader);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        Coding::Brotli => {
            let mut decoder = BrotliDecoder::new(reader);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        Coding::Zstd => {
            let window = [DParameter::window_log_max(ZSTD_WINDOW_LOG)];
            let mut decoder = ZstdDecoder::with_params(reader, &window);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
    }
}

/// The network's own error where that was the cause, else a decoder's.
fn from_io(error: io::Error) -> FetchError {
    match error.downcast::<FetchError>() {
        Ok(error) => error,
        Err(error) => error::protocol(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
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
        decode(stream::iter(pieces).boxed(), codings.to_vec())
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
    async fn damage_is_permanent_and_a_cut_is_the_networks() {
        for coding in ALL {
            let coded = encode(&[7; 4000], coding).await;
            let half = coded.len() / 2;
            let damaged = run(&coded[..half], 64, &[coding], None).await.unwrap_err();
            assert_eq!(damaged.kind(), FaultKind::Protocol, "{coding:?}");
            // Also where all of the coded data is there, but not the end of its framing.
            for end in [half, coded.len()] {
                let cut = FetchError::new(FaultKind::Interrupted, true, "cut");
                let error = run(&coded[..end], 64, &[coding], Some(cut)).await;
                assert_eq!(error.unwrap_err().kind(), FaultKind::Interrupted, "{coding:?}");
            }
        }
        let garbage = run(&[0xAA; 500], 500, &[Coding::Gzip], None).await;
        assert_eq!(garbage.unwrap_err().kind(), FaultKind::Protocol);
    }

    #[test]
    fn names_are_listed_in_order_and_an_unknown_one_leaves_the_body_alone() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for &value in values {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            codings(&headers).ok()
        };
        assert_eq!(of(&[]), Some(vec![]));
        assert_eq!(of(&["identity, , GZIP"]), Some(vec![Coding::Gzip]));
        assert_eq!(of(&["br", " zstd"]), Some(vec![Coding::Brotli, Coding::Zstd]));
        assert_eq!(of(&["gzip, compress"]), Some(vec![]));
        assert_eq!(of(&["gzip,gzip,gzip,gzip,gzip"]), None);
    }
}
