//! Functional events and the lifetime of workers.

use bgfetch_binding::bgfetch::{DispatchError, EventKind};
use bgfetch_binding::{Handle, event};

use crate::error::bgfetch_error;
use crate::ffi::{argument, bgfetch_handle, bgfetch_str, contained, free, out};

/// Which event.
#[repr(u32)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub enum bgfetch_event_kind {
    /// Every record succeeded: `backgroundfetchsuccess`.
    BGFETCH_EVENT_SUCCESS = 1,
    /// A record failed: `backgroundfetchfail`.
    BGFETCH_EVENT_FAIL = 2,
    /// The fetch was aborted: `backgroundfetchabort`.
    BGFETCH_EVENT_ABORT = 3,
    /// The user activated it: `backgroundfetchclick`.
    BGFETCH_EVENT_CLICK = 4,
}

pub(crate) const fn number(kind: EventKind) -> u32 {
    match kind {
        EventKind::Success => bgfetch_event_kind::BGFETCH_EVENT_SUCCESS as u32,
        EventKind::Fail => bgfetch_event_kind::BGFETCH_EVENT_FAIL as u32,
        EventKind::Abort => bgfetch_event_kind::BGFETCH_EVENT_ABORT as u32,
        EventKind::Click => bgfetch_event_kind::BGFETCH_EVENT_CLICK as u32,
    }
}

/// Why not all listeners ran.
#[repr(u32)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub enum bgfetch_not_handled {
    /// There is no active worker. The event waits.
    BGFETCH_NO_ACTIVE_WORKER = 1,
    /// The worker is not to be started now. The event waits.
    BGFETCH_NOT_YET = 2,
    /// The worker did not start. The event is fired again later.
    BGFETCH_START_FAILED = 3,
    /// The worker ended before its listeners had run. The event is fired again later.
    BGFETCH_CRASHED = 4,
}

const NO_ACTIVE_WORKER: u32 = bgfetch_not_handled::BGFETCH_NO_ACTIVE_WORKER as u32;
const NOT_YET: u32 = bgfetch_not_handled::BGFETCH_NOT_YET as u32;
const START_FAILED: u32 = bgfetch_not_handled::BGFETCH_START_FAILED as u32;
const CRASHED: u32 = bgfetch_not_handled::BGFETCH_CRASHED as u32;

/// `waitUntil()`: the event stays active until the extension is settled. Freeing the extension instead says that its
/// promise will never settle; then the event is fired again.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_event_extend(
    event: bgfetch_handle,
    extension: Option<&mut bgfetch_handle>,
) -> Option<Box<bgfetch_error>> {
    contained(|| {
        *out(extension)? = event::extend(Handle::from_raw(event))?.raw();
        Ok(())
    })
}

/// Whether the event is active. False for a bad handle.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_event_is_active(event: bgfetch_handle) -> bool {
    let mut active = false;
    let failed = contained(|| {
        active = event::is_active(Handle::from_raw(event))?;
        Ok(())
    });
    drop(failed);
    active
}

/// A promise that was given to `waitUntil()` has settled. If `rejection` is not NULL, it was rejected for that reason. Frees
/// the extension.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_extension_settle(
    extension: bgfetch_handle,
    rejection: bgfetch_str,
) -> Option<Box<bgfetch_error>> {
    contained(|| event::settle(Handle::from_raw(extension), rejection.text_or_none()?))
}

/// Frees an extension whose promise will never settle. 0 is fine.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_extension_free(extension: bgfetch_handle) -> Option<Box<bgfetch_error>> {
    contained(|| free(Handle::from_raw(extension), event::free_extension))
}

/// The listeners, and the microtasks after them, have run.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_event_end_dispatch(event: bgfetch_handle) -> Option<Box<bgfetch_error>> {
    contained(|| event::end_dispatch(Handle::from_raw(event)))
}

/// Not all listeners ran: `why` is a bgfetch_not_handled, and `reason` a sentence for people.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_event_not_handled(
    event: bgfetch_handle,
    why: u32,
    reason: bgfetch_str,
) -> Option<Box<bgfetch_error>> {
    contained(|| {
        let reason = reason.text()?.to_owned();
        let error = match why {
            NO_ACTIVE_WORKER => DispatchError::NoActiveWorker,
            NOT_YET => DispatchError::NotYet,
            START_FAILED => DispatchError::StartFailed(reason),
            CRASHED => DispatchError::Crashed(reason),
            _ => return Err(argument("there is no such reason")),
        };
        event::not_handled(Handle::from_raw(event), error)
    })
}

/// The worker ended. If the event is still active, it ends, and is fired again later.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_event_worker_terminated(
    event: bgfetch_handle,
    reason: bgfetch_str,
) -> Option<Box<bgfetch_error>> {
    contained(|| event::worker_terminated(Handle::from_raw(event), reason.text()?))
}

/// `updateUI()`, with `title` and `icons` in JSON, each optional: answered when the update is kept.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_event_update_ui(
    event: bgfetch_handle,
    token: u64,
    options: bgfetch_str,
) -> Option<Box<bgfetch_error>> {
    contained(|| event::update_ui(Handle::from_raw(event), token, options.text()?))
}

/// Frees an event. If it was not dispatched, the worker counts as crashed. 0 is fine.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_event_free(event: bgfetch_handle) -> Option<Box<bgfetch_error>> {
    contained(|| free(Handle::from_raw(event), event::free))
}
