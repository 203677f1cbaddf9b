//! How much a server may make this side hold or do before a byte of its body is stored.
//!
//! Elsewhere, because they are not about one exchange: 20 redirects
//! ([`MAX_REDIRECTS`](crate::fetch::redirect::MAX_REDIRECTS), Fetch's number); the time to connect
//! ([`connect_timeout`](super::HyperFetcherBuilder::connect_timeout)); slow heads and silent bodies
//! ([`Timeouts`](crate::attempt::Timeouts)); the bytes of a body (`downloadTotal` and the quota, by
//! the model's grants). hyper itself bounds chunk extensions and trailers (16 KiB each), refuses
//! server push, and drops HTTP/2 connections that send too many continuations or resets.

use ::hyper::ext::ReasonPhrase;
use http::{Response, StatusCode};

use super::error;
use crate::fetcher::FetchError;

/// Limits against hostile or broken servers. A server that passes one ends the attempt as
/// [`FaultKind::Protocol`](bgfetch_model::attempt::FaultKind::Protocol), which is not retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// The size of a response's head in bytes, 256 KiB by default: what browsers accept, and many
    /// times the largest head in use. Counted as
    /// [RFC 9113 section 6.5.2](https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2) says, with 32
    /// for each header, and the reason phrase with it. Over HTTP/1.1 also about the most that is
    /// read from a socket at once, for which hyper wants at least 8 KiB.
    pub head_size: u32,
    /// The number of header lines of a response, 256 by default: each costs more memory than its
    /// bytes, and every header is stored with its record.
    pub headers: usize,
    /// The number of informational (1xx) responses before the final one, 64 by default: a server
    /// sends a handful of them, and each is parsed for nothing. Over HTTP/2 one more may pass where the final
    /// response has no body. They do not count as a sign of life:
    /// [`Timeouts::head`](crate::attempt::Timeouts::head) runs on.
    pub informational: usize,
    /// How many content codings a response may stack, 4 by default: none in use has more than two,
    /// and each holds a window of up to 16 MiB.
    pub codings: usize,
    /// How many bytes decoded from a response there may be for each byte received, 1000 by default,
    /// once there are more than [`decoded_floor`](Self::decoded_floor). Text shrinks to no less than
    /// a hundredth; gzip cannot go beyond 1032, and only with one repeated byte; the other codings go
    /// far beyond, and stacked ones multiply. It holds for what lies between two codings too.
    pub decoded_ratio: u64,
    /// Up to how many bytes a response may decode to whatever its ratio, 64 MiB by default: little
    /// enough for any disk, and larger than what pages commonly compress that well (empty images,
    /// sparse arrays).
    pub decoded_floor: u64,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            head_size: 256 << 10,
            headers: 256,
            informational: 64,
            codings: 4,
            decoded_ratio: 1000,
            decoded_floor: 64 << 20,
        }
    }
}

impl ServerLimits {
    /// Judges a final response's head. hyper has no limit on the number of headers over HTTP/2, and
    /// its buffer may hold up to twice its limit over HTTP/1.1.
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
        // Nothing here ever asks for another protocol.
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(error::protocol("the server switched to another protocol"));
        }
        Ok(())
    }

    /// Whether `decoded` bytes are more than `coded` ones can honestly hold.
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
