//! Bodies: of responses, of requests that the host reads, and of those that it supplies.

use bgfetch_binding::{Handle, body, source, stream};

use crate::error::bgfetch_error;
use crate::ffi::{array, bgfetch_handle, bgfetch_str, buffer, contained, free, out};

/// What a read found.
#[repr(u32)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub enum bgfetch_read_state {
    /// At least one byte.
    BGFETCH_READ_READY = 0,
    /// The bytes are still to come: BGFETCH_BODY_READY tells when to try again.
    BGFETCH_READ_AGAIN = 1,
    /// The body ends here, or earlier.
    BGFETCH_READ_END = 2,
}

/// What a read found, and how many bytes.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct bgfetch_read {
    /// What it found.
    state: bgfetch_read_state,
    /// How many bytes were read.
    length: usize,
}

/// Reads at most `length` bytes at `offset` of the whole body into a buffer. It never waits for the network, but may wait
/// for the disk.
///
/// # Safety
///
/// `to` points to `length` bytes, and `read` to where the result goes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bgfetch_body_read(
    body: bgfetch_handle,
    offset: u64,
    to: *mut u8,
    length: usize,
    read: *mut bgfetch_read,
) -> Option<Box<bgfetch_error>> {
    contained(|| {
        // SAFETY: the caller promises the same.
        let buffer = unsafe { buffer(to, length) }?;
        // SAFETY: the caller promises that it points to a place for the result, or is NULL.
        let place = unsafe { read.cast::<std::mem::MaybeUninit<bgfetch_read>>().as_mut() };
        let place = out(place)?;
        let (state, length) = match body::read(Handle::from_raw(body), offset, buffer)? {
            body::Read::Ready(length) => (bgfetch_read_state::BGFETCH_READ_READY, length),
            body::Read::Again => (bgfetch_read_state::BGFETCH_READ_AGAIN, 0),
            body::Read::End => (bgfetch_read_state::BGFETCH_READ_END, 0),
        };
        place.write(bgfetch_read { state, length });
        Ok(())
    })
}

/// The length of the whole body in bytes, or UINT64_MAX if it is not known yet.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_body_length(
    body: bgfetch_handle,
    length: Option<&mut u64>,
) -> Option<Box<bgfetch_error>> {
    contained(|| {
        *out(length)? = body::length(Handle::from_raw(body))?.unwrap_or(u64::MAX);
        Ok(())
    })
}

/// Writes bytes to a source: all of them, or none if there is no credit for them. Up to 192 KiB always get their credit
/// in the end.
///
/// # Safety
///
/// `data` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bgfetch_source_write(
    source: bgfetch_handle,
    data: *const u8,
    length: usize,
) -> Option<Box<bgfetch_error>> {
    contained(|| {
        // SAFETY: the caller promises the same.
        let bytes = unsafe { array(data, length) };
        source::write(Handle::from_raw(source), bytes.to_vec())
    })
}

/// Makes a source for the body of one request. The host writes to it when there is BGFETCH_CREDIT for it, and ends it.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_source_new(
    queue: bgfetch_handle,
    source: Option<&mut bgfetch_handle>,
) -> Option<Box<bgfetch_error>> {
    contained(|| {
        *out(source)? = source::new(Handle::from_raw(queue))?.raw();
        Ok(())
    })
}

/// Reads at most `limit` bytes at `offset` on another thread, and waits for the first of them: answered by bytes, of which
/// there are none at the end of the body.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_body_read_later(
    body: bgfetch_handle,
    token: u64,
    offset: u64,
    limit: usize,
) -> Option<Box<bgfetch_error>> {
    contained(|| body::read_later(Handle::from_raw(body), token, offset, limit))
}

/// Frees a body. 0 is fine.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_body_free(body: bgfetch_handle) -> Option<Box<bgfetch_error>> {
    contained(|| free(Handle::from_raw(body), body::free))
}

/// Reads the next bytes of a stream: answered by bytes, of which there are none at the end.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_stream_read(
    stream: bgfetch_handle,
    token: u64,
) -> Option<Box<bgfetch_error>> {
    contained(|| stream::read(Handle::from_raw(stream), token))
}

/// Frees a stream. 0 is fine.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_stream_free(stream: bgfetch_handle) -> Option<Box<bgfetch_error>> {
    contained(|| free(Handle::from_raw(stream), stream::free))
}

/// For how many bytes there is credit.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_source_credit(
    source: bgfetch_handle,
    credit: Option<&mut usize>,
) -> Option<Box<bgfetch_error>> {
    contained(|| {
        *out(credit)? = source::credit(Handle::from_raw(source))?;
        Ok(())
    })
}

/// Ends a source. If `failure` is not NULL, the body cannot be read, for that reason.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_source_end(
    source: bgfetch_handle,
    failure: bgfetch_str,
) -> Option<Box<bgfetch_error>> {
    contained(|| source::end(Handle::from_raw(source), failure.text_or_none()?))
}

/// Frees a source. If it was not ended, the body cannot be read. 0 is fine.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_source_free(source: bgfetch_handle) -> Option<Box<bgfetch_error>> {
    contained(|| free(Handle::from_raw(source), source::free))
}
