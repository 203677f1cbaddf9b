//! The scripts of tests: replies, their faults, and their order.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use tokio::io::AsyncReadExt as _;

use super::raw::{Frames, Raw};
use crate::gate::Gate;
use crate::resource::Resource;

/// How the [`Origin`](crate::Origin) answers one request.
///
/// Without faults, this is a correct server's response: 200 with `Content-Length`, `Accept-Ranges`
/// and the resource's validators, or 206 or 416 if `Range` and `If-Range` ask for it. The faults
/// are the methods of [`Serve`].
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub(super) resource: Option<Resource>,
    pub(super) text: Option<Bytes>,
    pub(super) status: Option<StatusCode>,
    pub(super) headers: HeaderMap,
    pub(super) ranges: Ranges,
    pub(super) coding: Option<Coding>,
    pub(super) chunked: bool,
    pub(super) head_gate: Option<Gate>,
    pub(super) holds: Vec<(u64, Gate)>,
    pub(super) cut: Option<Cut>,
    pub(super) pace: Option<u64>,
    pub(super) hang_up: bool,
    pub(super) for_ranges: Option<Box<Reply>>,
    pub(super) raw: Option<Raw>,
    pub(super) upload: Upload,
}

/// How a reply treats `Range`.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges {
    pub(super) policy: RangePolicy,
    pub(super) ignores_if_range: bool,
    pub(super) shift: i64,
    pub(super) at_most: Option<u64>,
    pub(super) content_range: Option<ContentRange>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum RangePolicy {
    #[default]
    Honour,
    Ignore,
    Refuse,
}

/// A false `Content-Range`.
#[derive(Clone, Debug)]
pub(super) enum ContentRange {
    CompleteLength(Option<u64>),
    Raw(HeaderValue),
}

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `gzip`
    Gzip,
    /// `br`
    Brotli,
    /// `zstd`
    Zstd,
}

impl Coding {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// The coded form of `bytes`.
    ///
    /// # Panics
    ///
    /// Never: the encoders accept everything.
    #[must_use]
    pub fn encode(self, bytes: &[u8]) -> Vec<u8> {
        let mut coded = Vec::new();
        let read = match self {
            Self::Gzip => GzipEncoder::new(bytes).read_to_end(&mut coded).now_or_never(),
            Self::Brotli => BrotliEncoder::new(bytes).read_to_end(&mut coded).now_or_never(),
            Self::Zstd => ZstdEncoder::new(bytes).read_to_end(&mut coded).now_or_never(),
        };
        read.expect("memory is always ready").expect("and can always be read");
        coded
    }
}

/// How a connection ends in the middle of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) after: u64,
    pub(super) how: CutKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CutKind {
    Fin,
    Reset,
}

/// How a request's body is treated.
#[derive(Clone, Debug, Default)]
pub(super) struct Upload {
    pub(super) early: bool,
    pub(super) hold: Option<(u64, Gate)>,
    pub(super) reset_after: Option<u64>,
}

impl Reply {
    /// An empty response with this status.
    ///
    /// # Panics
    ///
    /// If it is not a status code.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::default().with_status(status)
    }

    /// A redirect: 301, 302, 303, 307 or 308 with this `Location`, relative or absolute.
    #[must_use]
    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self::status(status).header(LOCATION.as_str(), location.into())
    }

    /// This text, with that `Content-Type`.
    ///
    /// # Panics
    ///
    /// If it is not a valid header value.
    #[must_use]
    pub fn text(content_type: &str, text: impl Into<Bytes>) -> Self {
        let reply = Self { text: Some(text.into()), ..Self::default() };
        reply.header(CONTENT_TYPE.as_str(), content_type)
    }

    /// No response: the connection ends (FIN) once the request's head was read. The rest of the
    /// request's body is still read and recorded.
    #[must_use]
    pub fn hang_up() -> Self {
        Self { hang_up: true, ..Self::default() }
    }

    /// Exactly these bytes over HTTP/1.1, head and body. The connection then stays open without
    /// another response, unless it is [cut](Serve::cut_after) after some or all of them. Other
    /// faults have no effect.
    #[must_use]
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self { raw: Some(Raw::Bytes(bytes.into())), ..Self::default() }
    }

    /// Exactly these frames over HTTP/2. The connection then serves further requests, unless it is
    /// [cut](Serve::cut_after) after some or all of their bytes. Other faults have no effect.
    #[must_use]
    pub fn frames(frames: Frames) -> Self {
        Self { raw: Some(Raw::Frames(frames)), ..Self::default() }
    }
}

impl From<Resource> for Reply {
    fn from(resource: Resource) -> Self {
        Self { resource: Some(resource), ..Self::default() }
    }
}

