//! Numbered handles: how a host outside Rust names objects. The table is one for the process, like that of file
//! descriptors, so a number of one queue never names an object of another.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::error::{Code, Error, Result};

/// The number of an object. 0 names none.
///
/// A number contains the kind of its object and how often its place in the table was used. So a handle that was freed,
/// or one of another kind, is an error and never another object. It has at most 53 bits, so that a Number of
/// JavaScript can hold it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(u64);

/// What a handle names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A completion queue.
    Queue = 1,
    /// An engine.
    Engine = 2,
    /// A service worker registration, as one page or worker sees it.
    Registration = 3,
    /// A background fetch, as one page or worker sees it.
    Fetch = 4,
    /// A record of a background fetch.
    Record = 5,
    /// The body of a response.
    Body = 6,
    /// A functional event.
    Event = 7,
    /// An extension of an event's lifetime.
    Extension = 8,
    /// Bytes that the host reads in order: the body of a request.
    Stream = 9,
    /// Bytes that the host supplies: the body of a request.
    Source = 10,
    /// A question of the engine to the host.
    Question = 11,
    /// A message for the host's own network stack.
    Message = 12,
}

/// The bits of a handle, from the lowest: its kind, its place in the table, and its generation.
const KIND_BITS: u32 = 4;
const PLACE_BITS: u32 = 24;
const GENERATION_BITS: u32 = 25;

impl Handle {
    /// Names nothing.
    pub const NONE: Self = Self(0);

    /// The handle with this number, which may name nothing.
    #[must_use]
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// Its number.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// Whether it is 0.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    const fn new(kind: Kind, place: usize, generation: u64) -> Self {
        Self(kind as u64 | (place as u64) << KIND_BITS | generation << (KIND_BITS + PLACE_BITS))
    }

    const fn kind_bits(self) -> u64 {
        self.0 & ((1 << KIND_BITS) - 1)
    }

    const fn place(self) -> usize {
        (self.0 >> KIND_BITS) as usize & ((1 << PLACE_BITS) - 1)
    }

    const fn generation(self) -> u64 {
        self.0 >> (KIND_BITS + PLACE_BITS)
    }
}

/// What can have a handle.
pub(crate) trait Object: Any + Send + Sync {
    /// The kind of its handles.
    const KIND: Kind;
}

struct Slot {
    generation: u64,
    /// The queue that the object belongs to.
    queue: Handle,
    object: Option<Arc<dyn Any + Send + Sync>>,
}

/// The objects that have handles.
struct Table {
    slots: Vec<Slot>,
    unused: Vec<usize>,
}

static TABLE: RwLock<Table> = RwLock::new(Table { slots: Vec::new(), unused: Vec::new() });

impl Table {
    fn slot(&self, handle: Handle) -> Option<&Slot> {
        let slot = self.slots.get(handle.place())?;
        (slot.generation == handle.generation()).then_some(slot)
    }

    fn insert(
        &mut self,
        kind: Kind,
        queue: Handle,
        make: impl FnOnce(Handle) -> Arc<dyn Any + Send + Sync>,
    ) -> Result<Handle> {
        let place = match self.unused.pop() {
            Some(place) => place,
            None if self.slots.len() >> PLACE_BITS > 0 => {
                return Err(Error::new(Code::TooManyHandles, "there are too many handles"));
            }
            None => {
                self.slots.push(Slot { generation: 0, queue: Handle::NONE, object: None });
                self.slots.len() - 1
            }
        };
        let slot = self.slots.get_mut(place).ok_or_else(gone)?;
        slot.generation += 1;
        let handle = Handle::new(kind, place, slot.generation);
        slot.queue = if queue.is_none() { handle } else { queue };
        slot.object = Some(make(handle));
        Ok(handle)
    }

    fn take(&mut self, handle: Handle) -> Option<Arc<dyn Any + Send + Sync>> {
        let place = handle.place();
        let slot = self.slots.get_mut(place)?;
        if slot.generation != handle.generation() {
            return None;
        }
        let taken = slot.object.take();
        // A place whose generations are used up is never used again.
        if taken.is_some() && slot.generation + 1 < 1 << GENERATION_BITS {
            self.unused.push(place);
        }
        taken
    }
}

/// The object with this handle.
pub(crate) fn get<T: Object>(handle: Handle) -> Result<Arc<T>> {
    check_kind::<T>(handle)?;
    let table = TABLE.read();
    let object = table.slot(handle).and_then(|slot| slot.object.as_ref()).ok_or_else(gone)?;
    Arc::clone(object).downcast().map_err(|_| gone())
}

/// A handle for a new object of a queue, which may know it. A queue that was closed has no new objects.
pub(crate) fn insert<T: Object>(
    queue: Handle,
    make: impl FnOnce(Handle) -> T,
) -> Result<(Handle, Arc<T>)> {
    let mut table = TABLE.write();
    if !queue.is_none() && table.slot(queue).is_none_or(|slot| slot.object.is_none()) {
        return Err(Error::closed());
    }
    let mut made = None;
    let handle = table.insert(T::KIND, queue, |handle| {
        let object = Arc::new(make(handle));
        made = Some(Arc::clone(&object));
        object
    })?;
    Ok((handle, made.ok_or_else(gone)?))
}

/// Frees a handle, and returns its object.
pub(crate) fn take<T: Object>(handle: Handle) -> Result<Arc<T>> {
    check_kind::<T>(handle)?;
    let taken = TABLE.write().take(handle).ok_or_else(gone)?;
    taken.downcast().map_err(|_| gone())
}

