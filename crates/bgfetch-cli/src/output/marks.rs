//! Tells whether bytes are fetched again.

use bgfetch::{Event, Job, JobRecord, RecordResult, What};

/// The most bytes that each record of a fetch has had.
#[derive(Debug, Default)]
pub(super) struct HighWaterMarks(Vec<u64>);

impl HighWaterMarks {
    /// Raises the marks to what the records have now.
    pub(super) fn raise(&mut self, records: &[JobRecord]) {
        self.0.resize(records.len().max(self.0.len()), 0);
        for (mark, record) in self.0.iter_mut().zip(records) {
            *mark = record.stored.max(*mark);
        }
    }

    /// Whether a record has had more bytes than now: its server does not continue what it has begun,
    /// or has another file now.
    pub(super) fn is_again(&self, index: usize, record: &JobRecord) -> bool {
        self.0.get(index).is_some_and(|mark| record.stored < *mark)
    }
}

/// The most bytes that a whole fetch has had.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HighWaterMark(u64);

impl HighWaterMark {
    /// What the fetch has now.
    pub(super) fn of(job: &Job) -> Self {
        Self(job.display.downloaded)
    }

    /// Raises the mark to what an event tells. If that is less, bytes are fetched again, and the
    /// mark is returned.
    pub(super) fn pass(&mut self, event: &Event) -> Option<u64> {
        let Self(mark) = self;
        match event.what {
            What::Progress if event.downloaded < *mark => return Some(*mark),
            // Nobody wants its bytes any more.
            What::RecordSettled { result: RecordResult::Failure(_), .. } => {
                *mark = event.downloaded
            }
            _ => *mark = event.downloaded.max(*mark),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use bgfetch::{FailureReason, FetchKey, RecordIndex, RecordKey, RegistrationKey, StorageKey};

    use super::*;

    #[test]
    fn bytes_are_fetched_again_until_there_are_as_many_as_before() {
        let mut marks = HighWaterMarks::default();
        let mut records =
            [(); 2].map(|()| JobRecord::new("GET", "http://a.test/".parse().unwrap()));
        for (stored, expected) in [(0, false), (500, false), (0, true), (499, true), (500, false)] {
            records[1].stored = stored;
            marks.raise(&records);
            let again = [0, 1].map(|index| marks.is_again(index, &records[index]));
            assert_eq!(again, [false, expected], "{stored}");
        }
        // The records are gone when the fetch has ended.
        marks.raise(&[]);
        assert!(!marks.is_again(2, &records[1]));
    }

    #[test]
    fn a_fetch_has_fewer_bytes_while_some_are_fetched_again_but_not_after_a_failure() {
        let url: url::Url = "http://a.test/".parse().unwrap();
        let failed = What::RecordSettled {
            record: RecordKey { fetch: FetchKey(1), index: RecordIndex(0) },
            url: url.clone(),
            result: RecordResult::Failure(FailureReason::BadStatus),
            status: Some(404),
            stored: 0,
            message: None,
        };
        let mut mark = HighWaterMark::default();
        for (what, downloaded, expected) in [
            (What::Registered, 0, None),
            (What::Progress, 500, None),
            (What::Resumed, 0, None),
            (What::Progress, 1, Some(500)),
            (What::Progress, 500, None),
            (failed, 100, None),
            (What::Progress, 100, None),
        ] {
            let (storage_key, scope) = (StorageKey("a".into()), url.clone());
            let registration = RegistrationKey { storage_key, scope };
            let event = Event::new(FetchKey(1), registration, "x", what);
            let event = event.with(|it| it.downloaded = downloaded);
            assert_eq!(mark.pass(&event), expected, "{event:?}");
        }
    }
}
