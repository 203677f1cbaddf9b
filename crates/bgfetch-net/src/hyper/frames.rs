//! Counts the heads that an HTTP/2 server sends on each stream.
//!
//! The HTTP/2 library queues informational responses without a limit and does not expose them. So
//! they are counted as they arrive on the connection, by the
//! [frames'](https://www.rfc-editor.org/rfc/rfc9113#section-4.1) own headers. Their compressed
//! contents are not parsed.

use std::collections::BTreeMap;
use std::io;

const FRAME_HEADER: usize = 9;
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const END_STREAM: u8 = 0x1;

/// For how many streams heads are counted at a time; more than run on one connection. A stream that
/// this side cancelled may never end on the wire, so the oldest are forgotten.
const MOST_STREAMS: usize = 1024;

/// The heads on streams that the server has not ended.
pub(super) struct Heads {
    most: usize,
    /// The received part of the current frame's header.
    header: Vec<u8>,
    /// How much of the last frame's payload was not received yet.
    payload: usize,
    by_stream: BTreeMap<u32, usize>,
}

impl Heads {
    /// Allows `informational` heads on each stream besides the final one.
    pub(super) fn new(informational: usize) -> Self {
        let by_stream = BTreeMap::new();
        let header = Vec::with_capacity(FRAME_HEADER);
        Self { most: informational.saturating_add(1), header, payload: 0, by_stream }
    }

    /// Reads the next bytes from the server.
    pub(super) fn count(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            let skipped = self.payload.min(bytes.len());
            self.payload -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let missing = (FRAME_HEADER - self.header.len()).min(bytes.len());
            let (part, rest) = bytes.split_at(missing);
            self.header.extend_from_slice(part);
            bytes = rest;
            let &[l0, l1, l2, kind, flags, s0, s1, s2, s3] = self.header.as_slice() else {
                return Ok(());
            };
            self.header.clear();
            self.payload = u32::from_be_bytes([0, l0, l1, l2]) as usize;
            let stream = u32::from_be_bytes([s0, s1, s2, s3]) & (u32::MAX >> 1);
            self.frame(kind, flags & END_STREAM != 0, stream)?;
        }
    }

    fn frame(&mut self, kind: u8, ends_stream: bool, stream: u32) -> io::Result<()> {
        match kind {
            RST_STREAM => drop(self.by_stream.remove(&stream)),
            DATA | HEADERS if ends_stream => drop(self.by_stream.remove(&stream)),
            HEADERS => {
                let heads = self.by_stream.entry(stream).or_default();
                *heads += 1;
                if *heads > self.most {
                    let message = "too many informational responses";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    fn count(most: usize, bytes: &[u8], piece: usize) -> bool {
        let mut heads = Heads::new(most);
        bytes.chunks(piece).all(|piece| heads.count(piece).is_ok())
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
        let mut heads = Heads::new(0);
        for stream in 0..10 * MOST_STREAMS as u32 {
            heads.count(&frame(HEADERS, 0, stream, 0)).unwrap();
        }
        assert!(heads.by_stream.len() <= MOST_STREAMS);
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

        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            count(3, &bytes, 100);
        }
    }
}
