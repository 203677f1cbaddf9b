//! What an output remembers of each fetch.

use std::collections::HashMap;

use bgfetch::{Event, FetchKey, Job, What};

/// Something for each fetch that has not settled. A page may make any number of fetches while a
/// program runs, so nothing stays of those that have.
#[derive(Debug, Default)]
pub(crate) struct PerFetch<T>(HashMap<FetchKey, T>);

impl<T: Default> PerFetch<T> {
    /// What belongs to the fetch of an event; `None` if the fetch has settled or is gone.
    pub(crate) fn of(&mut self, event: &Event) -> Option<&mut T> {
        match event.what {
            What::Registered
            | What::Progress
            | What::Paused(_)
            | What::Resumed
            | What::Retry { .. }
            | What::RecordSettled { .. } => Some(self.0.entry(event.fetch).or_default()),
            What::Settled(_) | What::Removed => {
                self.end(event.fetch);
                None
            }
            // They may follow the end.
            _ => None,
        }
    }

    /// What belongs to a fetch of an earlier run; `None` if it has settled.
    pub(crate) fn of_job(&mut self, job: &Job) -> Option<&mut T> {
        job.display.result.is_none().then(|| self.0.entry(job.key).or_default())
    }

    /// Forgets a fetch.
    pub(crate) fn end(&mut self, fetch: FetchKey) {
        self.0.remove(&fetch);
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use bgfetch::{
        Display, EventKind, FailureReason, Origin, PauseReason, RegistrationKey, StorageKey,
    };

    use super::*;

    /// All events of fetches that have come to each end, the last one of each included.
    pub(crate) fn events_of_ended_fetches() -> Vec<Event> {
        let fired = |kind| What::EventFired { kind, attempt: 1 };
        let ended = || What::EventEnded { handled: true, rejection: None };
        let lives = [
            vec![
                What::Registered,
                What::Progress,
                What::Settled(Ok(())),
                What::UiUpdated { title: "A film".into(), icons: Vec::new() },
                fired(EventKind::Success),
                ended(),
                What::ClickEnded { handled: true },
                What::Dismissed,
                What::Removed,
            ],
            vec![
                What::Registered,
                What::Paused(PauseReason::User),
                What::Settled(Err(FailureReason::Aborted)),
                fired(EventKind::Abort),
                ended(),
                What::Removed,
            ],
            // Its registration is gone.
            vec![What::Registered, What::Paused(PauseReason::Offline), What::Removed],
        ];
        let (storage_key, scope) = (StorageKey("a".into()), "http://a.test/".parse().unwrap());
        let registration = RegistrationKey { storage_key, scope };
        let event = |key, what| Event::new(FetchKey(key), registration.clone(), "film", what);
        let lives = (0..).zip(lives);
        lives
            .flat_map(|(key, life)| life.into_iter().map(move |what| (key, what)))
            .map(|(key, what)| event(key, what))
            .collect()
    }

    #[test]
    fn something_is_kept_of_fetches_until_they_settle_or_are_gone() {
        let mut counts = PerFetch::<u32>::default();
        let events = events_of_ended_fetches();
        for event in &events {
            if let Some(count) = counts.of(event) {
                *count += 1;
            }
            let active = matches!(event.what, What::Registered | What::Progress | What::Paused(_));
            let expected = active.then(|| if event.what == What::Registered { 1 } else { 2 });
            assert_eq!(counts.0.get(&event.fetch).copied(), expected, "{event:?}");
        }
        assert!(counts.is_empty());
    }

    #[test]
    fn nothing_is_kept_of_a_fetch_that_has_settled_in_an_earlier_run() {
        let mut counts = PerFetch::<u32>::default();
        let event = &events_of_ended_fetches()[0];
        let display = Display::new(Origin::of(&"http://a.test/".parse().unwrap()));
        let mut job = Job::new(event.fetch, event.registration.clone(), "film", display);
        assert!(counts.of_job(&job).is_some());
        let mut counts = PerFetch::<u32>::default();
        job.display.result = Some(Ok(()));
        assert!(counts.of_job(&job).is_none() && counts.is_empty());
    }
}
