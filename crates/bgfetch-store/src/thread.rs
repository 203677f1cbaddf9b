//! The thread that commits transactions.

use std::fmt;
use std::ops::ControlFlow;
use std::thread::{Builder, JoinHandle};

use bgfetch_model::ids::{CommitId, RecordKey};
use bgfetch_model::store_op::Transaction;
use crossbeam_channel::{Receiver, Sender, never, select, unbounded};

use crate::{Store, StoreError, StoredHead};

/// The most transactions in one commit. It bounds how long a commit delays the transactions behind
/// it.
const MAX_GROUP: usize = 1024;

/// The outcome of transactions that were sent to a [`StoreThread`].
#[derive(Debug)]
pub enum Ack {
    /// This transaction and all before it are durable.
    Committed(CommitId),
    /// The store failed. Transactions that were not acknowledged are not committed and never will
    /// be. The thread has ended; open the store again, as after a crash.
    Failed(StoreError),
}

/// Runs a [`Store`] on a thread of its own. Transactions are committed in the order in which they
/// are submitted; all that are waiting are committed as one group.
///
/// If it is dropped, the thread commits what is queued and ends, but the store is not
/// [closed](Store::close). The drop waits for the end of the thread, so the store can be opened
/// again right after it.
///
/// Without a thread ([`inline`](Self::inline)), the owner lets the store work with
/// [`turn`](Self::turn). A drop then loses what is queued, as a crash does.
pub struct StoreThread {
    inbox: Option<Sender<Message>>,
    worker: Worker,
}

/// Who does the store's work.
enum Worker {
    /// A thread, until it was joined.
    Thread(Option<JoinHandle<Result<(), StoreError>>>),
    /// The owner of the handle; `None` once the store has failed.
    Owner(Option<Work>),
}

/// Takes the head of a record's response.
type HeadReader = Box<dyn FnOnce(Result<Option<StoredHead>, StoreError>) + Send>;

enum Message {
    Commit(CommitId, Transaction),
    ReadHead(RecordKey, HeadReader),
    Close,
}

impl StoreThread {
    /// Starts the thread. It calls `acknowledge` in the order of the transactions; `acknowledge`
    /// must not block.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the system cannot start a thread.
    pub fn start(
        store: Box<dyn Store>,
        acknowledge: impl FnMut(Ack) + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (sender, work) = Work::new(store, acknowledge);
        let thread = Builder::new()
            .name("bgfetch-store".into())
            .spawn(move || work.run())
            .map_err(|error| StoreError::io("bgfetch-store", error))?;
        Ok(Self { inbox: Some(sender), worker: Worker::Thread(Some(thread)) })
    }

    /// The same interface without a thread: nothing happens before the owner calls
    /// [`turn`](Self::turn). For tests that run on one thread.
    #[must_use]
    pub fn inline(store: Box<dyn Store>, acknowledge: impl FnMut(Ack) + Send + 'static) -> Self {
        let (sender, work) = Work::new(store, acknowledge);
        Self { inbox: Some(sender), worker: Worker::Owner(Some(work)) }
    }

    /// Whether there is work for [`turn`](Self::turn). Never if the store has a thread.
    #[must_use]
    pub fn is_due(&self) -> bool {
        matches!(&self.worker, Worker::Owner(Some(work)) if work.is_due())
    }

    /// Does the work that is queued, as the thread would: commits one group and acknowledges it,
    /// then reads heads. Does nothing if the store has a thread, or if nothing is queued.
    pub fn turn(&mut self) {
        if let Worker::Owner(worker) = &mut self.worker
            && let Some(work) = worker
            && work.is_due()
            && let ControlFlow::Break(_) = work.turn(None, false)
        {
            *worker = None;
        }
    }

    /// Submits a transaction, which is answered by an [`Ack`].
    ///
    /// # Errors
    /// [`StoreError::Stopped`] if the thread has ended; the transaction is not committed.
    pub fn commit(&self, id: CommitId, transaction: Transaction) -> Result<(), StoreError> {
        self.send(Message::Commit(id, transaction))
    }

