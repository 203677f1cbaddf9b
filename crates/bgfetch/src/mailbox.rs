//! The inbox of a client or an observer: ordered, and bounded even if its owner does not poll it.
//!
//! Only the latest progress matters. So an update that was not taken is replaced by the next update
//! of the same fetch, unless something else happened to that fetch in between. Only rare events can
//! accumulate: ends, pauses and retries, with one progress update before each.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bgfetch_model::ids::FetchKey;
use parking_lot::Mutex;

/// Both ends of a new mailbox.
pub(crate) fn mailbox<T>() -> (Sender<T>, Receiver<T>) {
    let mailbox = Arc::new(Mutex::new(State {
        letters: VecDeque::new(),
        taken: 0,
        replaceable: HashMap::new(),
        open: true,
        waiting: None,
    }));
    (Sender(Arc::clone(&mailbox)), Receiver(mailbox))
}

/// The loop's end. Dropping it closes the mailbox; what is in it can still be taken.
#[derive(Debug)]
pub(crate) struct Sender<T>(Arc<Mutex<State<T>>>);

/// The owner's end. Dropping it closes the mailbox and drops its contents.
#[derive(Debug)]
pub(crate) struct Receiver<T>(Arc<Mutex<State<T>>>);

#[derive(Debug)]
struct State<T> {
    letters: VecDeque<T>,
    /// How many letters were taken, which is also the number of the first letter that was not.
    taken: u64,
    /// The number of a fetch's last letter, if that letter is progress.
    replaceable: HashMap<FetchKey, u64>,
    open: bool,
    /// The owner, if it waits for the next letter.
    waiting: Option<Waker>,
}

impl<T> Sender<T> {
    /// Delivers a letter about a fetch. With `progress`, it replaces the fetch's previous letter if
    /// that is also progress and was not taken. Returns whether the mailbox is open.
    pub(crate) fn send(&self, fetch: FetchKey, letter: T, progress: bool) -> bool {
        let mut state = self.0.lock();
        if !state.open {
            return false;
        }
        let State { letters, taken, replaceable, .. } = &mut *state;
        let previous = replaceable
            .remove(&fetch)
            .and_then(|number| number.checked_sub(*taken))
            .and_then(|position| usize::try_from(position).ok());
        let number = match previous.filter(|_| progress) {
            Some(position) => {
                if let Some(previous) = letters.get_mut(position) {
                    *previous = letter;
                }
                *taken + position as u64
            }
            None => {
                letters.push_back(letter);
                *taken + letters.len() as u64 - 1
            }
        };
        if progress {
            replaceable.insert(fetch, number);
        }
        let waiting = state.waiting.take();
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        true
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.lock().open
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.open = false;
        let waiting = state.waiting.take();
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl<T> Receiver<T> {
    /// The next letter, or `None` when the mailbox is closed and empty.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.lock();
        if let Some(letter) = state.letters.pop_front() {
            state.taken += 1;
            return Poll::Ready(Some(letter));
        }
        // All replaceable letters were taken.
        state.replaceable.clear();
        if !state.open {
            return Poll::Ready(None);
        }
        state.waiting = Some(context.waker().clone());
        Poll::Pending
    }

    /// The same as a future. Dropping it loses nothing.
    pub(crate) async fn next(&mut self) -> Option<T> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The next letter, if one is there.
    pub(crate) fn try_next(&mut self) -> Option<T> {
        match self.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(letter) => letter,
            Poll::Pending => None,
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.open = false;
        // Dropped outside the lock: dropping a letter may report that it was applied.
        let letters = std::mem::take(&mut state.letters);
        drop(state);
        drop(letters);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: FetchKey = FetchKey(1);
    const B: FetchKey = FetchKey(2);

    fn taken(mailbox: &mut Receiver<u32>) -> Vec<u32> {
        std::iter::from_fn(|| mailbox.try_next()).collect()
    }

    #[test]
    fn progress_that_was_not_taken_is_replaced_by_the_next_of_its_fetch() {
        let (sender, mut receiver) = mailbox();
        for number in 0..1000 {
            sender.send(A, number, true);
            sender.send(B, 10_000 + number, true);
        }
        assert_eq!(taken(&mut receiver), [999, 10_999]);
        sender.send(A, 1, true);
        assert_eq!(taken(&mut receiver), [1], "what was taken is not replaced");
    }

    #[test]
    fn progress_never_passes_another_letter_of_its_fetch() {
        let (sender, mut receiver) = mailbox();
        sender.send(A, 1, true);
        sender.send(A, 2, false);
        sender.send(A, 3, true);
        sender.send(B, 4, false);
        sender.send(A, 5, true);
        assert_eq!(taken(&mut receiver), [1, 2, 5, 4]);
        sender.send(A, 6, true);
        sender.send(A, 7, false);
        sender.send(A, 8, false);
        assert_eq!(taken(&mut receiver), [6, 7, 8]);
    }

    #[test]
    fn each_end_closes_it_for_the_other() {
        let (sender, mut receiver) = mailbox();
        sender.send(A, 1, false);
        drop(sender);
        let mut next = || receiver.poll_next(&mut Context::from_waker(Waker::noop()));
        assert_eq!((next(), next()), (Poll::Ready(Some(1)), Poll::Ready(None)));

        let (sender, receiver) = mailbox();
        let letter = Arc::new(());
        sender.send(A, Arc::clone(&letter), false);
        drop(receiver);
        assert_eq!(Arc::strong_count(&letter), 1, "what nobody can take goes");
        assert!(!sender.is_open() && !sender.send(A, letter, false));
    }

    #[tokio::test]
    async fn a_letter_wakes_who_waits() {
        let (sender, mut receiver) = mailbox();
        let waiting = tokio::spawn(async move { receiver.next().await });
        tokio::task::yield_now().await;
        sender.send(A, 7, true);
        assert_eq!(waiting.await.unwrap(), Some(7));
    }
}
