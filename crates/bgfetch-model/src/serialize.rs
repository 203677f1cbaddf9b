//! How values of `core` are serialized for observers and user interfaces, and read again by those in
//! other processes.

use core::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The result of a fetch, if it has one, like that of a record.
pub(crate) mod result {
    use super::*;
    use crate::response::RecordResult;
    use crate::store_op::FetchResult;

    pub(crate) fn serialize<S: Serializer>(
        result: &(impl Into<Option<FetchResult>> + Copy),
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let result: Option<FetchResult> = (*result).into();
        result
            .map(|result| result.map_or_else(RecordResult::Failure, |()| RecordResult::Success))
            .serialize(serializer)
    }

    pub(crate) fn deserialize<'de, T: Read, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        T::read(deserializer)
    }

    /// A type that [`serialize`] takes.
    pub(crate) trait Read: Sized {
        fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
    }

    impl Read for FetchResult {
        fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            RecordResult::deserialize(deserializer).map(of_record)
        }
    }

    impl Read for Option<FetchResult> {
        fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Ok(Option::<RecordResult>::deserialize(deserializer)?.map(of_record))
        }
    }

    fn of_record(result: RecordResult) -> FetchResult {
        result.failure().map_or(Ok(()), Err)
    }
}

/// A time in seconds.
pub(crate) mod seconds {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        time: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(time.as_secs_f64())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        // The longest duration has no exact number.
        f64::deserialize(deserializer)
            .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}