/// The replies to successive requests for a path. The last reply repeats.
#[derive(Clone, Debug)]
pub struct Script {
    steps: VecDeque<(Reply, usize)>,
}

impl Script {
    /// Continues with this reply once the previous ones are used up.
    #[must_use]
    pub fn then(mut self, next: impl Into<Self>) -> Self {
        self.steps.append(&mut next.into().steps);
        self
    }

    /// The reply to the next request.
    pub(super) fn next_reply(&mut self) -> Reply {
        let more = self.steps.len() > 1;
        let (reply, left) = self.steps.front_mut().expect("no script is empty");
        let reply = reply.clone();
        *left = left.saturating_sub(1);
        if *left == 0 && more {
            self.steps.pop_front();
        }
        reply
    }
}

impl From<Reply> for Script {
    fn from(reply: Reply) -> Self {
        Self { steps: VecDeque::from([(reply, 1)]) }
    }
}

impl From<Resource> for Script {
    fn from(resource: Resource) -> Self {
        Reply::from(resource).into()
    }
}

/// The faults and features with which a [`Resource`] or a [`Reply`] can be served; the methods can
/// be chained.
///
/// Offsets count the bytes of this one response's body as they are sent, content coding included;
/// those of a 206 count from its own first byte. An offset outside the body has no effect.
pub trait Serve: Into<Reply> {
    // --- order ---------------------------------------------------------------------------------

    /// Serves this once, then `next`.
    #[must_use]
    fn then(self, next: impl Into<Script>) -> Script {
        Script::from(self.into()).then(next)
    }

    /// Serves this to `count` requests before what follows.
    ///
    /// # Panics
    ///
    /// If `count` is zero.
    #[must_use]
    fn times(self, count: usize) -> Script {
        assert!(count > 0, "a reply that is never served");
        Script { steps: VecDeque::from([(self.into(), count)]) }
    }

    // --- head ----------------------------------------------------------------------------------

    /// Sends the whole content with this status, whatever range was requested.
    ///
    /// # Panics
    ///
    /// If it is not a status code.
    #[must_use]
    fn with_status(self, status: u16) -> Reply {
        let mut reply = self.into();
        reply.status = Some(StatusCode::from_u16(status).expect("a status code"));
        reply
    }

    /// Adds a header. `Date`, `Content-Type`, `Accept-Ranges` and the like replace the default
    /// headers.
    ///
    /// # Panics
    ///
    /// If HTTP does not allow the name or the value.
    #[must_use]
    fn header(self, name: &str, value: impl Into<String>) -> Reply {
        let mut reply = self.into();
        reply.headers.append(
            HeaderName::from_bytes(name.as_bytes()).expect("a header name"),
            HeaderValue::try_from(value.into()).expect("a header value"),
        );
        reply
    }

    /// Adds `Retry-After` in seconds.
    #[must_use]
    fn retry_after(self, delay: Duration) -> Reply {
        self.header(RETRY_AFTER.as_str(), delay.as_secs().to_string())
    }

    /// Adds `Retry-After` as a date.
    #[must_use]
    fn retry_after_date(self, at: SystemTime) -> Reply {
        self.header(RETRY_AFTER.as_str(), httpdate::fmt_http_date(at))
    }

    /// Sends no head until the gate is open.
    #[must_use]
    fn hold_head(self, gate: &Gate) -> Reply {
        let mut reply = self.into();
        reply.head_gate = Some(gate.clone());
        reply
    }

    // --- body ----------------------------------------------------------------------------------

    /// Sends no `Content-Length`: the body is chunked in HTTP/1.1, and ended by the stream in
    /// HTTP/2.
    #[must_use]
    fn chunked(self) -> Reply {
        let mut reply = self.into();
        reply.chunked = true;
        reply
    }

    /// Applies a content coding if `Accept-Encoding` names it; such a response ignores `Range` and
    /// has no known length.
    #[must_use]
    fn coded(self, coding: Coding) -> Reply {
        let mut reply = self.into();
        reply.coding = Some(coding);
        reply
    }

    /// Closes the connection (FIN) after this many body bytes, all of which arrive.
    ///
    /// Over HTTP/2 the whole connection ends, and at most this many bytes arrive.
    #[must_use]
    fn cut_after(self, bytes: u64) -> Reply {
        cut(self.into(), bytes, CutKind::Fin)
    }

    /// Resets the connection (RST) after this many body bytes; some of them may not arrive.
    #[must_use]
    fn reset_after(self, bytes: u64) -> Reply {
        cut(self.into(), bytes, CutKind::Reset)
    }

