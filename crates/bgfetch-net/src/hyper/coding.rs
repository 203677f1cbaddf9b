//! The supported content codings, and the memory that decoding them takes.

/// A content coding, [RFC 9110 section 8.4.1](https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    /// Its name in `Content-Encoding`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// The most memory that decoding takes, in KiB. `first` is the first byte of the coded data, if
    /// it is known.
    pub(super) fn memory(self, first: Option<u8>) -> u32 {
        match self {
            // The window has 32 KiB, the tables less.
            Self::Gzip | Self::Deflate => BUFFERS + 128,
            Self::Brotli => {
                let window = first.and_then(brotli_window).unwrap_or(BROTLI_WINDOW_LOG);
                Self::brotli_memory(window)
            }
            // A later frame may need a larger window than the first one.
            Self::Zstd => BUFFERS + (1 << (ZSTD_WINDOW_LOG - 10)) + 1024,
        }
    }

    /// The most memory that decoding brotli with a window of `2^window_log` bytes takes, in KiB.
    /// The decoder doubles its window as the data needs it, and has both for a moment. Its tables
    /// of prefix codes have up to 3.5 MiB.
    pub(super) const fn brotli_memory(window_log: u32) -> u32 {
        BUFFERS + ((3 << window_log) >> 11) + 3584
    }
}

/// The buffers before and after a decoder, in KiB.
const BUFFERS: u32 = 192;

/// The largest window of brotli: 16 MiB, [RFC 7932 section
/// 9.1](https://www.rfc-editor.org/rfc/rfc7932#section-9.1).
const BROTLI_WINDOW_LOG: u32 = 24;

/// The window to which [RFC 9659](https://www.rfc-editor.org/rfc/rfc9659) limits `zstd` in
/// `Content-Encoding`: 8 MiB.
pub(super) const ZSTD_WINDOW_LOG: u32 = 23;

/// The binary logarithm of the window that brotli data starting with this byte declares. There is
/// none if the data uses "large windows" of up to 1 GiB, which are no part of the standard but
/// which the decoder accepts.
pub(super) fn brotli_window(first: u8) -> Option<u32> {
    match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, ..) => Some(16),
        (_, 0, 0) => Some(17),
        (_, 0, 1) => None,
        (_, 0, bits) => Some(8 + u32::from(bits)),
        (_, bits, _) => Some(17 + u32::from(bits)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brotli_declares_its_window_in_the_first_byte() {
        let windows =
            |bytes: &[u8]| bytes.iter().map(|&byte| brotli_window(byte)).collect::<Vec<_>>();
        // RFC 7932, section 9.1.
        assert_eq!(windows(&[0x21, 0x31, 0x71]), [Some(10), Some(11), Some(15)]);
        assert_eq!(windows(&[0x00, 0xFE, 0x01, 0x81]), [Some(16), Some(16), Some(17), Some(17)]);
        assert_eq!(windows(&[0x03, 0x0F, 0xFF]), [Some(18), Some(24), Some(24)]);
        assert_eq!(windows(&[0x11, 0x91]), [None, None]);
    }

    #[test]
    fn what_is_unknown_counts_as_the_most() {
        for coding in [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd] {
            let most = coding.memory(None);
            assert!((0..=u8::MAX).all(|first| coding.memory(Some(first)) <= most), "{coding:?}");
        }
        assert!(Coding::Brotli.memory(Some(0x03)) < Coding::Brotli.memory(None));
    }
}
