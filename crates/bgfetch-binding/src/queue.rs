//! The completion queue: the only way from an engine to its host. There are no callbacks but the one that wakes the
//! host up.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgfetch::{Engine, WeakEngine};
use futures_util::FutureExt;
use futures_util::future::join_all;
use parking_lot::{Condvar, Mutex};
use tokio::runtime::Runtime;
use tokio::task::AbortHandle;

use crate::completion::{Completion, Value};
use crate::error::{Code, Error, Result};
use crate::handle::{self, Handle, Kind, Object};

/// Wakes a host up. Both functions are called while the queue is locked, by any thread: they must not block, and must
/// not call this library.
pub trait Wake: Send + Sync + 'static {
    /// The queue was empty and is not any more.
    fn filled(&self);

    /// The last completion was taken.
    fn emptied(&self) {}

    /// A file descriptor that can be read as long as there are completions, if the host polls one.
    fn descriptor(&self) -> Option<i32> {
        None
    }
}

impl<F: Fn() + Send + Sync + 'static> Wake for F {
    fn filled(&self) {
        self();
    }
}

/// A queue with the runtime on which everything runs that belongs to it.
///
/// It is one runtime for a queue, and not one for an engine or for the process: the calls of all engines need one, and
/// when a host closes its queue, no thread is left behind.
pub(crate) struct Queue {
    pub(crate) handle: Handle,
    state: Mutex<State>,
    filled: Condvar,
    /// Locked while somebody waits for the next completion.
    consumer: Mutex<()>,
    wake: Box<dyn Wake>,
    pub(crate) runtime: tokio::runtime::Handle,
    engines: Mutex<Vec<WeakEngine>>,
    own: Mutex<Option<Runtime>>,
}

struct State {
    completions: VecDeque<Completion>,
    open: bool,
}

impl Object for Queue {
    const KIND: Kind = Kind::Queue;
}

/// How long [`close`] waits for threads that are busy.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// Makes a queue. `wake` is called whenever it becomes non-empty.
///
/// # Errors
///
/// [`Code::NoThread`].
pub fn open(wake: impl Wake) -> Result<Handle> {
    // The tasks seldom compute. With two threads, one that writes to a file does not delay the others.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .thread_name("bgfetch")
        .enable_all()
        .build()
        .map_err(|error| Error::new(Code::NoThread, error.to_string()))?;
    let state = State { completions: VecDeque::new(), open: true };
    let (handle, _) = handle::insert(Handle::NONE, |handle| Queue {
        handle,
        state: Mutex::new(state),
        filled: Condvar::new(),
        consumer: Mutex::new(()),
        wake: Box::new(wake),
        runtime: runtime.handle().clone(),
        engines: Mutex::default(),
        own: Mutex::new(Some(runtime)),
    })?;
    Ok(handle)
}

/// The file descriptor that can be read as long as there are completions, if the queue was opened with one.
///
/// # Errors
///
/// A bad handle.
pub fn descriptor(queue: Handle) -> Result<Option<i32>> {
    Ok(handle::get::<Queue>(queue)?.wake.descriptor())
}

/// The next completion, in the order in which they came, or `None` if there is none within this time. Without a time,
/// it waits for ever.
///
/// # Errors
///
/// [`Code::QueueBusy`] while another thread waits for the next one; [`Code::Closed`] if the queue is closed meanwhile;
/// a bad handle.
pub fn next(queue: Handle, within: Option<Duration>) -> Result<Option<Completion>> {
    let queue = handle::get::<Queue>(queue)?;
    let Some(_consumer) = queue.consumer.try_lock() else {
        let message = "another thread is waiting for the queue's next completion";
        return Err(Error::new(Code::QueueBusy, message));
    };
    let deadline = within.and_then(|within| Instant::now().checked_add(within));
    let mut state = queue.state.lock();
    loop {
        if !state.open {
            return Err(Error::closed());
        }
        if let Some(completion) = state.completions.pop_front() {
            if state.completions.is_empty() {
                queue.wake.emptied();
            }
            return Ok(Some(completion));
        }
        match deadline {
            None => queue.filled.wait(&mut state),
            Some(deadline) if Instant::now() >= deadline => return Ok(None),
            Some(deadline) => drop(queue.filled.wait_until(&mut state, deadline)),
        }
    }
}

/// Ends a queue with everything that belongs to it: engines end as in a crash, which loses nothing that is durable, and
/// all handles are freed. Returns when the stores can be opened again and the threads have ended, or after some seconds
/// if one of them is busy.
///
/// # Errors
///
/// A bad handle.
pub fn close(queue: Handle) -> Result<()> {
    let object = handle::get::<Queue>(queue)?;
    let Some(runtime) = object.own.lock().take() else { return Err(Error::closed()) };
    let engines: Vec<_> = object.engines.lock().iter().filter_map(WeakEngine::upgrade).collect();
    handle::free_all(queue);
    let mut state = object.state.lock();
    state.open = false;
    let unread = std::mem::take(&mut state.completions);
    drop(state);
    object.filled.notify_all();
    drop(unread);
    // A thread of its own, because that of the caller may belong to a runtime, where one must not wait.
    let shutdown = move || {
        runtime.block_on(join_all(engines.into_iter().map(Engine::kill)));
        runtime.shutdown_timeout(SHUTDOWN);
    };
    let thread = std::thread::Builder::new().name("bgfetch-close".into()).spawn(shutdown);
    let thread = thread.map_err(|error| Error::new(Code::NoThread, error.to_string()))?;
    thread.join().map_err(|_| Error::new(Code::Panic, "the runtime panicked when it ended"))
}