    /// Sends this many body bytes and no more until the gate is open. Several gates are possible.
    #[must_use]
    fn hold_at(self, bytes: u64, gate: &Gate) -> Reply {
        let mut reply = self.into();
        reply.holds.push((bytes, gate.clone()));
        reply.holds.sort_by_key(|(at, _)| *at);
        reply
    }

    /// Sends this many body bytes, and then nothing for ever.
    #[must_use]
    fn stall_after(self, bytes: u64) -> Reply {
        self.hold_at(bytes, &Gate::new())
    }

    /// Sends at most this many body bytes per second, in many small pieces.
    ///
    /// # Panics
    ///
    /// If it is zero; see [`stall_after`](Self::stall_after).
    #[must_use]
    fn paced(self, bytes_per_second: u64) -> Reply {
        assert!(bytes_per_second > 0, "a body that is never sent");
        let mut reply = self.into();
        reply.pace = Some(bytes_per_second);
        reply
    }

    // --- ranges --------------------------------------------------------------------------------

    /// Answers 200 with everything, whatever range was requested; sends no `Accept-Ranges`.
    #[must_use]
    fn ignoring_range(self) -> Reply {
        let mut reply = self.into();
        reply.ranges.policy = RangePolicy::Ignore;
        reply
    }

    /// Answers every range with 416.
    #[must_use]
    fn refusing_range(self) -> Reply {
        let mut reply = self.into();
        reply.ranges.policy = RangePolicy::Refuse;
        reply
    }

    /// Answers 206 even if `If-Range` names another representation.
    #[must_use]
    fn ignoring_if_range(self) -> Reply {
        let mut reply = self.into();
        reply.ranges.ignores_if_range = true;
        reply
    }

    /// Answers with a range that starts this many bytes later (or earlier) than requested, and
    /// declares it correctly.
    #[must_use]
    fn shifting_range(self, by: i64) -> Reply {
        let mut reply = self.into();
        reply.ranges.shift = by;
        reply
    }

    /// Answers with at most this many bytes of the requested range, and declares that correctly.
    #[must_use]
    fn at_most_per_range(self, bytes: u64) -> Reply {
        let mut reply = self.into();
        reply.ranges.at_most = Some(bytes);
        reply
    }

    /// Claims this complete length in `Content-Range`.
    #[must_use]
    fn claiming_complete_length(self, length: u64) -> Reply {
        let mut reply = self.into();
        reply.ranges.content_range = Some(ContentRange::CompleteLength(Some(length)));
        reply
    }

    /// Sends `*` as the complete length in `Content-Range`.
    #[must_use]
    fn hiding_complete_length(self) -> Reply {
        let mut reply = self.into();
        reply.ranges.content_range = Some(ContentRange::CompleteLength(None));
        reply
    }

    /// Sends this `Content-Range` with a 206 or 416, instead of the correct one.
    ///
    /// # Panics
    ///
    /// If HTTP does not allow the value.
    #[must_use]
    fn content_range(self, value: &str) -> Reply {
        let mut reply = self.into();
        reply.ranges.content_range =
            Some(ContentRange::Raw(HeaderValue::from_str(value).expect("a header value")));
        reply
    }

    /// Answers every request with a `Range` with this reply instead, without regard to the range.
    #[must_use]
    fn answering_ranges_with(self, other: impl Into<Reply>) -> Reply {
        let mut reply = self.into();
        reply.for_ranges = Some(Box::new(other.into()));
        reply
    }

    // --- request bodies ------------------------------------------------------------------------

    /// Answers before the request's body was read, and reads the body meanwhile.
    #[must_use]
    fn answering_early(self) -> Reply {
        let mut reply = self.into();
        reply.upload.early = true;
        reply
    }

    /// Reads at least this many bytes of the request's body. After the piece that reaches that
    /// number it reads no more until the gate is open.
    #[must_use]
    fn hold_upload_at(self, bytes: u64, gate: &Gate) -> Reply {
        let mut reply = self.into();
        reply.upload.hold = Some((bytes, gate.clone()));
        reply
    }

    /// Resets the connection once at least this many bytes of the request's body were read.
    #[must_use]
    fn reset_upload_after(self, bytes: u64) -> Reply {
        let mut reply = self.into();
        reply.upload.reset_after = Some(bytes);
        reply
    }
}

impl Serve for Reply {}
impl Serve for Resource {}

fn cut(mut reply: Reply, after: u64, how: CutKind) -> Reply {
    reply.cut = Some(Cut { after, how });
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_counts_its_replies_and_repeats_the_last() {
        let mut script =
            Reply::status(500).then(Reply::status(503).times(2)).then(Reply::status(404));
        let statuses: Vec<_> =
            (0..6).map(|_| script.next_reply().status.unwrap().as_u16()).collect();
        assert_eq!(statuses, [500, 503, 503, 404, 404, 404]);
    }
}
