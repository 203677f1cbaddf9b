//! Functions that answer at once.

use bgfetch_binding::bgfetch::Permission;
use bgfetch_binding::body::{self, Read};
use bgfetch_binding::{engine, event, fetch, question, record, registration, source, stream};
use napi::bindgen_prelude::BufferSlice;
use napi_derive::napi;
use serde_json::json;

use crate::error::{Result, thrown};
use crate::{handle, number};

/// See [`engine::set_online`].
#[napi]
pub fn set_online(engine: f64, online: bool, metered: bool) -> Result<()> {
    thrown(engine::set_online(handle(engine), online, metered))
}

/// See [`registration::set_principal`].
#[napi]
pub fn set_principal(registration: f64, principal: String) -> Result<()> {
    thrown(registration::set_principal(handle(registration), &principal))
}

/// See [`registration::check_request`].
#[napi]
pub fn check_request(request: String) -> Result<()> {
    thrown(registration::check_request(&request))
}

/// The attributes of a fetch, in JSON with the names of the interface.
#[napi]
pub fn attributes(fetch: f64) -> Result<String> {
    let it = thrown(fetch::attributes(handle(fetch)))?;
    let (result, failure_reason) = match it.result {
        None => ("", ""),
        Some(Ok(())) => ("success", ""),
        Some(Err(reason)) => ("failure", reason.as_str()),
    };
    let attributes = json!({
        "id": it.id,
        "uploadTotal": it.upload_total,
        "uploaded": it.uploaded,
        "downloadTotal": it.download_total,
        "downloaded": it.downloaded,
        "result": result,
        "failureReason": failure_reason,
        "recordsAvailable": it.records_available,
    });
    Ok(attributes.to_string())
}

/// See [`fetch::start`].
#[napi]
pub fn start_fetch(fetch: f64) -> Result<()> {
    thrown(fetch::start(handle(fetch)))
}

/// See [`record::request_body`].
#[napi]
pub fn request_body(record: f64) -> Result<Option<f64>> {
    Ok(thrown(record::request_body(handle(record)))?.map(number))
}

/// Reads bytes of a body into `buffer`: returns how many, 0 at its end, or -1 if the bytes are still
/// to come. See [`body::read`].
#[napi]
pub fn read_body(body: f64, offset: f64, mut buffer: BufferSlice<'_>) -> Result<f64> {
    let read = thrown(body::read(handle(body), offset as u64, &mut buffer))?;
    Ok(match read {
        Read::Ready(bytes) => bytes as f64,
        Read::End => 0.0,
        Read::Again => -1.0,
    })
}

/// See [`source::new`].
#[napi]
pub fn new_source(queue: f64) -> Result<f64> {
    Ok(number(thrown(source::new(handle(queue)))?))
}

/// See [`source::write`].
#[napi]
pub fn write_source(source: f64, bytes: BufferSlice<'_>) -> Result<()> {
    thrown(source::write(handle(source), bytes.to_vec()))
}

/// See [`source::end`].
#[napi]
pub fn end_source(source: f64, failure: Option<String>) -> Result<()> {
    thrown(source::end(handle(source), failure.as_deref()))
}

/// See [`event::extend`].
#[napi]
pub fn extend(event: f64) -> Result<f64> {
    Ok(number(thrown(event::extend(handle(event)))?))
}

/// See [`event::settle`].
#[napi]
pub fn settle(extension: f64, rejection: Option<String>) -> Result<()> {
    thrown(event::settle(handle(extension), rejection.as_deref()))
}

/// See [`event::end_dispatch`].
#[napi]
pub fn end_dispatch(event: f64) -> Result<()> {
    thrown(event::end_dispatch(handle(event)))
}

/// Answers a question about the permission for a call of `fetch()`: `granted`, `start-paused`, or
/// anything else to deny it.
#[napi]
pub fn answer_permission(question: f64, answer: String) -> Result<()> {
    let permission = match answer.as_str() {
        "granted" => Permission::Granted,
        "start-paused" => Permission::StartPaused,
        _ => Permission::Denied,
    };
    thrown(question::permission(handle(question), permission))
}

/// See [`question::quota`].
#[napi]
pub fn answer_quota(question: f64, bytes: f64) -> Result<()> {
    thrown(question::quota(handle(question), bytes as u64))
}

macro_rules! frees {
    ($($name:ident = $module:ident;)*) => {
        $(
            /// Frees a handle.
            #[napi]
            pub fn $name(object: f64) -> Result<()> {
                thrown($module::free(handle(object)))
            }
        )*
    };
}

frees! {
    free_engine = engine;
    free_registration = registration;
    free_fetch = fetch;
    free_record = record;
    free_body = body;
    free_stream = stream;
    free_source = source;
    free_event = event;
}
