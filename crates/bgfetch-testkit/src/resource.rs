//! Content computed from its offset.

use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::Path;
use std::time::SystemTime;

/// How many bytes are computed at once.
const CHUNK: usize = 64 * 1024;

/// A representation: pseudo-random bytes, each computed from the seed and its offset, and the
/// validators that an [`Origin`](crate::Origin) sends with them.
///
/// Two seeds differ from the first bytes on, so a splice of two representations is always detected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    seed: u64,
    length: u64,
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<SystemTime>,
}

/// How bytes differ from those of a [`Resource`].
#[derive(Debug, thiserror::Error)]
pub enum Mismatch {
    /// The first byte that differs.
    #[error("the byte at offset {0} differs")]
    Byte(u64),
    /// All compared bytes are correct, but there are too many or too few of them.
    #[error("{found} bytes instead of {expected}")]
    Length {
        /// The resource's length.
        expected: u64,
        /// The number of bytes found.
        found: u64,
    },
    /// The file could not be read.
    #[error("the file cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

impl Resource {
    /// `length` bytes of the sequence that `seed` determines, without validators.
    #[must_use]
    pub fn new(seed: u64, length: u64) -> Self {
        Self { seed, length, etag: None, last_modified: None }
    }

    /// Sends this `ETag`, exactly as given with its quotes and any `W/`.
    #[must_use]
    pub fn etag(self, etag: impl Into<String>) -> Self {
        Self { etag: Some(etag.into()), ..self }
    }

    /// Sends this `Last-Modified`, truncated to whole seconds.
    #[must_use]
    pub fn last_modified(self, at: SystemTime) -> Self {
        Self { last_modified: Some(at), ..self }
    }

    /// The number of bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// All the bytes; for small resources.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.slice(0..self.length)
    }

    /// The bytes at these offsets.
    ///
    /// # Panics
    ///
    /// If the range is not within the resource.
    #[must_use]
    pub fn slice(&self, range: Range<u64>) -> Vec<u8> {
        assert!(range.start <= range.end && range.end <= self.length);
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
        self.fill(range.start, &mut bytes);
        bytes
    }

    /// Fails unless `bytes` are those of the resource from `offset` on. They may end early.
    ///
    /// # Errors
    ///
    /// The first byte that differs, or a length that exceeds the resource's end.
    pub fn verify(&self, offset: u64, bytes: &[u8]) -> Result<(), Mismatch> {
        let within = usize::try_from(self.length.saturating_sub(offset))
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let mut expected = vec![0; within.min(CHUNK)];
        let mut at = offset;
        for found in bytes[..within].chunks(CHUNK) {
            let expected = &mut expected[..found.len()];
            self.fill(at, expected);
            if let Some(differs) = expected.iter().zip(found).position(|(a, b)| a != b) {
                return Err(Mismatch::Byte(at + differs as u64));
            }
            at += found.len() as u64;
        }
        if within < bytes.len() {
            return Err(Mismatch::Length {
                expected: self.length,
                found: offset + bytes.len() as u64,
            });
        }
        Ok(())
    }

    /// Fails unless the file holds exactly this resource. Reads it in pieces.
    ///
    /// # Errors
    ///
    /// The first byte that differs, another length, or a file that cannot be read.
    pub fn matches_file(&self, path: impl AsRef<Path>) -> Result<(), Mismatch> {
        self.matches_prefix(File::open(path)?, self.length)
    }

    /// Fails unless the file holds exactly the first `length` bytes of this resource.
    ///
    /// # Errors
    ///
    /// As for [`Self::matches_file`].
    pub fn matches_partial_file(
        &self,
        path: impl AsRef<Path>,
        length: u64,
    ) -> Result<(), Mismatch> {
        self.matches_prefix(File::open(path)?, length)
    }

