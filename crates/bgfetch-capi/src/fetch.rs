//! Background fetches and their records.

use bgfetch_binding::bgfetch::{FailureReason, Handover, RecordResult};
use bgfetch_binding::{Handle, Result, fetch, record};

use crate::error::bgfetch_error;
use crate::ffi::{argument, bgfetch_handle, bgfetch_str, contained, free, out, sized};

/// How a fetch or a record ended.
#[repr(u32)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub enum bgfetch_result {
    /// It has not ended.
    BGFETCH_ACTIVE = 0,
    /// It succeeded.
    BGFETCH_SUCCESS = 1,
    /// It failed: it was aborted.
    BGFETCH_ABORTED = 2,
    /// It failed: a response did not have an ok status.
    BGFETCH_BAD_STATUS = 3,
    /// It failed: the network, or a check of the web platform.
    BGFETCH_FETCH_ERROR = 4,
    /// It failed: the quota was reached.
    BGFETCH_QUOTA_EXCEEDED = 5,
    /// It failed: there were more bytes than `downloadTotal` promised.
    BGFETCH_DOWNLOAD_TOTAL_EXCEEDED = 6,
}

impl bgfetch_result {
    fn of(result: Option<std::result::Result<(), FailureReason>>) -> Self {
        match result {
            None => Self::BGFETCH_ACTIVE,
            Some(Ok(())) => Self::BGFETCH_SUCCESS,
            Some(Err(FailureReason::Aborted)) => Self::BGFETCH_ABORTED,
            Some(Err(FailureReason::BadStatus)) => Self::BGFETCH_BAD_STATUS,
            Some(Err(FailureReason::FetchError)) => Self::BGFETCH_FETCH_ERROR,
            Some(Err(FailureReason::QuotaExceeded)) => Self::BGFETCH_QUOTA_EXCEEDED,
            Some(Err(FailureReason::DownloadTotalExceeded)) => {
                Self::BGFETCH_DOWNLOAD_TOTAL_EXCEEDED
            }
        }
    }
}

/// The attributes of a fetch. Initialize it with BGFETCH_ATTRIBUTES_INIT.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct bgfetch_attributes {
    /// The size of this struct.
    size: usize,
    /// Its identity in its store.
    key: u64,
    /// The attribute `uploadTotal`, in bytes.
    upload_total: u64,
    /// The attribute `uploaded`, in bytes.
    uploaded: u64,
    /// The attribute `downloadTotal`, in bytes.
    download_total: u64,
    /// The attribute `downloaded`, in bytes.
    downloaded: u64,
    /// The attributes `result` and `failureReason`.
    result: bgfetch_result,
    /// The attribute `recordsAvailable`.
    records_available: bool,
}

/// What is known of a record. Initialize it with BGFETCH_RECORD_INFO_INIT.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct bgfetch_record_info {
    /// The size of this struct.
    size: usize,
    /// Its position among the records of its fetch.
    index: u32,
    /// The status of the response, or 0 if there is none that may be exposed.
    status: u32,
    /// The length of the stored body in bytes.
    stored: u64,
    /// How it ended.
    result: bgfetch_result,
}

/// The attributes, as they are since the last BGFETCH_UPDATE that was taken.
///
/// # Safety
///
/// `attributes` points to a struct that was initialized with BGFETCH_ATTRIBUTES_INIT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bgfetch_fetch_attributes(
    fetch: bgfetch_handle,
    attributes: *mut bgfetch_attributes,
) -> Option<Box<bgfetch_error>> {
    contained(|| {
        // SAFETY: the caller promises the same.
        let attributes = unsafe { sized(attributes) }?;
        let now = fetch::attributes(Handle::from_raw(fetch))?;
        *attributes = bgfetch_attributes {
            size: attributes.size,
            key: now.key.0,
            upload_total: now.upload_total,
            uploaded: now.uploaded,
            download_total: now.download_total,
            downloaded: now.downloaded,
            result: bgfetch_result::of(now.result),
            records_available: now.records_available,
        };
        Ok(())
    })
}

/// What is known of a record now.
///
/// # Safety
///
/// `info` points to a struct that was initialized with BGFETCH_RECORD_INFO_INIT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bgfetch_record_get_info(
    record: bgfetch_handle,
    info: *mut bgfetch_record_info,
) -> Option<Box<bgfetch_error>> {
    contained(|| {
        // SAFETY: the caller promises the same.
        let info = unsafe { sized(info) }?;
        let now = record::info(Handle::from_raw(record))?;
        let result = now.result.map(|result| match result {
            RecordResult::Success => Ok(()),
            RecordResult::Failure(reason) => Err(reason),
        });
        *info = bgfetch_record_info {
            size: info.size,
            index: now.key.index.0,
            status: now.status.unwrap_or_default().into(),
            stored: now.stored,
            result: bgfetch_result::of(result),
        };
        Ok(())
    })
}

