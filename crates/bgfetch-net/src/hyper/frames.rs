//! Counts the frames of an HTTP/2 connection that a server can send without limit.
//!
//! The HTTP/2 library queues informational responses without a limit and does not expose them. It
//! also processes any number of frames that change nothing, as fast as they arrive. So both are
//! counted on the connection, by the
//! [frames'](https://www.rfc-editor.org/rfc/rfc9113#section-4.1) own headers. Payloads are not
//! parsed.

use std::collections::BTreeMap;
use std::io;

use super::limits::ServerLimits;

const FRAME_HEADER: usize = 9;
/// What a client sends [first](https://www.rfc-editor.org/rfc/rfc9113#section-3.4).
const PREFACE: usize = 24;
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const END_STREAM: u8 = 0x1;
const PADDED: u8 = 0x8;
/// The most padding of a frame, with the field for its length.
const MOST_PADDING: usize = 256;

/// For how many streams heads are counted at a time; more than run on one connection. A stream that
/// this side cancelled may never end on the wire, so the oldest are forgotten.
const MOST_STREAMS: usize = 1024;

/// The frames of a connection, in both directions.
pub(super) struct Frames {
    received: Headers,
    sent: Headers,
    heads: Heads,
    most_idle: usize,
    /// How many frames were received since the last one in either direction with a head or with
    /// data.
    idle: usize,
}

impl Frames {
    pub(super) fn new(limits: &ServerLimits) -> Self {
        Self {
            received: Headers::after(0),
            sent: Headers::after(PREFACE),
            heads: Heads::new(limits.informational),
            most_idle: limits.idle_frames,
            idle: 0,
        }
    }

    /// Reads the next bytes from the server.
    ///
    /// # Errors
    /// There are too many frames of a kind.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.received.read(bytes, |frame| {
            self.idle = if frame.has_content() { 0 } else { self.idle + 1 };
            if self.idle > self.most_idle {
                return Err(flood("too many HTTP/2 frames without content"));
            }
            self.heads.count(frame)
        })
    }

    /// Reads the next bytes to the server.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sent.read(bytes, |frame| {
            if frame.has_content() {
                self.idle = 0;
            }
            Ok(())
        })
    }
}

/// A frame's header.
#[derive(Clone, Copy)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    length: usize,
}

impl Frame {
    /// Whether it has a head, or data besides padding.
    fn has_content(self) -> bool {
        let padding = if self.flags & PADDED == 0 { 0 } else { MOST_PADDING };
        self.kind == HEADERS || self.kind == DATA && self.length > padding
    }
}

/// Finds the frames' headers in one direction.
struct Headers {
    /// The received part of the current frame's header.
    header: Vec<u8>,
    /// How many bytes there are before it.
    skipped: usize,
}

impl Headers {
    fn after(skipped: usize) -> Self {
        Self { header: Vec::with_capacity(FRAME_HEADER), skipped }
    }

    fn read(
        &mut self,
        mut bytes: &[u8],
        mut found: impl FnMut(Frame) -> io::Result<()>,
    ) -> io::Result<()> {
        loop {
            let skipped = self.skipped.min(bytes.len());
            self.skipped -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let missing = (FRAME_HEADER - self.header.len()).min(bytes.len());
            let (part, rest) = bytes.split_at(missing);
            self.header.extend_from_slice(part);
            bytes = rest;
            let &[l0, l1, l2, kind, flags, s0, s1, s2, s3] = self.header.as_slice() else {
                return Ok(());
            };
            self.header.clear();
            let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
            self.skipped = length;
            let stream = u32::from_be_bytes([s0, s1, s2, s3]) & (u32::MAX >> 1);
            found(Frame { kind, flags, stream, length })?;
        }
    }
}

/// The heads on streams that the server has not ended.
struct Heads {
    most: usize,
    by_stream: BTreeMap<u32, usize>,
}

impl Heads {
    /// Allows `informational` heads on each stream besides the final one.
    fn new(informational: usize) -> Self {
        Self { most: informational.saturating_add(1), by_stream: BTreeMap::new() }
    }

