//! Engines, and what the user sees of them.

use bgfetch_binding::bgfetch::FetchKey;
use bgfetch_binding::{Handle, engine, ui};

use crate::error::bgfetch_error;
use crate::ffi::{bgfetch_handle, bgfetch_str, contained, free};

/// Opens an engine with these options in JSON: answered by a handle. It needs a `directory`, or `"ephemeral": true`. The
/// table of options is in the guide.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_engine_open(
    queue: bgfetch_handle,
    token: u64,
    options: bgfetch_str,
) -> Option<Box<bgfetch_error>> {
    contained(|| engine::open(Handle::from_raw(queue), token, options.text()?))
}

/// Ends an engine gracefully: answered when its store is closed. BGFETCH_CLOSED follows.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_engine_close(
    engine: bgfetch_handle,
    token: u64,
) -> Option<Box<bgfetch_error>> {
    contained(|| engine::close(Handle::from_raw(engine), token))
}

/// Frees an engine. If it was not closed, it ends as in a crash, which loses nothing that is durable. 0 is fine.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_engine_free(engine: bgfetch_handle) -> Option<Box<bgfetch_error>> {
    contained(|| free(Handle::from_raw(engine), engine::free))
}

/// How much of its quota a storage key uses: answered by JSON.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_engine_usage(
    engine: bgfetch_handle,
    token: u64,
    storage_key: bgfetch_str,
) -> Option<Box<bgfetch_error>> {
    contained(|| engine::usage(Handle::from_raw(engine), token, storage_key.text()?))
}

/// The registrations in the store: answered by JSON.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_engine_registrations(
    engine: bgfetch_handle,
    token: u64,
) -> Option<Box<bgfetch_error>> {
    contained(|| engine::registrations(Handle::from_raw(engine), token))
}

/// Removes all registrations of a storage key with their fetches and bytes: answered when every byte is durably gone.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_engine_clear(
    engine: bgfetch_handle,
    token: u64,
    storage_key: bgfetch_str,
) -> Option<Box<bgfetch_error>> {
    contained(|| engine::clear(Handle::from_raw(engine), token, storage_key.text()?))
}

/// The permission of a storage key's pages was revoked: their calls of `fetch()` are refused, and their active fetches
/// aborted.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_engine_revoke_permission(
    engine: bgfetch_handle,
    token: u64,
    storage_key: bgfetch_str,
) -> Option<Box<bgfetch_error>> {
    contained(|| engine::revoke_permission(Handle::from_raw(engine), token, storage_key.text()?))
}

/// Changes how many attempts may run at once: the option `limits`, in JSON.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_engine_set_limits(
    engine: bgfetch_handle,
    token: u64,
    limits: bgfetch_str,
) -> Option<Box<bgfetch_error>> {
    contained(|| engine::set_limits(Handle::from_raw(engine), token, limits.text()?))
}

/// Changes how many bytes per second all fetches together move. UINT64_MAX is no limit.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_engine_set_rate(
    engine: bgfetch_handle,
    token: u64,
    rate: u64,
) -> Option<Box<bgfetch_error>> {
    contained(|| engine::set_rate(Handle::from_raw(engine), token, limit(rate)))
}

/// Says whether the network is available and whether it costs, for an engine with `"connectivity": "manual"`.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_engine_set_online(
    engine: bgfetch_handle,
    online: bool,
    metered: bool,
) -> Option<Box<bgfetch_error>> {
    contained(|| engine::set_online(Handle::from_raw(engine), online, metered))
}

/// All fetches that are active, or finished and not dismissed: answered by JSON.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_ui_jobs(
    engine: bgfetch_handle,
    token: u64,
) -> Option<Box<bgfetch_error>> {
    contained(|| ui::jobs(Handle::from_raw(engine), token))
}

/// Sends all jobs as BGFETCH_JOB, and then each that changes, until the engine ends.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_ui_watch(
    engine: bgfetch_handle,
    token: u64,
) -> Option<Box<bgfetch_error>> {
    contained(|| ui::watch(Handle::from_raw(engine), token))
}

/// Pauses the fetch with this key.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_ui_pause(
    engine: bgfetch_handle,
    token: u64,
    key: u64,
) -> Option<Box<bgfetch_error>> {
    contained(|| ui::pause(Handle::from_raw(engine), token, FetchKey(key)))
}

/// Resumes the fetch with this key, or accepts one that was started paused.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_ui_resume(
    engine: bgfetch_handle,
    token: u64,
    key: u64,
) -> Option<Box<bgfetch_error>> {
    contained(|| ui::resume(Handle::from_raw(engine), token, FetchKey(key)))
}

/// Aborts the fetch with this key: answered by whether it was active.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_ui_abort(
    engine: bgfetch_handle,
    token: u64,
    key: u64,
) -> Option<Box<bgfetch_error>> {
    contained(|| ui::abort(Handle::from_raw(engine), token, FetchKey(key)))
}

/// Activates the fetch with this key: its worker gets `backgroundfetchclick`.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_ui_click(
    engine: bgfetch_handle,
    token: u64,
    key: u64,
) -> Option<Box<bgfetch_error>> {
    contained(|| ui::click(Handle::from_raw(engine), token, FetchKey(key)))
}

/// Removes the finished fetch with this key from the list, or gives up one whose event waits for a worker.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_ui_dismiss(
    engine: bgfetch_handle,
    token: u64,
    key: u64,
) -> Option<Box<bgfetch_error>> {
    contained(|| ui::dismiss(Handle::from_raw(engine), token, FetchKey(key)))
}

/// Caps the bytes per second of the fetch with this key. UINT64_MAX is no cap.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_ui_set_rate(
    engine: bgfetch_handle,
    token: u64,
    key: u64,
    rate: u64,
) -> Option<Box<bgfetch_error>> {
    contained(|| ui::set_rate(Handle::from_raw(engine), token, FetchKey(key), limit(rate)))
}

fn limit(rate: u64) -> Option<u64> {
    (rate != u64::MAX).then_some(rate)
}
