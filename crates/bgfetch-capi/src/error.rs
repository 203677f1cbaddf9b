//! Errors. A function that can fail returns one, or NULL.

use bgfetch_binding::Error;

use crate::ffi::bgfetch_str;

/// Why a call failed. The caller frees it, unless it is part of a completion.
#[allow(non_camel_case_types)]
pub struct bgfetch_error(Error);

impl bgfetch_error {
    pub(crate) fn new(error: Error) -> Self {
        Self(error)
    }
}

/// Its number, one of `BGFETCH_ERROR_…`, or 0 for NULL. Numbers never change, and one that is no longer used is not
/// given to another error.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_error_code(error: Option<&bgfetch_error>) -> u32 {
    error.map_or(0, |error| error.0.code().number())
}

/// Its name: lower-case words with hyphens. It never changes and is never freed.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_error_name(error: Option<&bgfetch_error>) -> bgfetch_str {
    error.map_or(bgfetch_str::EMPTY, |error| bgfetch_str::of(error.0.code().name()))
}

/// A sentence for people, which lives as long as the error.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_error_message(error: Option<&bgfetch_error>) -> bgfetch_str {
    error.map_or(bgfetch_str::EMPTY, |error| bgfetch_str::of(error.0.message()))
}

/// The name of the exception that a script gets: that of a DOMException, or "TypeError". Empty if no script could have
/// caused the error. It is never freed.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_error_exception(error: Option<&bgfetch_error>) -> bgfetch_str {
    let name = error.and_then(|error| error.0.exception());
    name.map_or(bgfetch_str::EMPTY, bgfetch_str::of)
}

/// Frees an error. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_error_free(error: Option<Box<bgfetch_error>>) {
    drop(error);
}
