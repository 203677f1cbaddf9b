//! An arena for values that refer to each other by id.

use std::ops::{Index, IndexMut};

use slab::Slab;

/// Owns values and assigns ids to them.
///
/// Indexing with the id of a removed value panics. Ids never leave the scheduler, and it drops the
/// last reference to a value before the value, so that would be a bug and no input can cause it.
#[derive(Debug)]
pub(super) struct Arena<T>(Slab<T>);

impl<T> Arena<T> {
    pub(super) fn insert(&mut self, value: T) -> usize {
        self.0.insert(value)
    }

    /// The id of the next inserted value.
    pub(super) fn next_id(&self) -> usize {
        self.0.vacant_key()
    }

    pub(super) fn remove(&mut self, id: usize) -> T {
        self.0.remove(id)
    }
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self(Slab::new())
    }
}

#[expect(clippy::indexing_slicing, reason = "see the type's documentation")]
impl<T> Index<usize> for Arena<T> {
    type Output = T;

    fn index(&self, id: usize) -> &T {
        &self.0[id]
    }
}

#[expect(clippy::indexing_slicing, reason = "see the type's documentation")]
impl<T> IndexMut<usize> for Arena<T> {
    fn index_mut(&mut self, id: usize) -> &mut T {
        &mut self.0[id]
    }
}
