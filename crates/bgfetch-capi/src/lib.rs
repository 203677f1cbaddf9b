//! [`bgfetch`](bgfetch_binding::bgfetch) for C and C++: `bgfetch.h`, which cbindgen makes of this crate, over
//! `bgfetch-binding`. What is decided here is only how things look in C.

pub mod answers;
pub mod body;
pub mod completion;
pub mod engine;
pub mod error;
pub mod event;
pub mod fetch;
pub mod ffi;
pub mod network;
pub mod queue;
pub mod registration;

use ffi::bgfetch_str;

/// The version of the library, as in "0.1.0". Compare it with BGFETCH_VERSION to find out whether it is that of the
/// header.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_version() -> bgfetch_str {
    bgfetch_str::of(env!("CARGO_PKG_VERSION"))
}
