//! Service worker registrations, with the methods of `BackgroundFetchManager`.

use bgfetch_binding::bgfetch::FetchKey;
use bgfetch_binding::{Handle, registration};

use crate::error::bgfetch_error;
use crate::ffi::{bgfetch_handle, bgfetch_str, contained, free, out};

/// Registers a registration with an active worker, as must be done at each start for every registration that exists:
/// answered by a handle. It acts for a page at its scope, until bgfetch_registration_set_principal says otherwise, and
/// its events are held until bgfetch_registration_start.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_registration_register(
    engine: bgfetch_handle,
    token: u64,
    storage_key: bgfetch_str,
    scope: bgfetch_str,
) -> Option<Box<bgfetch_error>> {
    contained(|| {
        registration::register(Handle::from_raw(engine), token, storage_key.text()?, scope.text()?)
    })
}

/// Another handle for a registration that was registered with the engine: for a page or worker with policies of its own.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_registration_open(
    engine: bgfetch_handle,
    storage_key: bgfetch_str,
    scope: bgfetch_str,
    registration: Option<&mut bgfetch_handle>,
) -> Option<Box<bgfetch_error>> {
    contained(|| {
        let registration = out(registration)?;
        let (engine, storage_key) = (Handle::from_raw(engine), storage_key.text()?);
        *registration = registration::open(engine, storage_key, scope.text()?)?.raw();
        Ok(())
    })
}

/// Sets on whose behalf fetches are made from now on, in JSON: `"user"`, for whom CORS and similar checks do not apply, or
/// `{ "page": { "origin": "https://a.example", "top_level_origin": "https://a.example", "secure_context": true } }` with
/// more policies as in the guide.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_registration_set_principal(
    registration: bgfetch_handle,
    principal: bgfetch_str,
) -> Option<Box<bgfetch_error>> {
    contained(|| registration::set_principal(Handle::from_raw(registration), principal.text()?))
}

/// Takes the registration's events from now on, and first those that wait: each comes as BGFETCH_EVENT. They come until
/// the handle is freed, or another one of the same registration is started.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_registration_start(
    registration: bgfetch_handle,
    token: u64,
) -> Option<Box<bgfetch_error>> {
    contained(|| registration::start(Handle::from_raw(registration), token))
}

/// The `fetch()` method: answered by a fetch when it is durable. The arguments are JSON, such as
/// `{ "id": "film", "requests": ["https://a.example/film"], "title": "A film", "downloadTotal": 1000000 }`. A request is
/// a URL or an object with `url`, and with `method`, `headers` (pairs), `body` (a text or the number of a source) and the
/// other members of a request. With `"held": true` the fetch waits for bgfetch_fetch_start.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_registration_fetch(
    registration: bgfetch_handle,
    token: u64,
    call: bgfetch_str,
) -> Option<Box<bgfetch_error>> {
    contained(|| registration::fetch(Handle::from_raw(registration), token, call.text()?))
}

/// Checks one request, without its body, of a call of `fetch()`, which checks it again.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_check_request(request: bgfetch_str) -> Option<Box<bgfetch_error>> {
    contained(|| registration::check_request(request.text()?))
}

/// The `get()` method: answered by a fetch, or by nothing if no active fetch has the id.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_registration_get(
    registration: bgfetch_handle,
    token: u64,
    id: bgfetch_str,
) -> Option<Box<bgfetch_error>> {
    contained(|| registration::get(Handle::from_raw(registration), token, id.text()?))
}

/// The `getIds()` method: answered by JSON.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_registration_get_ids(
    registration: bgfetch_handle,
    token: u64,
) -> Option<Box<bgfetch_error>> {
    contained(|| registration::get_ids(Handle::from_raw(registration), token))
}

/// The registration's fetch with that key, also if it has finished: answered by a fetch or by nothing.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_registration_find(
    registration: bgfetch_handle,
    token: u64,
    key: u64,
) -> Option<Box<bgfetch_error>> {
    contained(|| registration::find(Handle::from_raw(registration), token, FetchKey(key)))
}

/// Sets whether the registration has an active worker. Without one, `fetch()` is refused and events wait.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_registration_set_active_worker(
    registration: bgfetch_handle,
    token: u64,
    active: bool,
) -> Option<Box<bgfetch_error>> {
    contained(|| registration::set_active_worker(Handle::from_raw(registration), token, active))
}

/// Removes a registration that was unregistered, or whose data was cleared: its fetches end without events, and their
/// bytes are deleted.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_registration_unregister(
    registration: bgfetch_handle,
    token: u64,
) -> Option<Box<bgfetch_error>> {
    contained(|| registration::unregister(Handle::from_raw(registration), token))
}

/// Frees a registration. It stays registered. 0 is fine.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_registration_free(
    registration: bgfetch_handle,
) -> Option<Box<bgfetch_error>> {
    contained(|| free(Handle::from_raw(registration), registration::free))
}