    fn count(&mut self, frame: Frame) -> io::Result<()> {
        let Frame { kind, flags, stream, .. } = frame;
        match kind {
            RST_STREAM => drop(self.by_stream.remove(&stream)),
            DATA | HEADERS if flags & END_STREAM != 0 => drop(self.by_stream.remove(&stream)),
            HEADERS => {
                let heads = self.by_stream.entry(stream).or_default();
                *heads += 1;
                if *heads > self.most {
                    return Err(flood("too many informational responses"));
                }
                if self.by_stream.len() > MOST_STREAMS {
                    self.by_stream.pop_first();
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn flood(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SETTINGS: u8 = 0x4;
    const PING: u8 = 0x6;
    const WINDOW_UPDATE: u8 = 0x8;

    fn frame(kind: u8, flags: u8, stream: u32, payload: usize) -> Vec<u8> {
        let mut frame = (payload as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        // They would be frames themselves if payloads were read.
        frame.extend(std::iter::repeat_n(1, payload));
        frame
    }

    fn wire(frames: &[(u8, u8, u32, usize)]) -> Vec<u8> {
        frames
            .iter()
            .flat_map(|&(kind, flags, stream, payload)| frame(kind, flags, stream, payload))
            .collect()
    }

    fn frames(informational: usize, idle_frames: usize) -> Frames {
        Frames::new(&ServerLimits { informational, idle_frames, ..ServerLimits::default() })
    }

    fn count(most: usize, bytes: &[u8], piece: usize) -> bool {
        let mut frames = frames(most, usize::MAX);
        bytes.chunks(piece).all(|piece| frames.receive(piece).is_ok())
    }

    #[test]
    fn heads_are_counted_by_stream_until_it_ends() {
        let head = |stream| (HEADERS, 0x4, stream, 5);
        let fine = [head(1), head(1), head(1), head(3), head(3), head(3)];
        assert!(count(2, &wire(&fine), 1 << 20));
        assert!(!count(2, &wire(&[head(1), head(3), head(1), head(1), head(1)]), 1 << 20));
        for end in [(DATA, END_STREAM, 1, 0), (HEADERS, END_STREAM, 1, 2), (RST_STREAM, 0, 1, 4)] {
            let ended = [head(1), head(1), head(1), end, head(1)];
            assert!(count(2, &wire(&ended), 1 << 20), "{end:?}");
        }
        // Data, continuations and trailers do not count.
        let others =
            [head(1), (DATA, 0, 1, 7), (0x9, END_STREAM, 1, 7), (HEADERS, END_STREAM, 1, 7)];
        assert!(count(0, &wire(&others), 1 << 20));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut frames = frames(0, 0);
        for stream in 0..10 * MOST_STREAMS as u32 {
            frames.receive(&frame(HEADERS, 0, stream, 0)).unwrap();
        }
        assert!(frames.heads.by_stream.len() <= MOST_STREAMS);
    }

    #[test]
    fn frames_without_content_are_counted_since_the_last_with_content() {
        for idle in [
            frame(SETTINGS, 0, 0, 6),
            frame(PING, 0, 0, 8),
            frame(WINDOW_UPDATE, 0, 1, 4),
            frame(0xFF, 0, 1, 100),
            frame(DATA, 0, 1, 0),
            frame(DATA, PADDED, 1, MOST_PADDING),
        ] {
            let mut frames = frames(64, 3);
            for content in [frame(DATA, 0, 1, 1), frame(DATA, PADDED, 1, MOST_PADDING + 1)] {
                frames.receive(&idle.repeat(3)).unwrap();
                frames.receive(&content).unwrap();
            }
            frames.receive(&idle.repeat(3)).unwrap();
            frames.receive(&frame(HEADERS, 0, 1, 9)).unwrap();
            frames.receive(&idle.repeat(3)).unwrap();
            assert!(frames.receive(&idle).is_err(), "{idle:?}");
        }
    }

    #[test]
    fn what_is_sent_counts_as_content_and_its_acknowledgements_do_not() {
        let mut frames = frames(64, 3);
        let update = frame(WINDOW_UPDATE, 0, 1, 4);
        frames.send(&[b'P'; PREFACE]).unwrap();
        for sent in [frame(HEADERS, 0, 1, 3), frame(DATA, 0, 1, 1)] {
            frames.receive(&update.repeat(3)).unwrap();
            frames.send(&sent).unwrap();
        }
        frames.receive(&update.repeat(3)).unwrap();
        frames.send(&[frame(PING, 1, 0, 8), frame(SETTINGS, 1, 0, 0)].concat()).unwrap();
        assert!(frames.receive(&update).is_err());
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_arrive(
            frames in prop::collection::vec((0u8..5, 0u8..2, 0u32..3, 0usize..40), 0..60),
            piece in 1usize..50,
        ) {
            let bytes = wire(&frames);
            prop_assert_eq!(count(3, &bytes, piece), count(3, &bytes, usize::MAX));
        }

        /// The counter is that of a direct computation over the frames, however both directions'
        /// bytes are split.
        #[test]
        fn idle_frames_are_those_since_the_last_content(
            turns in prop::collection::vec(
                (any::<bool>(), (0u8..9, 0u8..2, 0u32..3, 0usize..3)), 0..60,
            ),
            piece in 1usize..50,
        ) {
            let mut counted = frames(usize::MAX - 1, usize::MAX);
            counted.send(&[b'P'; PREFACE]).unwrap();
            let mut idle = 0;
            for (is_sent, (kind, flags, stream, payload)) in turns {
                let bytes = frame(kind, flags, stream, payload);
                for piece in bytes.chunks(piece) {
                    if is_sent { counted.send(piece) } else { counted.receive(piece) }.unwrap();
                }
                let has_content = kind == HEADERS || kind == DATA && payload > 0;
                idle = if has_content { 0 } else { idle + usize::from(!is_sent) };
                prop_assert_eq!(counted.idle, idle);
            }
        }

        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            count(3, &bytes, 100);
        }
    }
}
