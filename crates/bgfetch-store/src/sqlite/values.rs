//! Conversions between the model's values and columns.

use bgfetch_model::response::FailureReason;
use rusqlite::Row;
use rusqlite::types::Type;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StoreError;

const SUCCESS: &str = "success";

/// The text of a result of a record or a fetch: its failure reason, or `success`.
pub(super) fn result_text(failure: Option<FailureReason>) -> &'static str {
    failure.map_or(SUCCESS, FailureReason::as_str)
}

/// The inverse of [`result_text`]. The outer `Option` is `None` for NULL.
pub(super) fn result(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<Option<FailureReason>>> {
    match row.get_ref(column)?.as_str_or_null()? {
        None => Ok(None),
        Some(SUCCESS) => Ok(Some(None)),
        Some(text) => reason_named(column, text).map(|reason| Some(Some(reason))),
    }
}

/// A failure reason, or `None` for NULL.
pub(super) fn reason(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<FailureReason>> {
    match row.get_ref(column)?.as_str_or_null()? {
        None => Ok(None),
        Some(text) => reason_named(column, text).map(Some),
    }
}

fn reason_named(column: usize, text: &str) -> rusqlite::Result<FailureReason> {
    [
        FailureReason::Aborted,
        FailureReason::BadStatus,
        FailureReason::FetchError,
        FailureReason::QuotaExceeded,
        FailureReason::DownloadTotalExceeded,
    ]
    .into_iter()
    .find(|reason| reason.as_str() == text)
    .ok_or_else(|| undecodable(column, format!("{text:?} is not a result")))
}

/// An unsigned number; see the schema.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(i64::cast_unsigned)
}

/// Parses the JSON of a column.
pub(super) fn from_json<T: DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)?.as_str_or_null()? {
        None => Ok(None),
        Some(text) => {
            serde_json::from_str(text).map(Some).map_err(|error| undecodable(column, error))
        }
    }
}

/// The JSON of a value for a column.
pub(super) fn to_json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Misuse(error.to_string()))
}

/// The error for a text that is not valid here.
pub(super) fn undecodable(
    column: usize,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
}
