//! How values of `core` are serialized for observers and user interfaces.

use core::time::Duration;
use serde::{Serialize, Serializer};

use crate::response::RecordResult;
use crate::store_op::FetchResult;

/// Serializes the result of a fetch, if it has one, like that of a record.
pub(crate) fn result<S: Serializer>(
    result: &(impl Into<Option<FetchResult>> + Copy),
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let result: Option<FetchResult> = (*result).into();
    result
        .map(|result| result.map_or_else(RecordResult::Failure, |()| RecordResult::Success))
        .serialize(serializer)
}

/// Serializes a time in seconds.
pub(crate) fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}
