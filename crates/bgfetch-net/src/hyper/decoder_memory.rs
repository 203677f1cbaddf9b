//! The memory for decoding responses. Each storage key has a limited amount, so that many coded
//! responses at once cost no more than a few.
//!
//! A response gets all the memory that it may need before a byte of it is decoded, and keeps it to
//! its end. So whoever waits holds nothing that another response needs, and gets its turn when
//! those before it end. Turns come in the order in which responses asked.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use bgfetch_model::ids::StorageKey;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::coding::Coding;

/// What is set aside for a response before its coding is known: enough for a window of 1 MiB, as
/// servers commonly use that compress their responses as they send them.
const USUAL: u32 = Coding::brotli_memory(20);

/// The memory of all storage keys, in KiB.
pub(super) struct DecoderMemory {
    each: u32,
    /// What each storage key has left, while responses of it have some.
    left: Mutex<HashMap<StorageKey, Weak<Semaphore>>>,
}

/// Memory that a response may use until this is dropped.
pub(super) struct Memory(OwnedSemaphorePermit);

impl DecoderMemory {
    /// Each storage key has this many bytes.
    pub(super) fn new(each: u32) -> Self {
        Self { each: each >> 10, left: Mutex::default() }
    }

    /// Sets the usual amount aside for a request, if nobody waits and there is enough.
    pub(super) fn set_aside(&self, key: &StorageKey) -> Option<Memory> {
        self.left(key).try_acquire_many_owned(USUAL.min(self.each)).ok().map(Memory)
    }

    /// Waits for `needed` KiB, or for all of the memory if that is less. What was set aside is used
    /// if it is enough, and otherwise returned first.
    pub(super) async fn take(
        &self,
        key: &StorageKey,
        set_aside: Option<Memory>,
        needed: u32,
    ) -> Option<Memory> {
        let needed = needed.min(self.each);
        if let Some(Memory(mut permit)) = set_aside
            && let Some(exact) = permit.split(needed as usize)
        {
            return Some(Memory(exact));
        }
        // The semaphore is never closed.
        self.left(key).acquire_many_owned(needed).await.ok().map(Memory)
    }

    fn left(&self, key: &StorageKey) -> Arc<Semaphore> {
        let mut left = self.left.lock();
        if let Some(known) = left.get(key).and_then(Weak::upgrade) {
            return known;
        }
        left.retain(|_, left| left.strong_count() > 0);
        let all = Arc::new(Semaphore::new(self.each as usize));
        left.insert(key.clone(), Arc::downgrade(&all));
        all
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const MIB: u32 = 1 << 10;

    fn key(name: &str) -> StorageKey {
        StorageKey(name.into())
    }

    /// What is there at once.
    fn at_once(memory: &DecoderMemory, of: &str, needed: u32) -> Option<Memory> {
        memory.take(&key(of), None, needed).now_or_never().flatten()
    }

    #[tokio::test]
    async fn responses_wait_for_all_that_they_need_in_order_and_go_on_when_others_end() {
        let memory = Arc::new(DecoderMemory::new(64 << 20));
        let first = at_once(&memory, "a", 40 * MIB).unwrap();
        let (a, b) = (key("a"), key("b"));
        let mut large = Box::pin(memory.take(&a, None, 30 * MIB));
        let mut small = Box::pin(memory.take(&a, None, MIB));
        assert!((&mut large).now_or_never().is_none());
        assert!((&mut small).now_or_never().is_none(), "it overtook");
        assert!(memory.set_aside(&a).is_none(), "it overtook");
        assert!(at_once(&memory, "b", 64 * MIB).is_some(), "another storage key waits");
        drop(b);
        drop(first);
        let large = large.await.unwrap();
        let small = small.await.unwrap();
        assert!(at_once(&memory, "a", 33 * MIB).is_some());
        drop((large, small));
        assert!(at_once(&memory, "a", 64 * MIB).is_some(), "some was lost");
    }

    #[tokio::test]
    async fn one_who_stops_waiting_delays_nobody() {
        let memory = DecoderMemory::new(64 << 20);
        let first = at_once(&memory, "a", 40 * MIB).unwrap();
        let a = key("a");
        let mut waiting = Box::pin(memory.take(&a, None, 64 * MIB));
        assert!((&mut waiting).now_or_never().is_none());
        drop(waiting);
        assert!(at_once(&memory, "a", 24 * MIB).is_some());
        drop(first);
        // More than there is means all.
        assert!(at_once(&memory, "a", 65 * MIB).is_some());
        assert!(memory.left.lock().len() <= 1);
        assert!(at_once(&memory, "b", MIB).is_some());
        assert!(memory.left.lock().len() <= 1, "what nobody uses is forgotten");
    }

    #[tokio::test]
    async fn what_was_set_aside_is_used_or_returned_but_never_kept_while_waiting() {
        let memory = DecoderMemory::new(USUAL << 10);
        let a = key("a");
        let aside = memory.set_aside(&a);
        assert!(aside.is_some() && memory.set_aside(&a).is_none());
        let little = memory.take(&a, aside, USUAL / 2).now_or_never().unwrap();
        assert!(at_once(&memory, "a", USUAL / 2).is_some(), "the rest was returned");
        drop(little);
        // Two that need more than was set aside for both.
        let memory = DecoderMemory::new(2 * (USUAL << 10));
        let (one, two) = (memory.set_aside(&a), memory.set_aside(&a));
        let mut first = Box::pin(memory.take(&a, one, 2 * USUAL));
        assert!((&mut first).now_or_never().is_none());
        let mut second = Box::pin(memory.take(&a, two, 2 * USUAL));
        assert!((&mut second).now_or_never().is_none(), "the first has it");
        drop(first.await);
        assert!(second.await.is_some());
    }
}
