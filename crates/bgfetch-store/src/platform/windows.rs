//! Reading and writing at an offset on Windows. It moves the cursor, which nobody uses.

use std::fs::File;
use std::io;
use std::os::windows::fs::FileExt as _;

/// Reads at an offset.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek_read(buffer, offset)
}

/// Writes at an offset.
pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    file.seek_write(bytes, offset)
}
