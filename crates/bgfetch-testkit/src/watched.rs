//! State that another thread changes and a test waits for, with a condition variable instead of a
//! polling loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// How long, in real time, a test waits for an event before it fails: 120 s, enough for a download of
/// a GiB in a debug build, on a machine that is busy with builds and other tests.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// A value with changes that can be waited for.
#[derive(Debug, Default)]
pub(crate) struct Watched<T> {
    state: Mutex<T>,
    changed: Condvar,
}

impl<T> Watched<T> {
    /// Reads the state.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.state.lock())
    }

    /// Changes the state and wakes the waiting threads.
    pub(crate) fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.state.lock());
        self.changed.notify_all();
        result
    }

    /// Blocks until `look` returns a value; panics with the message of `describe` after
    /// [`DEADLINE`].
    pub(crate) fn blocking_wait<R>(
        &self,
        look: impl FnMut(&T) -> Option<R>,
        describe: impl FnOnce(&T) -> String,
    ) -> R {
        self.wait_unless(&AtomicBool::new(false), Instant::now() + DEADLINE, look, describe)
            .expect("nobody can cancel this wait")
    }

    /// Like [`Self::blocking_wait`], for async tests.
    ///
    /// It waits on tokio's blocking pool because paused time does not advance while a blocking task
    /// runs.
    pub(crate) async fn wait<R: Send + 'static>(
        self: &Arc<Self>,
        look: impl FnMut(&T) -> Option<R> + Send + 'static,
        describe: impl FnOnce(&T) -> String + Send + 'static,
    ) -> R
    where
        T: Send + 'static,
    {
        let cancel = CancelOnDrop { watched: Arc::clone(self), cancelled: Arc::default() };
        let watched = Arc::clone(self);
        let cancelled = Arc::clone(&cancel.cancelled);
        let deadline = Instant::now() + DEADLINE;
        let wait = tokio::task::spawn_blocking(move || {
            watched.wait_unless(&cancelled, deadline, look, describe)
        });
        match wait.await {
            Ok(found) => found.expect("only dropping this future cancels the wait"),
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        }
    }

    /// Returns none if `cancelled` was set first.
    fn wait_unless<R>(
        &self,
        cancelled: &AtomicBool,
        deadline: Instant,
        mut look: impl FnMut(&T) -> Option<R>,
        describe: impl FnOnce(&T) -> String,
    ) -> Option<R> {
        let mut state = self.state.lock();
        let mut late = false;
        loop {
            if let Some(found) = look(&state) {
                return Some(found);
            }
            if cancelled.load(Ordering::Acquire) {
                return None;
            }
            assert!(!late, "{}", describe(&state));
            late = self.changed.wait_until(&mut state, deadline).timed_out();
        }
    }
}

/// Ends the blocking half of a wait whose future was dropped; otherwise a runtime that shuts down
/// would wait for it until the deadline.
struct CancelOnDrop<T> {
    watched: Arc<Watched<T>>,
    cancelled: Arc<AtomicBool>,
}

impl<T> Drop for CancelOnDrop<T> {
    fn drop(&mut self) {
        self.watched.update(|_| self.cancelled.store(true, Ordering::Release));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[test]
    fn a_change_from_another_thread_ends_the_wait() {
        let watched = Arc::new(Watched::<u32>::default());
        let writer = Arc::clone(&watched);
        let thread = std::thread::spawn(move || writer.update(|value| *value = 7));
        let found =
            watched.blocking_wait(|value| (*value > 0).then_some(*value), |_| String::new());
        assert_eq!(found, 7);
        thread.join().unwrap();
    }

    #[test]
    #[should_panic(expected = "nothing but 7")]
    fn a_wait_in_vain_ends_with_its_sentence() {
        let watched = Watched::<u32>::default();
        watched.update(|value| *value = 7);
        let cancelled = AtomicBool::new(false);
        let found = watched.wait_unless(
            &cancelled,
            Instant::now(),
            |value| (*value == 8).then_some(()),
            |value| format!("nothing but {value}"),
        );
        assert_eq!(found, Some(()));
    }

    #[test]
    fn a_dropped_wait_does_not_hold_up_its_runtime() {
        let started = Instant::now();
        let watched = Arc::new(Watched::<u32>::default());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let wait = watched.wait(|_| None::<()>, |_| String::from("the wait went on"));
            assert!(wait.now_or_never().is_none());
        });
        drop(runtime);
        assert!(started.elapsed() < DEADLINE);
    }

    #[tokio::test(start_paused = true)]
    async fn paused_time_stands_still_while_waiting() {
        let watched = Arc::new(Watched::<bool>::default());
        let (expired, mut timer) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            expired.send(()).unwrap();
        });
        let (begun, begins) = std::sync::mpsc::channel();
        let writer = Arc::clone(&watched);
        let thread = std::thread::spawn(move || {
            begins.recv().unwrap();
            writer.update(|value| *value = true);
        });
        watched
            .wait(
                move |value| {
                    // The writer may go away once the wait is running; it is gone at the second
                    // look.
                    begun.send(()).ok();
                    value.then_some(())
                },
                |_| String::new(),
            )
            .await;
        thread.join().unwrap();
        assert!(timer.try_recv().is_err(), "the clock ran during the wait");
        timer.await.unwrap();
    }
}
