//! Work that blocks for some milliseconds, on a task.

/// Does the work on the calling thread. On a multi-threaded runtime, its other tasks are handed to
/// another thread first.
#[cfg(feature = "rt-multi-thread")]
pub(crate) fn block<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};

    let has_workers = Handle::try_current()
        .is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if has_workers { tokio::task::block_in_place(work) } else { work() }
}

/// Does the work on the calling thread.
#[cfg(not(feature = "rt-multi-thread"))]
pub(crate) fn block<T>(work: impl FnOnce() -> T) -> T {
    work()
}