impl Queue {
    /// Adds a completion. A queue that is closed drops it.
    pub(crate) fn push(&self, completion: Completion) {
        let mut state = self.state.lock();
        if !state.open {
            // It may free handles, or report that it was applied.
            drop(state);
            drop(completion);
            return;
        }
        state.completions.push_back(completion);
        if state.completions.len() == 1 {
            self.wake.filled();
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Notes an engine that is to end with the queue.
    pub(crate) fn has(&self, engine: WeakEngine) {
        let mut engines = self.engines.lock();
        engines.retain(|engine| engine.upgrade().is_some());
        engines.push(engine);
    }

    /// Runs a task until it ends or is aborted.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.runtime.spawn(task).abort_handle()
    }

    /// Runs a call whose answer becomes a completion, whatever happens.
    pub(crate) fn call(
        self: &Arc<Self>,
        token: u64,
        answer: impl Future<Output = Result<Value>> + Send + 'static,
    ) -> AbortHandle {
        let call = Call { queue: Arc::clone(self), token, answer: None };
        self.spawn(async move {
            let answer = AssertUnwindSafe(answer).catch_unwind().await;
            let panicked = |_| Err(Error::new(Code::Panic, "the call panicked"));
            call.answered(answer.unwrap_or_else(panicked));
        })
    }
}

/// A call, which is answered when this is dropped.
struct Call {
    queue: Arc<Queue>,
    token: u64,
    answer: Option<Result<Value>>,
}

impl Call {
    fn answered(mut self, answer: Result<Value>) {
        self.answer = Some(answer);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let interrupted = || Err(Error::new(Code::Interrupted, "the call was interrupted"));
        let result = self.answer.take().unwrap_or_else(interrupted);
        self.queue.push(Completion::CallDone { token: self.token, result });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Counter(Arc<(AtomicUsize, AtomicUsize)>);

    impl Wake for Counter {
        fn filled(&self) {
            self.0.0.fetch_add(1, Ordering::Relaxed);
        }

        fn emptied(&self) {
            self.0.1.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn done(token: u64) -> Completion {
        Completion::CallDone { token, result: Ok(Value::None) }
    }

    #[test]
    fn completions_come_in_order_and_wake_the_host_once_until_it_took_all() {
        let counts = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        let seen = || (counts.0.load(Ordering::Relaxed), counts.1.load(Ordering::Relaxed));
        let queue = open(Counter(Arc::clone(&counts))).unwrap();
        let object = handle::get::<Queue>(queue).unwrap();
        for token in 0..3 {
            object.push(done(token));
        }
        assert_eq!(seen(), (1, 0));
        for expected in 0..3 {
            let next = next(queue, Some(Duration::ZERO)).unwrap();
            assert!(matches!(next, Some(Completion::CallDone { token, .. }) if token == expected));
        }
        assert_eq!(seen(), (1, 1));
        assert!(next(queue, Some(Duration::ZERO)).unwrap().is_none());
        object.push(done(3));
        assert_eq!(seen(), (2, 1));
        close(queue).unwrap();
    }

    #[test]
    fn a_call_that_panics_or_is_dropped_is_answered() {
        let queue = open(|| {}).unwrap();
        let object = handle::get::<Queue>(queue).unwrap();
        let code = || match next(queue, None).unwrap() {
            Some(Completion::CallDone { result, .. }) => result.map(drop).unwrap_err().code(),
            other => panic!("{other:?}"),
        };
        object.call(1, async { panic!("on purpose") });
        assert_eq!(code(), Code::Panic);
        object.call(2, std::future::pending()).abort();
        assert_eq!(code(), Code::Interrupted);
        close(queue).unwrap();
    }

    #[test]
    fn there_is_one_consumer_at_a_time_and_a_queue_that_is_closed_ends_its_wait() {
        let queue = open(|| {}).unwrap();
        let waiting = std::thread::spawn(move || {
            loop {
                // The other thread may be the first one.
                let error = next(queue, None).map(drop).unwrap_err();
                if error.code() != Code::QueueBusy {
                    return error.code();
                }
            }
        });
        let busy = loop {
            match next(queue, Some(Duration::ZERO)) {
                Ok(_) => std::thread::yield_now(),
                Err(error) => break error,
            }
        };
        assert_eq!(busy.code(), Code::QueueBusy);
        let object = handle::get::<Queue>(queue).unwrap();
        close(queue).unwrap();
        let ended = waiting.join().unwrap();
        assert!([Code::Closed, Code::InvalidHandle].contains(&ended), "{ended:?}");
        assert_eq!(next(queue, None).unwrap_err().code(), Code::InvalidHandle);
        // Who is late finds nobody.
        object.push(done(1));
    }
}
