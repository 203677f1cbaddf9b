//! Whose turn it is to do work that needs processors and disks.

use std::collections::HashMap;
use std::sync::Arc;

use bgfetch_net::partition::Partition;
use tokio::sync::Semaphore;

/// How many bodies of a partition are verified at once. This keeps processors and disks busy; after
/// a restart there may be thousands of bodies.
const AT_ONCE: usize = 2;

/// The turns for verifying bodies. Partitions do not wait for each other.
#[derive(Debug, Default)]
pub(crate) struct Turns(HashMap<Partition, Arc<Semaphore>>);

impl Turns {
    /// The turns of a partition, as long as they are held.
    pub(crate) fn of(&mut self, partition: &Partition) -> Arc<Semaphore> {
        self.0.retain(|_, turns| Arc::strong_count(turns) > 1);
        let new = || Arc::new(Semaphore::new(AT_ONCE));
        Arc::clone(self.0.entry(partition.clone()).or_insert_with(new))
    }
}

#[cfg(test)]
mod tests {
    use bgfetch_model::ids::StorageKey;

    use super::*;

    #[test]
    fn a_site_with_many_bodies_to_verify_keeps_no_other_one_waiting() {
        let mut turns = Turns::default();
        let busy = turns.of(&Partition::Site(StorageKey("busy".into())));
        let taken: Vec<_> = std::iter::from_fn(|| busy.try_acquire().ok()).collect();
        assert_eq!(taken.len(), AT_ONCE);
        for other in [Partition::User, Partition::Site(StorageKey("other".into()))] {
            assert!(turns.of(&other).try_acquire().is_ok());
        }
        // Those of the busy one are the same as long as it verifies, and others are not kept.
        let again = turns.of(&Partition::Site(StorageKey("busy".into())));
        assert!(again.try_acquire().is_err());
        assert_eq!(turns.0.len(), 1);
    }
}