    fn matches_prefix(&self, mut file: File, length: u64) -> Result<(), Mismatch> {
        let mut buffer = vec![0; CHUNK];
        let mut at = 0;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            self.verify(at, &buffer[..read])?;
            at += read as u64;
        }
        if at == length {
            return Ok(());
        }
        Err(Mismatch::Length { expected: length, found: at })
    }

    /// Writes the resource to a file, replacing its content.
    ///
    /// # Panics
    ///
    /// If the file cannot be written.
    pub fn write_to(&self, path: impl AsRef<Path>) {
        let path = path.as_ref();
        self.copy_to(File::create(path))
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }

    fn copy_to(&self, file: io::Result<File>) -> io::Result<()> {
        let mut file = file?;
        let mut buffer = vec![0; CHUNK];
        let mut at = 0;
        while at < self.length {
            let chunk =
                &mut buffer[..CHUNK.min(usize::try_from(self.length - at).unwrap_or(CHUNK))];
            self.fill(at, chunk);
            file.write_all(chunk)?;
            at += chunk.len() as u64;
        }
        Ok(())
    }

    /// Computes the bytes from `offset` on.
    pub(crate) fn fill(&self, offset: u64, buffer: &mut [u8]) {
        let key = mix(self.seed);
        let word = |index: u64| mix(key ^ index).to_le_bytes();
        let skip = (offset % 8) as usize;
        let head = buffer.len().min((8 - skip) % 8);
        let (head, rest) = buffer.split_at_mut(head);
        head.copy_from_slice(&word(offset / 8)[skip..][..head.len()]);
        let first = offset.div_ceil(8);
        for (index, chunk) in rest.chunks_mut(8).enumerate() {
            chunk.copy_from_slice(&word(first + index as u64)[..chunk.len()]);
        }
    }
}

/// The finalizer of SplitMix64: a bijection whose every output bit depends on every input bit.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A checksum of bytes that are not kept (64-bit FNV-1a): it detects accidents, not forgeries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checksum(u64);

impl Checksum {
    pub(crate) const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(crate) fn of(resource: &Resource) -> Self {
        let mut sum = Self::EMPTY;
        let mut at = 0;
        while at < resource.length {
            let end = resource.length.min(at + CHUNK as u64);
            sum.update(&resource.slice(at..end));
            at = end;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GIB;

    #[test]
    fn any_slice_equals_the_same_part_of_the_whole() {
        let resource = Resource::new(1, 100);
        let whole = resource.bytes();
        for start in 0..40 {
            for end in start..60 {
                assert_eq!(
                    resource.slice(start..end),
                    whole[start as usize..end as usize],
                    "{start}..{end}"
                );
            }
        }
    }

    #[test]
    fn seeds_and_distant_offsets_differ() {
        let one = Resource::new(1, 5 * GIB);
        let two = Resource::new(2, 5 * GIB);
        assert_ne!(one.slice(0..8), two.slice(0..8));
        assert_ne!(one.slice(0..8), one.slice(4 * GIB..4 * GIB + 8));
        assert_ne!(one.slice(0..8), one.slice(8..16));
    }

    #[test]
    fn verify_names_the_first_wrong_byte_and_a_wrong_length() {
        let resource = Resource::new(3, 200_000);
        let mut bytes = resource.slice(10..200_000);
        resource.verify(10, &bytes).unwrap();
        bytes[150_000] ^= 1;
        bytes[160_000] ^= 1;
        assert!(matches!(resource.verify(10, &bytes), Err(Mismatch::Byte(150_010))));
        let mut long = resource.bytes();
        long.push(0);
        assert!(matches!(
            resource.verify(0, &long),
            Err(Mismatch::Length { expected: 200_000, found: 200_001 })
        ));
    }

    #[test]
    fn files_are_written_and_compared_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.bin");
        let resource = Resource::new(4, 100_001);
        resource.write_to(&path);
        assert_eq!(std::fs::read(&path).unwrap(), resource.bytes());
        resource.matches_file(&path).unwrap();
        assert!(matches!(Resource::new(5, 100_001).matches_file(&path), Err(Mismatch::Byte(0))));
        assert!(matches!(
            Resource::new(4, 100_002).matches_file(&path),
            Err(Mismatch::Length { found: 100_001, .. })
        ));
        File::options().write(true).open(&path).unwrap().set_len(77).unwrap();
        resource.matches_partial_file(&path, 77).unwrap();
        assert!(matches!(
            resource.matches_file(dir.path().join("absent")),
            Err(Mismatch::Unreadable(_))
        ));
    }

    #[test]
    fn checksums_do_not_depend_on_how_the_bytes_were_cut() {
        let resource = Resource::new(6, 1000);
        let mut sum = Checksum::EMPTY;
        for piece in resource.bytes().chunks(7) {
            sum.update(piece);
        }
        assert_eq!(sum, Checksum::of(&resource));
        assert_ne!(sum, Checksum::of(&Resource::new(7, 1000)));
    }
}