/// How a body becomes a file.
#[repr(u32)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub enum bgfetch_handover {
    /// A copy, which takes no space on file systems that can share it.
    BGFETCH_COPY = 0,
    /// A link to the stored body, or a copy where that is not possible.
    BGFETCH_LINK = 1,
}

const COPY: u32 = bgfetch_handover::BGFETCH_COPY as u32;
const LINK: u32 = bgfetch_handover::BGFETCH_LINK as u32;

fn handover(number: u32) -> Result<Handover> {
    match number {
        COPY => Ok(Handover::Copy),
        LINK => Ok(Handover::Link),
        _ => Err(argument("there is no such handover")),
    }
}

/// Lets a new fetch begin whose call had `"held": true`.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_fetch_start(fetch: bgfetch_handle) -> Option<Box<bgfetch_error>> {
    contained(|| fetch::start(Handle::from_raw(fetch)))
}

/// The `abort()` method: answered by whether it was active.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_fetch_abort(
    fetch: bgfetch_handle,
    token: u64,
) -> Option<Box<bgfetch_error>> {
    contained(|| fetch::abort(Handle::from_raw(fetch), token))
}

/// The `matchAll()` method: answered by handles of records, in the order of requests. `query` is a request in JSON, or empty
/// for all; `options` are `ignoreSearch`, `ignoreMethod` and `ignoreVary` in JSON, or empty. With `first`, it is the
/// `match()` method: one record at most.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_fetch_match_all(
    fetch: bgfetch_handle,
    token: u64,
    query: bgfetch_str,
    options: bgfetch_str,
    first: bool,
) -> Option<Box<bgfetch_error>> {
    contained(|| {
        fetch::match_all(Handle::from_raw(fetch), token, query.text()?, options.text()?, first)
    })
}

/// Holds the records after the settling event, so that the user's next fetch of the same requests continues where this one
/// stopped; or releases them.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_fetch_hold_records(
    fetch: bgfetch_handle,
    token: u64,
    hold: bool,
) -> Option<Box<bgfetch_error>> {
    contained(|| fetch::hold_records(Handle::from_raw(fetch), token, hold))
}

/// Makes what was exported of the fetch survive a loss of power.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_fetch_sync_exports(
    fetch: bgfetch_handle,
    token: u64,
) -> Option<Box<bgfetch_error>> {
    contained(|| fetch::sync_exports(Handle::from_raw(fetch), token))
}

/// Frees a fetch. The background fetch goes on. 0 is fine.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_fetch_free(fetch: bgfetch_handle) -> Option<Box<bgfetch_error>> {
    contained(|| free(Handle::from_raw(fetch), fetch::free))
}

/// The request without its body: answered by a request.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_record_request(
    record: bgfetch_handle,
    token: u64,
) -> Option<Box<bgfetch_error>> {
    contained(|| record::request(Handle::from_raw(record), token))
}

/// The `responseReady` promise: answered by a response when its head has arrived.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_record_response_ready(
    record: bgfetch_handle,
    token: u64,
) -> Option<Box<bgfetch_error>> {
    contained(|| record::response_ready(Handle::from_raw(record), token))
}

/// The body of the request: a stream that the host frees, or 0 if it has none.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_record_request_body(
    record: bgfetch_handle,
    stream: Option<&mut bgfetch_handle>,
) -> Option<Box<bgfetch_error>> {
    contained(|| {
        let stream = out(stream)?;
        let body = record::request_body(Handle::from_raw(record))?;
        *stream = body.unwrap_or(Handle::NONE).raw();
        Ok(())
    })
}

/// Makes the finished body a file, which must not exist: `how` is BGFETCH_COPY or BGFETCH_LINK.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_record_export(
    record: bgfetch_handle,
    token: u64,
    path: bgfetch_str,
    how: u32,
) -> Option<Box<bgfetch_error>> {
    contained(|| record::export(Handle::from_raw(record), token, path.path(), handover(how)?))
}

/// Whether a file has exactly the bytes of the finished body, as after an export that a crash interrupted: answered by yes
/// or no.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_record_is_exported_at(
    record: bgfetch_handle,
    token: u64,
    path: bgfetch_str,
) -> Option<Box<bgfetch_error>> {
    contained(|| record::is_exported_at(Handle::from_raw(record), token, path.path()))
}

/// Frees a record. 0 is fine.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_record_free(record: bgfetch_handle) -> Option<Box<bgfetch_error>> {
    contained(|| free(Handle::from_raw(record), record::free))
}