    /// Reads the [head](Store::head) of a record's response once the transactions before are
    /// committed. `answer` must not block. It is dropped if the thread ends first.
    ///
    /// # Errors
    /// [`StoreError::Stopped`] if the thread has ended.
    pub fn read_head(
        &self,
        record: RecordKey,
        answer: impl FnOnce(Result<Option<StoredHead>, StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.send(Message::ReadHead(record, Box::new(answer)))
    }

    /// Commits and acknowledges what is queued, closes the store and waits for the end of the
    /// thread.
    ///
    /// # Errors
    /// Any error of closing the store, or [`StoreError::Stopped`] if the store had failed before.
    pub fn shutdown(mut self) -> Result<(), StoreError> {
        self.send(Message::Close)?;
        match &mut self.worker {
            Worker::Thread(_) => self.join(),
            Worker::Owner(worker) => {
                let mut work = worker.take().ok_or(StoreError::Stopped)?;
                loop {
                    if let ControlFlow::Break(ended) = work.turn(None, false) {
                        return ended;
                    }
                }
            }
        }
    }

    fn send(&self, message: Message) -> Result<(), StoreError> {
        let inbox = self.inbox.as_ref().ok_or(StoreError::Stopped)?;
        inbox.send(message).map_err(|_| StoreError::Stopped)
    }

    fn join(&mut self) -> Result<(), StoreError> {
        self.inbox = None;
        match &mut self.worker {
            // `acknowledge` may drop this handle on the store thread itself.
            Worker::Thread(thread) => match thread.take() {
                Some(thread) if thread.thread().id() != std::thread::current().id() => {
                    thread.join().map_err(|_| StoreError::Stopped)?
                }
                _ => Ok(()),
            },
            Worker::Owner(_) => Ok(()),
        }
    }
}

impl fmt::Debug for StoreThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreThread").finish_non_exhaustive()
    }
}

impl Drop for StoreThread {
    fn drop(&mut self) {
        if let Err(error) = self.join() {
            tracing::debug!(%error, "the store thread ended early");
        }
    }
}

/// The store and what it is asked for.
struct Work {
    store: Box<dyn Store>,
    acknowledge: Box<dyn FnMut(Ack) + Send>,
    inbox: Receiver<Message>,
    wakeups: Receiver<()>,
}

impl Work {
    fn new(
        store: Box<dyn Store>,
        acknowledge: impl FnMut(Ack) + Send + 'static,
    ) -> (Sender<Message>, Self) {
        let (sender, inbox) = unbounded();
        let wakeups = store.wakeups();
        (sender, Self { store, acknowledge: Box::new(acknowledge), inbox, wakeups })
    }

    /// Works until the handle is dropped or the store is closed or fails.
    fn run(mut self) -> Result<(), StoreError> {
        loop {
            let (first, woken) = select! {
                recv(self.inbox) -> message => match message {
                    Ok(message) => (Some(message), false),
                    Err(_) => return Ok(()),
                },
                recv(self.wakeups) -> wakeup => {
                    if wakeup.is_err() {
                        // Otherwise a disconnected channel would always be ready.
                        self.wakeups = never();
                    }
                    (None, true)
                }
            };
            if let ControlFlow::Break(ended) = self.turn(first, woken) {
                return ended;
            }
        }
    }

    fn is_due(&self) -> bool {
        !self.inbox.is_empty() || !self.wakeups.is_empty()
    }

