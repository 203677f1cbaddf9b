//! How values of `core` are serialized for observers and user interfaces, and read again by those in
//! other processes.

use core::time::Duration;

use serde::de::Error as _;
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
        let seconds = f64::deserialize(deserializer)?;
        if seconds.is_sign_negative() {
            return Err(D::Error::custom("a time must not be negative"));
        }
        // The longest duration has no exact number.
        Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;
    use crate::response::FailureReason;
    use crate::store_op::FetchResult;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Told {
        #[serde(with = "result")]
        result: FetchResult,
        #[serde(with = "result")]
        so_far: Option<FetchResult>,
        #[serde(with = "seconds")]
        time: Duration,
    }

    #[test]
    fn what_is_told_is_read_again() {
        let failure = Err(FailureReason::BadStatus);
        for (result, so_far, time) in [
            (Ok(()), None, Duration::from_millis(1500)),
            (failure, Some(Ok(())), Duration::ZERO),
            (failure, Some(failure), Duration::MAX),
        ] {
            let told = Told { result, so_far, time };
            assert_eq!(from_value::<Told>(to_value(&told).unwrap()).unwrap(), told);
        }
        let told = Told { result: failure, so_far: None, time: Duration::from_millis(1500) };
        let expected =
            json!({ "result": { "failure": "bad-status" }, "so_far": null, "time": 1.5 });
        assert_eq!(to_value(&told).unwrap(), expected);
    }

    #[test]
    fn a_negative_time_is_refused() {
        let told = json!({ "result": "success", "so_far": null, "time": -1.0 });
        let refusal = from_value::<Told>(told).unwrap_err();
        assert_eq!(refusal.to_string(), "a time must not be negative");
    }
}
