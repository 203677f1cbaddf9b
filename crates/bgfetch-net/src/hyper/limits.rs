//! Limits on the memory and work that a server can cost before a byte of its body is stored.
//!
//! Other limits do not concern a single exchange and are elsewhere: 20 redirects
//! ([`MAX_REDIRECTS`](crate::fetch::redirect::MAX_REDIRECTS), Fetch's number); the time to connect
//! ([`connect_timeout`](super::HyperFetcherBuilder::connect_timeout)); slow heads and stalled
//! bodies ([`Timeouts`](crate::attempt::Timeouts)); the size of a body (`downloadTotal` and the
//! quota, enforced by the model's grants). hyper itself bounds chunk extensions and trailers (16
//! KiB each), refuses server push, and drops HTTP/2 connections that send too many continuations or
//! resets.

use ::hyper::ext::ReasonPhrase;
use http::{Response, StatusCode};

use super::error;
use crate::fetcher::FetchError;

/// Limits against hostile or broken servers. If a server exceeds one, the attempt ends as
/// [`FaultKind::Protocol`](bgfetch_model::attempt::FaultKind::Protocol), which is not retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerLimits {
    /// The maximum size of a response's head in bytes, 256 KiB by default, as in browsers. It is
    /// counted as in [RFC 9113 section
    /// 6.5.2](https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2), with 32 bytes added for each
    /// header, and includes the reason phrase. Over HTTP/1.1, it also limits how much is read from
    /// a socket at once, for which hyper requires at least 8 KiB.
    pub head_size: u32,
    /// The maximum number of header lines of a response, 256 by default. Each costs more memory
    /// than its bytes, and all headers are stored with the record.
    pub headers: usize,
    /// The maximum number of informational (1xx) responses before the final one, 64 by default.
    /// Servers send a handful, and parsing each costs time. Over HTTP/2, one more is accepted if
    /// the final response has no body. They do not reset
    /// [`Timeouts::head`](crate::attempt::Timeouts::head).
    pub informational: usize,
    /// The maximum number of HTTP/2 frames from the server since the last frame in either direction
    /// with a head or with data, 10 000 by default. Frames without them (`PING`, `SETTINGS`,
    /// `WINDOW_UPDATE`, `PRIORITY`, `GOAWAY`, unknown types, empty `DATA`) cost time to process and
    /// are no progress. Servers send a few with each message, and the connection's pings need
    /// hours to add up to that many.
    pub idle_frames: usize,
    /// The maximum number of content codings of a response, 2 by default. Servers rarely use more
    /// than one.
    pub codings: usize,
    /// How many bytes of memory the decoders of one network partition's responses may take together, 96
    /// MiB by default. A response whose decoders need more than is left waits for others to end,
    /// without a time limit. Zstandard needs about 9 MiB, and brotli between 4 MiB and 28 MiB, which
    /// its window determines; larger windows than the standards allow are refused. A third is set
    /// aside for requests, which only offer these two codings while there is some left.
    pub decoder_memory: u32,
    /// The maximum number of decoded bytes per received byte, 1000 by default. It applies to
    /// responses that decode to more than [`decoded_floor`](Self::decoded_floor). Text has a ratio
    /// of at most about 100. The maximum of gzip is 1032, for a single repeated byte; that of other
    /// codings is far higher, and stacked codings multiply. The limit also applies to the data
    /// between two codings.
    pub decoded_ratio: u64,
    /// The number of bytes up to which a response may decode at any ratio, 64 MiB by default. This
    /// fits on any disk, and is larger than what pages commonly compress that well (empty images,
    /// sparse arrays).
    pub decoded_floor: u64,
}

bgfetch_model::impl_with!(ServerLimits);

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            head_size: 256 << 10,
            headers: 256,
            informational: 64,
            idle_frames: 10_000,
            codings: 2,
            decoder_memory: 96 << 20,
            decoded_ratio: 1000,
            decoded_floor: 64 << 20,
        }
    }
}

impl ServerLimits {
    /// Checks the head of a final response. Over HTTP/2, hyper has no limit on the number of
    /// headers; over HTTP/1.1, its buffer may hold up to twice the limit.
    pub(super) fn check_head<B>(&self, response: &Response<B>) -> Result<(), FetchError> {
        let headers = response.headers();
        if headers.len() > self.headers {
            return Err(error::protocol("the response has too many headers"));
        }
        let reason = response.extensions().get::<ReasonPhrase>();
        let lines = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32);
        let size = reason.map_or(0, |reason| reason.as_bytes().len()) + lines.sum::<usize>();
        if size > self.head_size as usize {
            return Err(error::protocol("the response's head is too large"));
        }
        // No request asks for a protocol switch.
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(error::protocol("the server switched to another protocol"));
        }
        Ok(())
    }

    /// Whether `decoded` bytes exceed the ratio to `coded` bytes.
    pub(super) fn is_inflated(&self, coded: u64, decoded: u64) -> bool {
        decoded > self.decoded_floor && decoded > coded.saturating_mul(self.decoded_ratio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bgfetch_model::attempt::FaultKind;
    use http::HeaderValue;

    #[test]
    fn the_ratio_counts_above_the_floor_alone() {
        let limits = ServerLimits::default();
        let floor = limits.decoded_floor;
        for (coded, decoded, inflated) in [
            (0, 0, false),
            (1, floor, false),
            (1, floor + 1, true),
            (floor / 1000 + 1, floor + 1, false),
            (1 << 30, 1000 << 30, false),
            (1 << 30, (1000 << 30) + 1, true),
            (u64::MAX, u64::MAX, false),
        ] {
            assert_eq!(limits.is_inflated(coded, decoded), inflated, "{coded} {decoded}");
        }
    }

    #[test]
    fn repeated_headers_count_each_and_a_switch_of_protocols_is_refused() {
        let limits = ServerLimits { headers: 3, ..ServerLimits::default() };
        let mut response = Response::new(());
        for _ in 0..3 {
            response.headers_mut().append("x", HeaderValue::from_static("1"));
        }
        assert!(limits.check_head(&response).is_ok());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        assert_eq!(limits.check_head(&response).unwrap_err().kind(), FaultKind::Protocol);
        *response.status_mut() = StatusCode::OK;
        response.headers_mut().append("x", HeaderValue::from_static("1"));
        assert_eq!(limits.check_head(&response).unwrap_err().kind(), FaultKind::Protocol);
    }

    #[test]
    fn a_reason_phrase_counts_as_a_part_of_the_head() {
        let limits = ServerLimits { head_size: 10, ..ServerLimits::default() };
        let mut response = Response::new(());
        response.extensions_mut().insert(ReasonPhrase::from_static(b"0123456789"));
        assert!(limits.check_head(&response).is_ok());
        response.extensions_mut().insert(ReasonPhrase::from_static(b"0123456789a"));
        assert_eq!(limits.check_head(&response).unwrap_err().kind(), FaultKind::Protocol);
    }
}
