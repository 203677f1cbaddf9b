//! The memory for decoding responses. Each network partition has a limited amount, so that many coded
//! responses at once cost no more than a few.
//!
//! A response gets all the memory that it may need before a byte of it is decoded, and keeps it to
//! its end. A third of the memory is set aside for requests, each of which may accept a coding
//! whose decoder needs no more. Responses that need more wait for the rest. Nobody waits while it
//! has a part of the rest, and what is set aside is never waited for. So those who wait get their
//! turn when those before them end, in the order in which they asked.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::partition::Partition;

use super::coding::Coding;

/// What is set aside for a response before its coding is known: enough for a window of 1 MiB, as
/// servers commonly use that compress their responses as they send them.
const USUAL: u32 = Coding::brotli_memory(20);

/// The memory of all partitions, in KiB.
pub(super) struct DecoderMemory {
    each: u32,
    /// The partitions of which a response has memory.
    sites: Mutex<HashMap<Partition, Weak<Site>>>,
}

/// What a partition has left.
struct Site {
    to_set_aside: Arc<Semaphore>,
    rest: Arc<Semaphore>,
}

/// Memory that a response may use until this is dropped.
pub(super) struct Memory {
    _permit: OwnedSemaphorePermit,
    _site: Arc<Site>,
}

impl DecoderMemory {
    /// Each partition has this many bytes.
    pub(super) fn new(each: u32) -> Self {
        Self { each: each >> 10, sites: Mutex::default() }
    }

    /// Sets the usual amount aside for a request, if there is enough and half of the rest is left
    /// for responses that need more.
    pub(super) fn set_aside(&self, partition: &Partition) -> Option<Memory> {
        let site = self.site(partition);
        if site.rest.available_permits() < self.rest() as usize / 2 {
            return None;
        }
        let permit = Arc::clone(&site.to_set_aside).try_acquire_many_owned(USUAL).ok()?;
        Some(Memory { _permit: permit, _site: site })
    }

    /// Waits for `needed` KiB, or for all of the memory if that is less. What was set aside is used
    /// if it is enough, and otherwise returned first.
    pub(super) async fn take(
        &self,
        partition: &Partition,
        set_aside: Option<Memory>,
        needed: u32,
    ) -> Option<Memory> {
        if let Some(enough) = set_aside.filter(|_| needed <= USUAL) {
            return Some(enough);
        }
        let site = self.site(partition);
        let needed = needed.min(self.rest());
        // The semaphore is never closed.
        let permit = Arc::clone(&site.rest).acquire_many_owned(needed).await.ok()?;
        Some(Memory { _permit: permit, _site: site })
    }

    /// What is not set aside.
    fn rest(&self) -> u32 {
        self.each - self.each / 3
    }

    fn site(&self, partition: &Partition) -> Arc<Site> {
        let mut sites = self.sites.lock();
        if let Some(known) = sites.get(partition).and_then(Weak::upgrade) {
            return known;
        }
        sites.retain(|_, site| site.strong_count() > 0);
        let site = Arc::new(Site {
            to_set_aside: Arc::new(Semaphore::new(self.each as usize / 3)),
            rest: Arc::new(Semaphore::new(self.rest() as usize)),
        });
        sites.insert(partition.clone(), Arc::downgrade(&site));
        site
    }
}

#[cfg(test)]
mod tests {
    use bgfetch_model::ids::StorageKey;
    use futures_util::FutureExt;

    use super::*;

    const MIB: u32 = 1 << 10;

    fn key(name: &str) -> Partition {
        Partition::Site(StorageKey(name.into()))
    }

    /// What is there at once.
    fn at_once(memory: &DecoderMemory, of: &str, needed: u32) -> Option<Memory> {
        memory.take(&key(of), None, needed).now_or_never().flatten()
    }

    #[tokio::test]
    async fn responses_wait_for_all_that_they_need_in_order_and_go_on_when_others_end() {
        let memory = DecoderMemory::new(96 << 20);
        let first = at_once(&memory, "a", 40 * MIB).unwrap();
        let a = key("a");
        let mut large = Box::pin(memory.take(&a, None, 30 * MIB));
        let mut small = Box::pin(memory.take(&a, None, MIB));
        assert!((&mut large).now_or_never().is_none());
        assert!((&mut small).now_or_never().is_none(), "it overtook");
        assert!(at_once(&memory, "b", 64 * MIB).is_some(), "another site waits");
        drop(first);
        let large = large.await.unwrap();
        let small = small.await.unwrap();
        assert!(at_once(&memory, "a", 33 * MIB).is_some());
        drop((large, small));
        assert!(at_once(&memory, "a", 64 * MIB).is_some(), "some was lost");
    }

    #[tokio::test]
    async fn one_who_stops_waiting_delays_nobody() {
        let memory = DecoderMemory::new(96 << 20);
        let first = at_once(&memory, "a", 40 * MIB).unwrap();
        let a = key("a");
        let mut waiting = Box::pin(memory.take(&a, None, 64 * MIB));
        assert!((&mut waiting).now_or_never().is_none());
        drop(waiting);
        assert!(at_once(&memory, "a", 24 * MIB).is_some());
        drop(first);
        // More than there is means all.
        assert!(at_once(&memory, "a", 65 * MIB).is_some());
        assert!(memory.sites.lock().len() <= 1);
        assert!(at_once(&memory, "b", MIB).is_some());
        assert!(memory.sites.lock().len() <= 1, "what nobody uses is forgotten");
    }

    #[tokio::test]
    async fn what_is_set_aside_suffices_or_is_returned_and_nobody_waits_for_it() {
        let memory = DecoderMemory::new(3 * 2 * (USUAL << 10));
        let a = key("a");
        let (one, two) = (memory.set_aside(&a), memory.set_aside(&a));
        assert!(one.is_some() && two.is_some() && memory.set_aside(&a).is_none());
        // All of the rest is there, and then no request sets anything aside.
        let rest = at_once(&memory, "a", memory.rest()).unwrap();
        let enough = memory.take(&a, one, USUAL).now_or_never().flatten();
        assert!(enough.is_some());
        let mut more = Box::pin(memory.take(&a, two, USUAL + 1));
        assert!((&mut more).now_or_never().is_none());
        assert!(memory.set_aside(&a).is_none());
        drop(rest);
        assert!(more.await.is_some());
        assert!(memory.set_aside(&a).is_some(), "it was not returned");
    }
}