    /// Commits a group that begins with `first`, if there is one, and answers it. `woken` says
    /// whether a wakeup was taken. Breaks once the store is closed or has failed.
    fn turn(&mut self, first: Option<Message>, woken: bool) -> ControlFlow<Result<(), StoreError>> {
        let (mut ids, mut group, mut close) = (Vec::new(), Vec::new(), false);
        let mut reads: Vec<(RecordKey, HeadReader)> = Vec::new();
        // A wakeup is answered by any commit, also by an empty one. Reading heads alone needs none.
        let woken = self.wakeups.try_iter().count() > 0 || woken;
        let mut next = first.or_else(|| self.inbox.try_recv().ok());
        while let Some(message) = next.take() {
            match message {
                Message::Commit(id, transaction) => {
                    ids.push(id);
                    group.push(transaction);
                }
                Message::ReadHead(record, answer) => reads.push((record, answer)),
                Message::Close => close = true,
            }
            if !close && group.len() + reads.len() < MAX_GROUP {
                next = self.inbox.try_recv().ok();
            }
        }
        if (woken || close || !group.is_empty())
            && let Err(error) = self.store.commit(&group)
        {
            (self.acknowledge)(Ack::Failed(error));
            return ControlFlow::Break(Err(StoreError::Stopped));
        }
        for id in ids {
            (self.acknowledge)(Ack::Committed(id));
        }
        for (record, answer) in reads {
            answer(self.store.head(record));
        }
        if close { ControlFlow::Break(self.store.close()) } else { ControlFlow::Continue(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use bgfetch_model::ids::{FetchKey, RecordIndex};
    use bgfetch_model::store_op::Snapshot;
    use crossbeam_channel::bounded;

    use super::*;
    use crate::Bodies;

    /// Reports the size of each group and fails the one numbered `fail_at`, counting from 0.
    struct Script {
        gate: Receiver<()>,
        groups: Sender<usize>,
        commits: usize,
        fail_at: usize,
        wakeups: Receiver<()>,
    }

    impl Store for Script {
        fn load(&mut self) -> Result<Snapshot, StoreError> {
            Ok(Snapshot::default())
        }

        fn commit(&mut self, batch: &[Transaction]) -> Result<(), StoreError> {
            self.gate.recv().unwrap();
            self.groups.send(batch.len()).unwrap();
            self.commits += 1;
            if self.commits > self.fail_at {
                return Err(StoreError::io("x", std::io::ErrorKind::StorageFull.into()));
            }
            Ok(())
        }

        fn head(&mut self, _: RecordKey) -> Result<Option<StoredHead>, StoreError> {
            Ok(None)
        }

        fn wakeups(&self) -> Receiver<()> {
            self.wakeups.clone()
        }

        fn bodies(&self) -> Arc<dyn Bodies> {
            unreachable!("no test here writes bodies")
        }

        fn close(&mut self) -> Result<(), StoreError> {
            self.groups.send(usize::MAX).unwrap();
            Ok(())
        }
    }

    struct Harness {
        thread: StoreThread,
        gate: Sender<()>,
        groups: Receiver<usize>,
        acks: Receiver<Ack>,
    }

    fn start(fail_at: usize) -> Harness {
        let (gate, gate_in_store) = unbounded();
        let (groups_of_store, groups) = unbounded();
        let (acks_of_thread, acks) = unbounded();
        let store = Script {
            gate: gate_in_store,
            groups: groups_of_store,
            commits: 0,
            fail_at,
            wakeups: never(),
        };
        let thread = StoreThread::start(Box::new(store), move |ack| {
            acks_of_thread.send(ack).unwrap();
        })
        .unwrap();
        Harness { thread, gate, groups, acks }
    }

    fn committed(acks: &Receiver<Ack>) -> Vec<u64> {
        acks.iter()
            .map(|ack| match ack {
                Ack::Committed(id) => id.0,
                Ack::Failed(error) => panic!("{error}"),
            })
            .collect()
    }

    #[test]
    fn what_waits_together_is_committed_together_and_acknowledged_in_order() {
        let Harness { thread, gate, groups, acks } = start(usize::MAX);
        thread.commit(CommitId(0), Transaction::default()).unwrap();
        // The first commit is blocked until the others are queued.
        for id in 1..6 {
            thread.commit(CommitId(id), Transaction::default()).unwrap();
        }
        for _ in 0..6 {
            gate.send(()).unwrap();
        }
        thread.shutdown().unwrap();
        assert_eq!(committed(&acks), [0, 1, 2, 3, 4, 5]);
        let groups: Vec<usize> = groups.try_iter().collect();
        assert_eq!(groups.last(), Some(&usize::MAX), "closed last");
        let sizes: Vec<_> = groups[..groups.len() - 1].iter().filter(|size| **size > 0).collect();
        assert_eq!(sizes.iter().copied().sum::<usize>(), 6);
        assert!(sizes.len() <= 2, "{sizes:?}");
    }

    #[test]
    fn a_failure_is_told_once_and_ends_the_thread() {
        let Harness { thread, gate, groups: _groups, acks } = start(1);
        gate.send(()).unwrap();
        thread.commit(CommitId(0), Transaction::default()).unwrap();
        assert!(matches!(acks.recv().unwrap(), Ack::Committed(CommitId(0))));
        thread.commit(CommitId(1), Transaction::default()).unwrap();
        gate.send(()).unwrap();
        assert!(matches!(acks.recv().unwrap(), Ack::Failed(e) if e.is_disk_full()));
        assert!(acks.recv().is_err(), "the callback is gone with the thread");
        assert!(matches!(
            thread.commit(CommitId(2), Transaction::default()),
            Err(StoreError::Stopped)
        ));
        assert!(matches!(thread.shutdown(), Err(StoreError::Stopped)));
    }

    #[test]
    fn a_head_is_read_after_what_was_handed_over_before_is_committed() {
        let Harness { thread, gate, groups: _groups, acks } = start(usize::MAX);
        thread.commit(CommitId(3), Transaction::default()).unwrap();
        let record = RecordKey { fetch: FetchKey(1), index: RecordIndex(0) };
        let (answers, heads) = bounded(1);
        let committed = acks.clone();
        thread
            .read_head(record, move |head| answers.send((head, committed.try_recv())).unwrap())
            .unwrap();
        assert!(heads.is_empty());
        gate.send(()).unwrap();
        // It may be in a group of its own.
        drop(gate);
        let (head, acked) = heads.recv().unwrap();
        assert!(head.unwrap().is_none());
        assert!(matches!(acked, Ok(Ack::Committed(CommitId(3)))));
    }

    #[test]
    fn a_drop_commits_what_was_handed_over_without_closing() {
        let Harness { thread, gate, groups, acks } = start(usize::MAX);
        thread.commit(CommitId(7), Transaction::default()).unwrap();
        gate.send(()).unwrap();
        drop(thread);
        assert_eq!(committed(&acks), [7]);
        assert_eq!(groups.try_iter().collect::<Vec<_>>(), [1]);
    }

    /// Without a thread, and with a store that never fails.
    fn inline(wakeups: Receiver<()>) -> (StoreThread, Receiver<usize>, Receiver<Ack>) {
        let (gate, gate_in_store) = unbounded();
        (0..9).for_each(|_| gate.send(()).unwrap());
        let (groups_of_store, groups) = unbounded();
        let (acks_of_store, acks) = unbounded();
        let store = Script {
            gate: gate_in_store,
            groups: groups_of_store,
            commits: 0,
            fail_at: usize::MAX,
            wakeups,
        };
        let acknowledge = move |ack| acks_of_store.send(ack).unwrap();
        (StoreThread::inline(Box::new(store), acknowledge), groups, acks)
    }

    #[test]
    fn without_a_thread_it_works_when_its_owner_says_so() {
        let (mut thread, groups, acks) = inline(never());
        assert!(!thread.is_due());
        for id in 0..3 {
            thread.commit(CommitId(id), Transaction::default()).unwrap();
        }
        assert!(thread.is_due() && acks.is_empty());
        thread.turn();
        thread.turn();
        assert!(!thread.is_due());
        assert_eq!((groups.try_recv().unwrap(), groups.len()), (3, 0));
        let record = RecordKey { fetch: FetchKey(1), index: RecordIndex(0) };
        thread.read_head(record, |head| assert!(head.is_ok())).unwrap();
        thread.turn();
        assert!(!thread.is_due() && groups.is_empty(), "reading needs no commit");
        thread.commit(CommitId(3), Transaction::default()).unwrap();
        thread.shutdown().unwrap();
        assert_eq!(committed(&acks), [0, 1, 2, 3]);
        assert_eq!(groups.try_iter().collect::<Vec<_>>(), [1, usize::MAX]);
    }

    #[test]
    fn without_a_thread_a_wakeup_is_answered_by_a_commit_of_nothing() {
        let (wake, wakeups) = bounded(1);
        let (mut thread, groups, _acks) = inline(wakeups);
        wake.send(()).unwrap();
        assert!(thread.is_due());
        thread.turn();
        assert!(!thread.is_due());
        assert_eq!(groups.try_iter().collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn without_a_thread_a_drop_loses_what_is_queued_as_a_crash_does() {
        let (thread, groups, acks) = inline(never());
        thread.commit(CommitId(0), Transaction::default()).unwrap();
        drop(thread);
        assert!(groups.is_empty() && committed(&acks).is_empty());
    }

    #[test]
    fn a_group_is_bounded_so_that_what_comes_later_is_not_delayed_for_long() {
        let Harness { thread, gate, groups, acks } = start(usize::MAX);
        let record = RecordKey { fetch: FetchKey(1), index: RecordIndex(0) };
        for id in 0..3000 {
            thread.commit(CommitId(id), Transaction::default()).unwrap();
            thread.read_head(record, |head| assert!(head.is_ok())).unwrap();
        }
        // As many as are needed at most.
        (0..3001).for_each(|_| gate.send(()).unwrap());
        drop(thread);
        assert_eq!(committed(&acks), (0..3000).collect::<Vec<_>>());
        let sizes: Vec<usize> = groups.try_iter().collect();
        assert_eq!(sizes.iter().sum::<usize>(), 3000);
        // A read counts, too. Only the first group may have been taken before all were queued.
        assert!(sizes.iter().all(|size| *size <= MAX_GROUP / 2), "{sizes:?}");
        assert!(sizes.len() <= 8, "{sizes:?}");
    }

    #[test]
    fn a_head_is_read_without_a_commit_unless_one_waits_with_it() {
        let Harness { thread, gate, groups, acks } = start(usize::MAX);
        let record = RecordKey { fetch: FetchKey(1), index: RecordIndex(0) };
        let (answers, heads) = unbounded();
        let read = || {
            let answers = answers.clone();
            thread.read_head(record, move |head| answers.send(head.is_ok()).unwrap()).unwrap();
        };
        read();
        assert!(heads.recv().unwrap());
        assert!(groups.is_empty());
        // The first commit is blocked until the others are queued.
        for id in 0..2 {
            thread.commit(CommitId(id), Transaction::default()).unwrap();
            read();
        }
        (0..4).for_each(|_| gate.send(()).unwrap());
        assert!(heads.recv().unwrap() && heads.recv().unwrap());
        drop(thread);
        assert_eq!(committed(&acks), [0, 1]);
        assert_eq!(groups.try_iter().sum::<usize>(), 2);
    }

    /// A store that tells when it is dropped, some time after the thread was asked to end.
    struct Ends(Sender<()>);

    impl Store for Ends {
        fn load(&mut self) -> Result<Snapshot, StoreError> {
            Ok(Snapshot::default())
        }

        fn commit(&mut self, _: &[Transaction]) -> Result<(), StoreError> {
            Ok(())
        }

        fn head(&mut self, _: RecordKey) -> Result<Option<StoredHead>, StoreError> {
            Ok(None)
        }

        fn bodies(&self) -> Arc<dyn Bodies> {
            unreachable!("no test here writes bodies")
        }
    }

    impl Drop for Ends {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }

    #[test]
    fn a_drop_waits_for_the_end_of_the_store() {
        let (ended, ends) = unbounded();
        let thread = StoreThread::start(Box::new(Ends(ended)), |_| ()).unwrap();
        for id in 0..1000 {
            thread.commit(CommitId(id), Transaction::default()).unwrap();
        }
        drop(thread);
        assert_eq!(ends.len(), 1);
    }

    #[test]
    fn the_callback_may_drop_the_thread_s_own_handle() {
        let (ended, ends) = unbounded();
        let handle = Arc::new(Mutex::new(None));
        let own = Arc::clone(&handle);
        let (acks_of_thread, acks) = unbounded();
        let thread = StoreThread::start(Box::new(Ends(ended)), move |_| {
            drop::<Option<StoreThread>>(own.lock().unwrap().take());
            acks_of_thread.send(()).unwrap();
        });
        let mut handle = handle.lock().unwrap();
        handle.insert(thread.unwrap()).commit(CommitId(0), Transaction::default()).unwrap();
        drop(handle);
        assert!(acks.recv().is_ok());
        assert!(ends.recv().is_ok());
    }

    #[test]
    fn a_wakeup_is_answered_with_an_empty_commit() {
        struct Wakes(Receiver<()>, Sender<usize>);
        impl Store for Wakes {
            fn load(&mut self) -> Result<Snapshot, StoreError> {
                Ok(Snapshot::default())
            }
            fn commit(&mut self, batch: &[Transaction]) -> Result<(), StoreError> {
                self.1.send(batch.len()).unwrap();
                Ok(())
            }
            fn head(&mut self, _: RecordKey) -> Result<Option<StoredHead>, StoreError> {
                Ok(None)
            }
            fn bodies(&self) -> Arc<dyn Bodies> {
                unreachable!("no test here writes bodies")
            }
            fn wakeups(&self) -> Receiver<()> {
                self.0.clone()
            }
        }
        let (wake, wakeups) = bounded(1);
        let (groups_of_store, groups) = unbounded();
        let store = Box::new(Wakes(wakeups, groups_of_store));
        let thread = StoreThread::start(store, |_| ()).unwrap();
        wake.send(()).unwrap();
        assert_eq!(groups.recv().unwrap(), 0);
        drop(wake);
        thread.shutdown().unwrap();
    }
}
