//! Rejects heads whose framing a tolerant parser would have to guess.
//!
//! A parser that skips malformed lines, or joins folded ones, may miss the length of a body or
//! misread it. So the lines that say where a response ends are checked before the parser sees them.
//! They must be well-formed, as in any other response.

use std::io;

/// More than any framing line needs.
const LONGEST: usize = 256;

/// Checks the bytes from an HTTP/1.1 server, up to the end of the head of its final response.
#[derive(Default)]
pub(super) struct FramingLines {
    line: Vec<u8>,
    part: Part,
    is_informational: bool,
    after_cr: bool,
    /// Whether the previous line is a framing line.
    after_framing: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Part {
    #[default]
    StatusLine,
    Headers,
    Body,
}

impl FramingLines {
    /// Checks the next bytes.
    ///
    /// # Errors
    /// A framing line is malformed or folded, or there is a byte that another parser could take for
    /// the end of a line or of the head.
    pub(super) fn read(&mut self, bytes: &[u8]) -> io::Result<()> {
        for &byte in bytes {
            if self.part == Part::Body {
                break;
            }
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' => {
                    let line = std::mem::take(&mut self.line);
                    self.end_of_line(&line)?;
                }
                b'\0' => return Err(malformed("there is a NUL in the response's head")),
                _ if after_cr => {
                    return Err(malformed("there is a bare CR in the response's head"));
                }
                b'\r' => {}
                _ if self.line.len() <= LONGEST => self.line.push(byte),
                _ => {}
            }
        }
        Ok(())
    }

    fn end_of_line(&mut self, line: &[u8]) -> io::Result<()> {
        match (self.part, line) {
            // Parsers skip empty lines here.
            (Part::StatusLine, []) | (Part::Body, _) => {}
            (Part::StatusLine, _) => {
                let status = line.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
                self.is_informational = status.starts_with(b"1");
                self.part = Part::Headers;
            }
            (Part::Headers, []) if self.is_informational => *self = Self::default(),
            (Part::Headers, []) => self.part = Part::Body,
            (Part::Headers, [b' ' | b'\t', ..]) if self.after_framing => {
                return Err(malformed(FRAMING));
            }
            (Part::Headers, _) => self.after_framing = is_framing(line)?,
        }
        Ok(())
    }
}

/// Whether this is a framing line.
fn is_framing(line: &[u8]) -> io::Result<bool> {
    let (name, value) = match line.iter().position(|&byte| byte == b':') {
        Some(colon) => line.split_at(colon),
        None => (line, &b""[..]),
    };
    // A name with other bytes around or between its letters counts too, as malformed.
    let letters = name.iter().filter(|byte| byte.is_ascii_alphanumeric() || **byte == b'-');
    let letters: Vec<u8> = letters.map(u8::to_ascii_lowercase).collect();
    if letters != b"content-length" && letters != b"transfer-encoding" {
        return Ok(false);
    }
    let is_text = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
    let is_sound = name.len() == letters.len()
        && !value.is_empty()
        && value.iter().all(is_text)
        && line.len() <= LONGEST;
    if is_sound { Ok(true) } else { Err(malformed(FRAMING)) }
}

const FRAMING: &str = "the response's Content-Length or Transfer-Encoding is malformed";

fn malformed(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_fine(response: &[u8], piece: usize) -> bool {
        let mut lines = FramingLines::default();
        response.chunks(piece).all(|piece| lines.read(piece).is_ok())
    }

    #[test]
    fn lines_of_framing_must_be_well_formed_and_others_need_not() {
        for (headers, fine) in [
            ("Content-Length: 5", true),
            ("content-length:5\r\nTRANSFER-ENCODING: chunked", true),
            ("X-A : true\r\nContent-Length: 5", true),
            ("X: a\r\n  b\r\nContent-Length: 5\r\nY: z", true),
            ("PHP Warning: no\r\ngarbage\r\nContent-Length: 5", true),
            ("X-Content-Length : 5", true),
            ("Content-Length : 5", false),
            (" Content-Length: 5", false),
            ("X: a\r\n Content-Length: 5", false),
            ("Content-Length: 5\r\n 6", false),
            ("Content-Length:\r\n\t5", false),
            ("Transfer-Encoding: chunked\r\n , gzip", false),
            ("Transfer-Encoding\t: chunked", false),
            ("\0Transfer-Encoding: chunked", false),
            ("Content-Length", false),
            ("Content-Length 5", true),
            ("Content-Length: 5\u{1}", false),
            ("X: a\u{1b}b", true),
            ("X: a\0b", false),
            ("X: a\rContent-Length: 5", false),
        ] {
            for end in ["\r\n", "\n"] {
                let head =
                    format!("HTTP/1.1 200 OK{end}{}{end}{end}", headers.replace("\r\n", end));
                // Bytes of the body that look like a framing line do not matter.
                let response = format!("{head}Content-Length : 9\r\n");
                let early = format!("\r\nHTTP/1.1 103 Early{end}Link: x{end}{end}{response}");
                for piece in [1, 1 << 20] {
                    assert_eq!(is_fine(response.as_bytes(), piece), fine, "{headers}");
                    assert_eq!(is_fine(early.as_bytes(), piece), fine, "{headers}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_arrive(
            bytes in prop::collection::vec(prop::sample::select(b"\r\n :-Content-Lh1".to_vec()), 0..300),
            piece in 1usize..20,
        ) {
            prop_assert_eq!(is_fine(&bytes, piece), is_fine(&bytes, usize::MAX));
        }
    }
}
