//! Answers to what the engine asks its host.

use bgfetch_binding::bgfetch::Permission;
use bgfetch_binding::{Handle, question};

use crate::error::bgfetch_error;
use crate::ffi::{argument, bgfetch_handle, bgfetch_str, contained};

/// The permission for a call of `fetch()`.
#[repr(u32)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub enum bgfetch_permission {
    /// Refuse.
    BGFETCH_PERMISSION_DENIED = 0,
    /// Proceed.
    BGFETCH_PERMISSION_GRANTED = 1,
    /// Proceed, but paused until the user accepts.
    BGFETCH_PERMISSION_START_PAUSED = 2,
}

const DENIED: u32 = bgfetch_permission::BGFETCH_PERMISSION_DENIED as u32;
const GRANTED: u32 = bgfetch_permission::BGFETCH_PERMISSION_GRANTED as u32;
const START_PAUSED: u32 = bgfetch_permission::BGFETCH_PERMISSION_START_PAUSED as u32;

/// Answers BGFETCH_PERMISSION with a bgfetch_permission.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_answer_permission(
    token: bgfetch_handle,
    permission: u32,
) -> Option<Box<bgfetch_error>> {
    contained(|| {
        let permission = match permission {
            DENIED => Permission::Denied,
            GRANTED => Permission::Granted,
            START_PAUSED => Permission::StartPaused,
            _ => return Err(argument("there is no such permission")),
        };
        question::permission(Handle::from_raw(token), permission)
    })
}

/// Answers BGFETCH_LOCAL_NETWORK.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_answer_local_network(
    token: bgfetch_handle,
    granted: bool,
) -> Option<Box<bgfetch_error>> {
    contained(|| question::local_network(Handle::from_raw(token), granted))
}

/// Answers BGFETCH_QUOTA with the limit in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_answer_quota(
    token: bgfetch_handle,
    bytes: u64,
) -> Option<Box<bgfetch_error>> {
    contained(|| question::quota(Handle::from_raw(token), bytes))
}

/// Answers BGFETCH_COOKIES with the value of the request's header `Cookie`, or an empty text for none. If cookies were set,
/// the answer says that they are stored.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_answer_cookies(
    token: bgfetch_handle,
    value: bgfetch_str,
) -> Option<Box<bgfetch_error>> {
    contained(|| question::cookies(Handle::from_raw(token), Some(value.bytes())))
}
