//! The border: what comes from C, and what goes there. Nearly all unsafe code is in this file.

use std::ffi::{OsStr, c_char};
use std::mem::size_of;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::slice;

use bgfetch_binding::{Code, Error, Handle, Result};

use crate::error::bgfetch_error;

/// The number of an object. 0 names none. A handle that was freed, or that names an object of another kind, is an error
/// (BGFETCH_ERROR_INVALID_HANDLE, BGFETCH_ERROR_WRONG_KIND) and never another object.
#[allow(non_camel_case_types)]
pub type bgfetch_handle = u64;

/// Text in UTF-8. NULL is the empty text. As an argument it is borrowed for the call, and need not be terminated. In a
/// completion, a zero byte follows that does not count.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct bgfetch_str {
    /// The first byte.
    pub(crate) data: *const c_char,
    /// How many bytes.
    pub(crate) length: usize,
}

impl bgfetch_str {
    pub(crate) const EMPTY: Self = Self { data: std::ptr::null(), length: 0 };

    /// Borrows a text, which must live as long as the completion that it becomes a part of.
    pub(crate) const fn of(text: &str) -> Self {
        Self::of_bytes(text.as_bytes())
    }

    /// The same for bytes.
    pub(crate) const fn of_bytes(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr().cast(), length: bytes.len() }
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        if self.data.is_null() {
            return &[];
        }
        // SAFETY: only C makes values of this type as arguments, and bgfetch.h says that `data` points to `length`
        // bytes that do not change during the call. The reference does not outlive the argument, and so not the call.
        unsafe { slice::from_raw_parts(self.data.cast(), self.length) }
    }

    pub(crate) fn text(&self) -> Result<&str> {
        std::str::from_utf8(self.bytes()).map_err(|_| argument("a text is not UTF-8"))
    }

    /// The text, or `None` if it is NULL.
    pub(crate) fn text_or_none(&self) -> Result<Option<&str>> {
        if self.data.is_null() { Ok(None) } else { self.text().map(Some) }
    }

    pub(crate) fn path(&self) -> PathBuf {
        OsStr::from_bytes(self.bytes()).into()
    }
}

/// A caller's struct that begins with its size, which must be the one that this library knows.
///
/// # Safety
///
/// `pointer` is NULL, or points to a struct that nobody else uses during the call, that begins with a `size_t` of its
/// size, and whose bytes are initialized.
pub(crate) unsafe fn sized<'a, T>(pointer: *mut T) -> Result<&'a mut T> {
    if pointer.is_null() {
        return Err(argument("a pointer to a struct is NULL"));
    }
    // SAFETY: the struct is there and begins with a `usize`, says the caller.
    let size = unsafe { pointer.cast::<usize>().read() };
    if size != size_of::<T>() {
        return Err(argument("a struct does not begin with its size"));
    }
    // SAFETY: the struct has the size of `T`, so it is a `T`, and it is borrowed for this call alone.
    Ok(unsafe { &mut *pointer })
}

/// A caller's buffer.
///
/// # Safety
///
/// `pointer` is NULL, or points to `length` bytes that nobody else uses during the call.
pub(crate) unsafe fn buffer<'a>(pointer: *mut u8, length: usize) -> Result<&'a mut [u8]> {
    if pointer.is_null() || length > isize::MAX as usize {
        return Err(argument("a buffer is NULL or larger than the address space"));
    }
    // SAFETY: the bytes are there and are borrowed for this call alone, says the caller. They come from C, where each
    // byte of an object has a value.
    Ok(unsafe { slice::from_raw_parts_mut(pointer, length) })
}

/// A caller's array.
///
/// # Safety
///
/// `pointer` is NULL, or points to `length` elements that do not change during the call.
pub(crate) unsafe fn array<'a, T>(pointer: *const T, length: usize) -> &'a [T] {
    if pointer.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: the elements are there during this call, says the caller.
    unsafe { slice::from_raw_parts(pointer, length) }
}

/// Where a result goes.
pub(crate) fn out<T>(place: Option<&mut T>) -> Result<&mut T> {
    place.ok_or_else(|| argument("a pointer for a result is NULL"))
}

pub(crate) fn argument(message: &str) -> Error {
    Error::new(Code::InvalidArgument, message)
}

/// Runs an exported function: a panic is an error, and no panic reaches C.
pub(crate) fn contained(run: impl FnOnce() -> Result<()>) -> Option<Box<bgfetch_error>> {
    let panicked = |_| Err(Error::new(Code::Panic, "the library panicked"));
    let result = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(panicked);
    result.err().map(|error| Box::new(bgfetch_error::new(error)))
}

/// Frees a handle. 0 is fine, so that a host can free what it may not have got.
pub(crate) fn free(handle: Handle, free: impl FnOnce(Handle) -> Result<()>) -> Result<()> {
    if handle.is_none() { Ok(()) } else { free(handle) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{bgfetch_error_code, bgfetch_error_message};

    #[test]
    fn a_panic_is_an_error_with_a_number() {
        let error = contained(|| panic!("on purpose"));
        assert_eq!(bgfetch_error_code(error.as_deref()), Code::Panic.number());
        assert_eq!(bgfetch_error_message(error.as_deref()).text(), Ok("the library panicked"));
        assert!(contained(|| Ok(())).is_none());
    }

    #[test]
    fn null_is_the_empty_text_or_none() {
        assert_eq!(bgfetch_str::EMPTY.text(), Ok(""));
        assert_eq!(bgfetch_str::EMPTY.text_or_none(), Ok(None));
        assert_eq!(bgfetch_str::of("").text_or_none(), Ok(Some("")));
        assert_eq!(bgfetch_str::of("a\u{e4}").text(), Ok("a\u{e4}"));
        assert!(bgfetch_str::of_bytes(b"\xff").text().is_err());
    }
}
