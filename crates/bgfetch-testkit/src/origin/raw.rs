//! Replies that are written by hand, to violate HTTP in any way.

use bytes::Bytes;

/// What is sent instead of a response.
#[derive(Clone, Debug)]
pub(super) enum Raw {
    Bytes(Bytes),
    Frames(Frames),
}

impl Raw {
    /// The bytes for a request on this stream of HTTP/2; the stream does not matter to HTTP/1.1.
    pub(super) fn on_stream(&self, stream: u32) -> Bytes {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Frames(frames) => frames.on_stream(stream),
        }
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The largest payload of a frame that every client accepts.
const MAX_PAYLOAD: usize = 16_384;

/// Frames of HTTP/2 that answer a request; see [`Reply::frames`](crate::Reply::frames).
///
/// Clients accept 65 535 bytes of data before the origin knows how many more they accept.
#[derive(Clone, Debug, Default)]
pub struct Frames(Vec<Frame>);

#[derive(Clone, Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    /// Whether it belongs to the request's stream, or to the connection.
    is_of_stream: bool,
    payload: Vec<u8>,
}

impl Frames {
    /// No frames.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A head with this status and these headers, whose names are in lower case.
    ///
    /// # Panics
    ///
    /// If a name or a value has more than 126 bytes.
    #[must_use]
    pub fn head(self, status: u16, headers: &[(&str, &str)]) -> Self {
        let status = status.to_string();
        let mut block = Vec::new();
        for (name, value) in [(":status", status.as_str())].iter().chain(headers) {
            // A literal field that changes no table (RFC 7541, section 6.2.2).
            block.push(0);
            for text in [name, value] {
                assert!(text.len() < 127, "{text} is too long");
                block.push(text.len() as u8);
                block.extend(text.as_bytes());
            }
        }
        self.with(HEADERS, END_HEADERS, true, block)
    }

    /// Part of the body.
    #[must_use]
    pub fn data(self, bytes: &[u8]) -> Self {
        bytes.chunks(MAX_PAYLOAD).fold(self, |it, chunk| it.with(DATA, 0, true, chunk.to_vec()))
    }

    /// The end of the stream.
    #[must_use]
    pub fn end(self) -> Self {
        self.with(DATA, END_STREAM, true, Vec::new())
    }

    /// A reset of the stream with this error code.
    #[must_use]
    pub fn reset(self, code: u32) -> Self {
        self.with(RST_STREAM, 0, true, code.to_be_bytes().to_vec())
    }

    /// The end of the connection with this error code, as if no request had been processed.
    #[must_use]
    pub fn go_away(self, code: u32) -> Self {
        let last_stream = 0_u32.to_be_bytes();
        self.with(GOAWAY, 0, false, [last_stream, code.to_be_bytes()].concat())
    }

    fn with(mut self, kind: u8, flags: u8, is_of_stream: bool, payload: Vec<u8>) -> Self {
        self.0.push(Frame { kind, flags, is_of_stream, payload });
        self
    }

    fn on_stream(&self, stream: u32) -> Bytes {
        let mut bytes = Vec::new();
        for Frame { kind, flags, is_of_stream, payload } in &self.0 {
            let length = u32::try_from(payload.len()).expect("payloads are short");
            bytes.extend(&length.to_be_bytes()[1..]);
            bytes.extend([*kind, *flags]);
            bytes.extend(if *is_of_stream { stream } else { 0 }.to_be_bytes());
            bytes.extend(payload);
        }
        bytes.into()
    }
}
