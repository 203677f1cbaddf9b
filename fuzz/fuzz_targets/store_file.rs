//! Arbitrary files of a store. The first byte selects what the rest of the input is: `W` the
//! database, `L` the write-ahead log of a sound database, `K` the lock file, and anything else a
//! sequence of changes to a sound database, of four bytes each: the page, two bytes of offset, and
//! the value.
#![no_main]

use bgfetch_fuzz::store::{Place, go_on};
use bgfetch_store::StoreError;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    let place = Place::with_store();
    match choice {
        b'W' => place.write("store.sqlite3", rest),
        b'L' => place.write("store.sqlite3-wal", rest),
        b'K' => place.write("lock", rest),
        _ => {
            let mut database = place.read("store.sqlite3");
            for change in rest.chunks_exact(4) {
                let offset = usize::from(change[1]) << 8 | usize::from(change[2]);
                let at = (usize::from(change[0]) << 12) + (offset & 4095);
                let length = database.len();
                if let Some(byte) = database.get_mut(at % length) {
                    *byte = change[3];
                }
            }
            place.write("store.sqlite3", &database);
        }
    }
    // A store that was closed in an orderly way is not checked for damage. Damage is detected when
    // it is read, or when a new row violates a constraint of the tables.
    if let Some(store) = place.open()
        && let Err(error) = go_on(store)
    {
        let known = |error: &StoreError| {
            matches!(
                error,
                StoreError::Damaged { .. } | StoreError::Database(_) | StoreError::Misuse(_)
            )
        };
        assert!(known(&error), "{error}");
    }
});