/// Frees the handle of a queue and those of its objects.
pub(crate) fn free_all(queue: Handle) {
    let mut table = TABLE.write();
    let of_queue = |(place, slot): (usize, &Slot)| {
        let there = slot.object.is_some() && slot.queue == queue;
        there.then(|| Handle::new(Kind::Queue, place, slot.generation))
    };
    let handles: Vec<_> = table.slots.iter().enumerate().filter_map(of_queue).collect();
    let freed: Vec<_> = handles.into_iter().filter_map(|handle| table.take(handle)).collect();
    // Objects free handles of their own when they are dropped.
    drop(table);
    drop(freed);
}

/// How many objects have a handle, of the queue with that handle.
#[must_use]
pub fn count(queue: Handle) -> usize {
    let there = |slot: &&Slot| slot.object.is_some() && slot.queue == queue;
    TABLE.read().slots.iter().filter(there).count()
}

fn check_kind<T: Object>(handle: Handle) -> Result<()> {
    if handle.is_none() {
        return Err(Error::new(Code::InvalidHandle, "the handle is 0, which names nothing"));
    }
    if handle.kind_bits() == T::KIND as u64 {
        return Ok(());
    }
    let message = format!("the handle does not name {}", T::KIND);
    Err(Error::new(Code::WrongKind, message))
}

fn gone() -> Error {
    Error::new(Code::InvalidHandle, "the handle was freed, or never existed")
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "a queue",
            Self::Engine => "an engine",
            Self::Registration => "a registration",
            Self::Fetch => "a fetch",
            Self::Record => "a record",
            Self::Body => "a body",
            Self::Event => "an event",
            Self::Extension => "an extension of an event",
            Self::Stream => "a stream",
            Self::Source => "a source",
            Self::Question => "a question",
            Self::Message => "a message for the network",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Queue;
    impl Object for Queue {
        const KIND: Kind = Kind::Queue;
    }

    #[derive(Debug)]
    struct Fetch(u8);
    impl Object for Fetch {
        const KIND: Kind = Kind::Fetch;
    }

    #[derive(Debug)]
    struct Body;
    impl Object for Body {
        const KIND: Kind = Kind::Body;
    }

    fn queue() -> Handle {
        insert(Handle::NONE, |_| Queue).unwrap().0
    }

    #[test]
    fn a_freed_handle_never_names_the_object_that_took_its_place() {
        let queue = queue();
        let mut seen = Vec::new();
        for number in 0..100 {
            let (handle, _) = insert(queue, |_| Fetch(number)).unwrap();
            assert_eq!(get::<Fetch>(handle).unwrap().0, number);
            assert!(handle.raw() < 1 << 53 && !seen.contains(&handle));
            take::<Fetch>(handle).unwrap();
            seen.push(handle);
        }
        let codes = seen.iter().map(|&handle| get::<Fetch>(handle).unwrap_err().code());
        assert!(codes.into_iter().all(|code| code == Code::InvalidHandle));
        assert_eq!(take::<Fetch>(*seen.last().unwrap()).unwrap_err().code(), Code::InvalidHandle);
        free_all(queue);
    }

    #[test]
    fn a_handle_of_another_kind_is_an_error_even_with_forged_bits() {
        let queue = queue();
        let (handle, _) = insert(queue, |_| Fetch(1)).unwrap();
        assert_eq!(get::<Body>(handle).unwrap_err().code(), Code::WrongKind);
        let forged = Handle::new(Kind::Body, handle.place(), handle.generation());
        assert_eq!(get::<Body>(forged).unwrap_err().code(), Code::InvalidHandle);
        for raw in [0, 1, u64::MAX, handle.raw() + (1 << 40), handle.raw() ^ (1 << 60)] {
            assert!(get::<Fetch>(Handle::from_raw(raw)).is_err(), "{raw:#x}");
        }
        assert_eq!(get::<Fetch>(handle).unwrap().0, 1);
        free_all(queue);
    }

    #[test]
    fn a_queue_takes_its_own_objects_with_it_and_has_no_new_ones() {
        let (closed, open) = (queue(), queue());
        let (lost, _) = insert(closed, |_| Fetch(1)).unwrap();
        insert(closed, |_| Body).unwrap();
        let (kept, _) = insert(open, |_| Fetch(2)).unwrap();
        assert_eq!((count(closed), count(open)), (3, 2));
        free_all(closed);
        assert_eq!((count(closed), count(open)), (0, 2));
        assert!(get::<Fetch>(lost).is_err() && get::<Fetch>(kept).is_ok());
        assert_eq!(insert(closed, |_| Body).unwrap_err().code(), Code::Closed);
        free_all(open);
    }

    #[test]
    fn a_place_whose_generations_are_used_up_is_not_used_again() {
        let mut table = Table { slots: Vec::new(), unused: Vec::new() };
        let make = |_| -> Arc<dyn Any + Send + Sync> { Arc::new(()) };
        table.insert(Kind::Body, Handle::NONE, make).unwrap();
        table.slots[0].generation = (1 << GENERATION_BITS) - 2;
        table.take(Handle::new(Kind::Body, 0, (1 << GENERATION_BITS) - 2)).unwrap();
        let last = table.insert(Kind::Body, Handle::NONE, make).unwrap();
        assert_eq!((last.place(), last.raw() >> 53), (0, 0));
        table.take(last).unwrap();
        let next = table.insert(Kind::Body, Handle::NONE, make).unwrap();
        assert_eq!(next.place(), 1);
    }
}
